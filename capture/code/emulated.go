// SPDX-License-Identifier: Apache-2.0

package code

// Emulated says whether the kernel's uprobes emulate the x86-64 instruction at
// the beginning of b. Others are executed out of line with a single step, which
// takes a second trap: about 10 µs in place of 0.5 µs in a virtual machine.
//
// Linux 4.20 and newer, arch/x86/kernel/uprobes.c: push_setup_xol_ops (push of
// a general register) and branch_setup_xol_ops (nop, relative jumps; also calls
// and conditional jumps, which are of no use here).
func Emulated(b []byte) bool {
	if len(b) > 1 && b[0] == 0x41 { // REX.B: r8 to r15
		b = b[1:]
		return b[0]&^7 == 0x50
	}
	if len(b) == 0 {
		return false
	}
	switch b[0] {
	case 0x90, 0xe9, 0xeb: // nop, jmp
		return true
	}
	return b[0]&^7 == 0x50
}
