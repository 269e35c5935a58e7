// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

var breakpoint = []byte{0xcc} // int3

// rewind sets the program counter back to where the breakpoint was: int3
// leaves it behind itself.
func rewind(pid int, entry uintptr) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &regs); err != nil {
		return fmt.Errorf("reading its registers: %w", err)
	}
	regs.Rip = uint64(entry)
	if err := unix.PtraceSetRegs(pid, &regs); err != nil {
		return fmt.Errorf("setting its registers: %w", err)
	}
	return nil
}
