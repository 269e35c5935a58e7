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

// homed are the registers of the first integer arguments in Go's register ABI
// on x86-64.
var homed = [...]x86asm.Reg{x86asm.RAX, x86asm.RBX, x86asm.RCX}

// GoHomes reports that a Go function keeps its first integer arguments, at most
// three, where the caller has reserved room for them: in the words above its
// return address, from its beginning to its return. Only x86-64 is understood.
//
// The compiler does so with arguments that it needs behind a call. Proven is
// that each is stored there before anything else can happen, and that nothing
// else is stored there or takes the address.
func GoHomes(machine elf.Machine, b []byte, arguments int) bool {
	body, ok := GoBody(machine, b)
	if !ok || machine != elf.EM_X86_64 || arguments > len(homed) {
		return false
	}
	stores, frame := homeStores(b, int(body), arguments)
	if len(stores) != arguments {
		return false
	}
	return reachable(machine, b, 0, func(at int, _ instruction) bool {
		in, err := x86asm.Decode(b[at:], 64)
		if err != nil || at < int(body) {
			return true // VEX: judged below
		}
		for i, arg := range in.Args {
			m, ok := arg.(x86asm.Mem)
			if !ok || i > 0 && in.Op != x86asm.LEA || in.Op == x86asm.CMP || in.Op == x86asm.TEST {
				continue
			}
			if _, home := stores[at]; home {
				continue
			}
			if m.Base == x86asm.RBP || m.Base == x86asm.RSP && (m.Index != 0 || m.Disp >= frame) {
				return false
			}
		}
		return true
	})
}

// homeStores follows the code from its body to the first branch or call and
// returns where arguments are stored in their homes, and the distance of those
// from the stack pointer.
func homeStores(b []byte, body, arguments int) (stores map[int]int, frame int64) {
	const word = 8
	stores = make(map[int]int)
	stored := make(map[int]bool)
	changed := make(map[int]bool) // registers, by number
	frame = word                  // the return address
	for at, framed := body, false; at < len(b); {
		in, err := x86asm.Decode(b[at:], 64)
		if i, ok := decodeAMD64(b, at); err != nil || !ok || i.flow != flowNext || i.call {
			break
		}
		dst, _, isRegister := register(in.Args[0])
		m, isMemory := in.Args[0].(x86asm.Mem)
		imm, _ := in.Args[1].(x86asm.Imm)
		switch {
		case in.Op == x86asm.PUSH && !framed:
			frame += word
		case in.Op == x86asm.SUB && isRegister && dst == rsp && !framed:
			frame += int64(imm)
			framed = true
		case in.Op == x86asm.MOV && isMemory && m.Base == x86asm.RSP && m.Index == 0 && framed:
			for n := range arguments {
				number, _, _ := register(homed[n])
				if in.Args[1] == homed[n] && m.Disp == frame+int64(n)*word && !changed[number] && !stored[n] {
					stores[at], stored[n] = n, true
				}
			}
		case in.Op == x86asm.CMP, in.Op == x86asm.TEST:
		case isRegister:
			changed[dst] = true
		}
		at += in.Len
	}
	return stores, frame
}
