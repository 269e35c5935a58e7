// SPDX-License-Identifier: Apache-2.0

// Package code reads the machine code of functions, to find places for probes
// that are cheaper than a function's entry and its return. It only reads, and
// what it cannot prove it does not claim: an answer that is not ok means that
// the plain placement is to be used.
package code
