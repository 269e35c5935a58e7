//go:build cgo

// SPDX-License-Identifier: Apache-2.0

package main

// static int answer(void) { return 42; }
import "C"

func init() {
	if C.answer() != 42 {
		panic("cgo")
	}
}
