// SPDX-License-Identifier: Apache-2.0

// Package e2e holds the end-to-end tests: h2sniff as users run it, on real
// programs that the tests start, compared with somebody else's account of the
// frames. They need root and a kernel with BPF.
package e2e
