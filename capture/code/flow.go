// SPDX-License-Identifier: Apache-2.0

package code

import (
	"debug/elf"
	"encoding/binary"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// maxFunction bounds the code that is followed, in octets.
const maxFunction = 1 << 16

// flow is where execution goes on behind an instruction.
type flow uint8

const (
	flowNext   flow = iota
	flowBranch      // next, or to: a conditional jump
	flowJump        // to
	flowReturn
	flowStop   // a trap: nowhere
	flowHidden // to a place that the instruction does not tell
)

// instruction is what following the flow needs of one.
type instruction struct {
	size int
	flow flow
	to   int  // offset of the target, relative to the function's beginning
	call bool // of another function, which may return
}

// decodeAt gives the instruction at an offset of b, not ok where it is not
// understood.
func decodeAt(machine elf.Machine, b []byte, at int) (instruction, bool) {
	switch machine {
	case elf.EM_X86_64:
		return decodeAMD64(b, at)
	case elf.EM_AARCH64:
		return decodeARM64(b, at)
	}
	return instruction{}, false
}

// Returns finds the return instructions of a function: b is its code, for
// x86-64 or AArch64, and the offsets are relative to its beginning, in rising
// order. Only what can be reached from the beginning is looked at, so data
// between instructions is never taken for one.
//
// Not ok says that a probe on each of them would miss ways out: the function
// jumps to another one, or to an address that is not in the instruction (a
// switch by table, which is not followed), or something was not understood. A
// function that returns nowhere is not ok either.
func Returns(machine elf.Machine, b []byte) ([]uint64, bool) {
	var returns []uint64
	ok := reachable(machine, b, 0, func(at int, in instruction) bool {
		switch in.flow {
		case flowReturn:
			returns = append(returns, uint64(at))
		case flowHidden:
			return false
		}
		return true
	})
	slices.Sort(returns)
	return returns, ok && len(returns) > 0
}

// reachable calls visit once for each instruction that can be reached from the
// one at an offset. False: visit said so, two instructions overlap, one was not
// understood, or one leads out of the function other than by a return.
func reachable(machine elf.Machine, b []byte, from int, visit func(at int, in instruction) bool) bool {
	if len(b) == 0 || len(b) > maxFunction {
		return false
	}
	const begins, inside = 1, 2
	seen := make([]uint8, len(b))
	for todo := []int{from}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		called := false
		for at >= 0 && at < len(b) && seen[at] == 0 {
			in, ok := decodeAt(machine, b, at)
			if !ok || in.size > len(b)-at {
				return false
			}
			for i := range in.size {
				if seen[at+i] != 0 {
					return false
				}
				seen[at+i] = inside
			}
			seen[at] = begins
			if !visit(at, in) {
				return false
			}
			if in.flow == flowBranch || in.flow == flowJump {
				if in.to < 0 || in.to >= len(b) {
					return false
				}
				todo = append(todo, in.to)
			}
			called = in.call
			at += in.size
			if in.flow != flowNext && in.flow != flowBranch {
				at = -1
			}
		}
		switch {
		case at < 0:
		case at == len(b) && !called: // else it is a call that does not return
			return false
		case at < len(b) && seen[at] == inside:
			return false
		}
	}
	return true
}

