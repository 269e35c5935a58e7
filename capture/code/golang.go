// SPDX-License-Identifier: Apache-2.0

package code

import (
	"debug/elf"
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// maxPrologue bounds the instructions before a Go function's check of the
// stack's size has ended.
const maxPrologue = 4

// GoBody finds where the body of a Go function begins: behind the check that
// its goroutine's stack is large enough. There the arguments are still in the
// registers in which they were passed, and the stack pointer is as it was at
// the function's entry. At the entry itself a probe would be hit twice by a
// call that makes the stack grow, since that call begins anew.
//
// The check compares with g.stackguard0, which lies at 16 from the goroutine
// that R14 (x86-64) or X28 (AArch64) points to: by that it is known that the
// function follows Go's register ABI (x86-64 since Go 1.17, AArch64 since Go
// 1.18). Functions without a check are not ok.
func GoBody(machine elf.Machine, b []byte) (uint64, bool) {
	switch machine {
	case elf.EM_X86_64:
		return goBodyAMD64(b)
	case elf.EM_AARCH64:
		return goBodyARM64(b)
	}
	return 0, false
}

const stackGuard = 16 // offset of g.stackguard0

func goBodyAMD64(b []byte) (uint64, bool) {
	compared := false
	at := 0
	for range maxPrologue {
		in, err := x86asm.Decode(b[at:], 64)
		if err != nil {
			return 0, false
		}
		at += in.Len
		switch in.Op {
		case x86asm.LEA: // of the stack pointer less the frame, into R12
			if dst, _, ok := register(in.Args[0]); !ok || dst != r12 {
				return 0, false
			}
		case x86asm.CMP:
			m, ok := in.Args[1].(x86asm.Mem)
			compared = ok && m.Base == x86asm.R14 && m.Index == 0 && m.Disp == stackGuard
			if !compared {
				return 0, false
			}
		case x86asm.JBE:
			return uint64(at), compared && at < len(b)
		default:
			return 0, false
		}
	}
	return 0, false
}

func goBodyARM64(b []byte) (uint64, bool) {
	const (
		size      = 4
		loadGuard = 0xf9400b90 // LDR X16, [X28, #16]
		below     = 0b1001     // LS
	)
	if len(b) < (maxPrologue+1)*size || binary.LittleEndian.Uint32(b) != loadGuard {
		return 0, false
	}
	for at := size; at < maxPrologue*size; at += size {
		in := binary.LittleEndian.Uint32(b[at:])
		if in>>24 == 0b01010100 && in&0xf == below {
			return uint64(at + size), true
		}
		if i, ok := decodeARM64(b, at); !ok || i.flow != flowNext || i.call {
			return 0, false
		}
	}
	return 0, false
}
