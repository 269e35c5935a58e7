// SPDX-License-Identifier: Apache-2.0

package code

import "golang.org/x/arch/x86/x86asm"

// register gives the number of a general register, and whether all 64 bits of
// it are meant.
func register(arg x86asm.Arg) (number int, whole, ok bool) {
	r, ok := arg.(x86asm.Reg)
	switch {
	case !ok:
		return 0, false, false
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), false, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), false, true
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), false, true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), false, true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + rsp, false, true
	}
	return 0, false, false
}

// apply does to the registers what an instruction that does not branch does.
// False says that it is not one of those that are understood.
func (r *registers) apply(in *x86asm.Inst) bool {
	dst, whole, ok := register(in.Args[0])
	switch in.Op {
	case x86asm.NOP, x86asm.TEST, x86asm.CMP, x86asm.PUSH, x86asm.BT, x86asm.PREFETCHT0:
		return true // the stack pointer goes on pointing into the frame
	case x86asm.POP:
		if ok {
			r[dst] = value{}
		}
		return true
	case x86asm.MOV, x86asm.MOVSXD, x86asm.MOVSX, x86asm.MOVZX:
		if ok {
			r[dst] = r.source(in, whole)
		}
		return true
	case x86asm.LEA:
		m, memory := in.Args[1].(x86asm.Mem)
		if !ok || !memory {
			return false
		}
		r[dst] = value{}
		if m.Base == x86asm.RSP && m.Index == 0 && whole {
			r[dst] = value{kind: stack}
		}
		return true
	case x86asm.XOR:
		if !ok {
			return true
		}
		src, _, same := register(in.Args[1])
		r[dst] = value{}
		if same && src == dst {
			r[dst] = value{constant, 0}
		}
		return true
	case x86asm.ADD, x86asm.SUB:
		if ok && (dst != rsp || !whole) {
			r[dst] = value{}
		}
		return true
	case x86asm.AND, x86asm.OR, x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.NOT, x86asm.NEG, x86asm.INC, x86asm.DEC,
		x86asm.SETE, x86asm.SETNE, x86asm.SETG, x86asm.SETGE, x86asm.SETL, x86asm.SETLE, x86asm.SETA, x86asm.SETAE, x86asm.SETB, x86asm.SETBE,
		x86asm.CMOVE, x86asm.CMOVNE, x86asm.CMOVG, x86asm.CMOVGE, x86asm.CMOVL, x86asm.CMOVLE, x86asm.CMOVS, x86asm.CMOVNS,
		x86asm.CMOVA, x86asm.CMOVAE, x86asm.CMOVB, x86asm.CMOVBE:
		if ok {
			r[dst] = value{}
		}
		return dst != rsp || !ok
	case x86asm.MOVAPS, x86asm.MOVUPS, x86asm.MOVDQA, x86asm.MOVDQU, x86asm.PXOR, x86asm.XORPS:
		return !ok
	}
	return false
}

// source is the value that a move gives its destination.
func (r *registers) source(in *x86asm.Inst, whole bool) value {
	if imm, ok := in.Args[1].(x86asm.Imm); ok && imm == 0 {
		return value{constant, 0}
	}
	src, from64, ok := register(in.Args[1])
	v := r[src]
	switch {
	case !ok:
		return value{}
	case whole && from64:
		return v
	case in.MemBytes != 0 || !is32(in.Args[1]):
		return value{}
	case (v.kind == argument || v.kind == extended) && (in.Op == x86asm.MOVSXD || in.Op == x86asm.MOV):
		return value{extended, v.n}
	}
	return value{}
}

func is32(arg x86asm.Arg) bool {
	r, ok := arg.(x86asm.Reg)
	return ok && r >= x86asm.EAX && r <= x86asm.R15L
}