func decodeAMD64(b []byte, at int) (instruction, bool) {
	code := b[at:]
	if len(code) >= len(endbr64) && string(code[:len(endbr64)]) == endbr64 {
		return instruction{size: len(endbr64)}, true
	}
	if n := vexLength(code); n > 0 {
		return instruction{size: n}, true
	}
	in, err := x86asm.Decode(code, 64)
	if err != nil {
		return instruction{}, false
	}
	i := instruction{size: in.Len}
	rel, direct := in.Args[0].(x86asm.Rel)
	i.to = at + in.Len + int(rel)
	switch {
	case in.Op == x86asm.RET:
		i.flow = flowReturn
	case in.Op == x86asm.UD2, in.Op == x86asm.HLT, in.Op == x86asm.INT, in.Op == x86asm.UD1:
		i.flow = flowStop
	case in.Op == x86asm.LRET, in.Op == x86asm.IRET, in.Op == x86asm.IRETD, in.Op == x86asm.IRETQ,
		in.Op == x86asm.LJMP, in.Op == x86asm.SYSRET, in.Op == x86asm.SYSEXIT:
		i.flow = flowHidden
	case in.Op == x86asm.CALL:
		i.call = true
	case in.Op == x86asm.JMP && !direct:
		i.flow = flowHidden
	case in.Op == x86asm.JMP:
		i.flow = flowJump
	case direct: // the other relative ones are conditional
		i.flow = flowBranch
	}
	return i, true
}

// vexLength is the length of an instruction with a VEX or EVEX prefix, which
// x86asm does not know; 0 for others. None of them branches. Intel SDM,
// volume 2, sections 2.3 and 2.7.
func vexLength(b []byte) int {
	var prefix int
	var opcodes byte // the opcode map: 1 is 0F, 2 is 0F38, 3 is 0F3A
	switch {
	case len(b) > 1 && b[0] == 0xc5:
		prefix, opcodes = 2, 1
	case len(b) > 2 && b[0] == 0xc4:
		prefix, opcodes = 3, b[1]&0x1f
	case len(b) > 3 && b[0] == 0x62:
		prefix, opcodes = 4, b[1]&7
	default:
		return 0
	}
	if len(b) < prefix+2 {
		return 0
	}
	opcode, modrm := b[prefix], b[prefix+1]
	n := prefix + 2
	if opcodes == 1 && opcode == 0x77 { // VZEROUPPER
		return n - 1
	}
	if mod, rm := modrm>>6, modrm&7; mod != 3 {
		base := rm
		if rm == 4 {
			if len(b) <= n {
				return 0
			}
			base = b[n] & 7
			n++
		}
		switch {
		case mod == 1: // compressed in EVEX, but one octet too
			n++
		case mod == 2, mod == 0 && base == 5:
			n += 4
		}
	}
	switch {
	case opcodes == 3,
		opcodes == 1 && (opcode >= 0x70 && opcode <= 0x73 || opcode == 0xc2 || opcode >= 0xc4 && opcode <= 0xc6):
		n++
	}
	if n > len(b) {
		return 0
	}
	return n
}

// decodeARM64 tells what branches. Arm ARM (DDI 0487), section C4.1.
func decodeARM64(b []byte, at int) (instruction, bool) {
	const size = 4
	if at%size != 0 || len(b)-at < size {
		return instruction{}, false
	}
	in := binary.LittleEndian.Uint32(b[at:])
	i := instruction{size: size}
	target := func(bits, shift uint) {
		imm := int32(in>>shift<<(32-bits)) >> (32 - bits)
		i.to = at + int(imm)*size
	}
	switch {
	case in>>26 == 0b000101: // B
		i.flow = flowJump
		target(26, 0)
	case in>>24 == 0b01010100, in>>25&0x3f == 0b011010: // B.cond, CBZ, CBNZ
		i.flow = flowBranch
		target(19, 5)
	case in>>25&0x3f == 0b011011: // TBZ, TBNZ
		i.flow = flowBranch
		target(14, 5)
	case in&^(0x1f<<5) == 0xd65f0000, in == 0xd65f0bff, in == 0xd65f0fff: // RET, RETAA, RETAB
		i.flow = flowReturn
	case in>>26 == 0b100101, in>>25 == 0b1101011 && in>>21&0xf&^8 == 1: // BL; BLR, BLRAA and their like
		i.call = true
	case in>>25 == 0b1101011: // BR, ERET and their like
		i.flow = flowHidden
	case in>>16 == 0, in>>21 == 0b11010100001, in>>21 == 0b11010100010: // UDF, BRK, HLT
		i.flow = flowStop
	}
	return i, true
}
