// SPDX-License-Identifier: Apache-2.0

package code

import (
	"golang.org/x/arch/x86/x86asm"
)

// Wrapped is a function that does the work of others which only wrap it.
type Wrapped struct {
	Addr uint64
	// Count numbers, from 1, the argument that points to where the function
	// stores how many octets it moved.
	Count int
}

// Callee finds the function that a wrapper of one of these shapes calls, as
// libssl's are (3.0 ssl_lib.c: SSL_write and SSL_write_ex call
// ssl_write_internal, and likewise for read):
//
//	int f(handle, buf, int n)                          calls g(handle, buf, n, &count) or g(handle, buf, n, 0, &count)
//	int f(handle, buf, n, size_t *count)               calls g(handle, buf, n, count)  or g(handle, buf, n, 0, count)
//	int f(handle, buf, n, uint64_t flags, size_t *count) calls g(handle, buf, n, flags, count)
//
// b is f's x86-64 code, which begins at addr, and arguments the number of f's
// arguments, 3 to 5. Every path through f is followed, with what is known of
// the argument registers (System V ABI). There is an answer if all of it is
// understood, nothing is called or jumped to indirectly, and exactly one
// function is called with f's own handle, buffer and length.
func Callee(b []byte, addr uint64, arguments int) (Wrapped, bool) {
	w := walk{code: b, addr: addr, arguments: arguments, seen: make(map[uint64]bool)}
	var entry registers
	for i, r := range argumentRegisters[:arguments] {
		entry[r] = value{argument, i + 1}
	}
	entry[rsp] = value{kind: stack}
	w.paths = []path{{addr, entry}}
	for len(w.paths) > 0 {
		p := w.paths[len(w.paths)-1]
		w.paths = w.paths[:len(w.paths)-1]
		if !w.follow(p) {
			return Wrapped{}, false
		}
	}
	return w.found, w.found.Addr != 0
}

const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	r12
	numRegisters = 16
)

var (
	argumentRegisters = [...]int{rdi, rsi, rdx, rcx, r8}
	callerSaved       = [...]int{rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11}
)

// value is what is known of a register's content.
type value struct {
	kind kind
	n    int // of an argument, or its value where it is constant
}

type kind uint8

const (
	unknown  kind = iota
	argument      // as it was passed
	extended      // its low 32 bits, extended to 64
	stack         // an address in f's frame
	constant
)

type registers [numRegisters]value

type path struct {
	addr uint64
	regs registers
}

// maxPaths bounds the work: wrappers have two or three.
const maxPaths = 64

// walk follows the paths through a function.
type walk struct {
	code      []byte
	addr      uint64
	arguments int
	paths     []path
	seen      map[uint64]bool // where paths began
	found     Wrapped
}

// follow follows one path to its end; false says that something was not
// understood.
func (w *walk) follow(p path) bool {
	if w.seen[p.addr] {
		return false // two ways lead here, perhaps with different registers
	}
	w.seen[p.addr] = true
	for {
		offset := p.addr - w.addr
		if offset >= uint64(len(w.code)) {
			return false
		}
		if n := len(endbr64); len(w.code[offset:]) >= n && string(w.code[offset:][:n]) == endbr64 {
			p.addr += uint64(n)
			continue
		}
		in, err := x86asm.Decode(w.code[offset:], 64)
		if err != nil {
			return false
		}
		next := p.addr + uint64(in.Len)
		rel, direct := in.Args[0].(x86asm.Rel)
		to := next + uint64(int64(rel))
		switch {
		case in.Op == x86asm.RET, in.Op == x86asm.UD2, in.Op == x86asm.HLT:
			return true
		case in.Op == x86asm.JMP:
			if !direct {
				return false
			}
			if !w.inside(to) { // a call whose return is f's own
				return w.call(to, &p.regs)
			}
			return w.branch(to, &p.regs)
		case in.Op == x86asm.CALL:
			if !direct || !w.call(to, &p.regs) {
				return false
			}
			for _, r := range callerSaved {
				p.regs[r] = value{}
			}
			if next == w.addr+uint64(len(w.code)) {
				return true // it does not return: __stack_chk_fail
			}
		case direct: // the other relative ones are conditional jumps
			if !w.inside(to) || !w.branch(to, &p.regs) {
				return false
			}
		default:
			if !p.regs.apply(&in) {
				return false
			}
		}
		p.addr = next
	}
}

const endbr64 = "\xf3\x0f\x1e\xfa"

func (w *walk) inside(addr uint64) bool { return addr-w.addr < uint64(len(w.code)) }

// branch puts a path off. Where one has begun there before, what follows is
// known if the argument registers say as little this time.
func (w *walk) branch(to uint64, regs *registers) bool {
	if w.seen[to] {
		return !regs.passes()
	}
	if len(w.paths) == maxPaths {
		return false
	}
	w.paths = append(w.paths, path{to, *regs})
	return true
}

// passes says whether handle and buffer are still what f was given.
func (r *registers) passes() bool {
	return r[rdi] == (value{argument, 1}) && r[rsi] == (value{argument, 2})
}

// call notes a call; false says that a second function does what the first
// does.
func (w *walk) call(to uint64, r *registers) bool {
	third := r[rdx] == (value{argument, 3}) || r[rdx] == (value{extended, 3})
	if !r.passes() || !third {
		return true // an error is raised, for instance
	}
	if w.inside(to) {
		return false // it calls itself, or is no function
	}
	found := Wrapped{Addr: to}
	switch zero := r[rcx] == (value{constant, 0}); {
	case w.arguments == 3 && r[rcx].kind == stack, w.arguments == 4 && r[rcx] == (value{argument, 4}):
		found.Count = 4
	case w.arguments == 3 && zero && r[r8].kind == stack, w.arguments == 4 && zero && r[r8] == (value{argument, 4}),
		w.arguments == 5 && r[rcx] == (value{argument, 4}) && r[r8] == (value{argument, 5}):
		found.Count = 5
	default:
		return true
	}
	if w.found.Addr != 0 && w.found != found {
		return false
	}
	w.found = found
	return true
}
