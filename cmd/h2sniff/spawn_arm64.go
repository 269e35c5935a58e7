// SPDX-License-Identifier: Apache-2.0

package main

var breakpoint = []byte{0x00, 0x00, 0x20, 0xd4} // brk #0

// rewind has nothing to do: brk leaves the program counter at itself.
func rewind(int, uintptr) error { return nil }
