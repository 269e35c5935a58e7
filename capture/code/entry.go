// SPDX-License-Identifier: Apache-2.0

package code

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// maxSkipped bounds how many instructions a probe may be placed behind.
const maxSkipped = 4

// Entry finds where a probe on the beginning of a function costs the least: the
// offset of its first x86-64 instruction that the kernel emulates. Where
// functions may be called indirectly under control-flow enforcement, for
// instance, the first instruction is an endbr64, which is not emulated.
//
// b is the function's code, and what follows it where its size is not known.
// arguments is how many arguments the probe reads, at most 5. There is an
// answer if what stands before the instruction changes neither those nor the
// stack (so that a return probe is right there too), and the function never
// jumps back there, by all its code that can be reached.
func Entry(b []byte, arguments int) (uint64, bool) {
	at := 0
	for range maxSkipped + 1 {
		if at >= len(b) {
			return 0, false
		}
		if Emulated(b[at:]) {
			return uint64(at), at == 0 || once(b, at)
		}
		size, ok := neutral(b[at:], arguments)
		if !ok {
			return 0, false
		}
		at += size
	}
	return 0, false
}

// neutral says whether the first instruction of b changes nothing that a probe
// looks at, and gives its size.
func neutral(b []byte, arguments int) (size int, ok bool) {
	if n := len(endbr64); len(b) >= n && string(b[:n]) == endbr64 {
		return n, true
	}
	in, err := x86asm.Decode(b, 64)
	if err != nil {
		return 0, false
	}
	switch in.Op {
	case x86asm.NOP, x86asm.TEST, x86asm.CMP:
		return in.Len, true
	case x86asm.XOR, x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA:
		dst, _, register := register(in.Args[0])
		read := dst == rsp || slices.Contains(argumentRegisters[:arguments], dst)
		return in.Len, register && !read
	}
	return 0, false
}

// once says that what is at an offset is reached from the beginning of b alone,
// as far as b's code tells. Other functions that it jumps to do not come back.
func once(b []byte, offset int) bool {
	seen := make(map[int]bool)
	for todo := []int{0}; len(todo) > 0; {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for at >= 0 && at < len(b) && !seen[at] {
			seen[at] = true
			in, ok := decodeAMD64(b, at)
			if !ok || in.flow == flowHidden {
				return false
			}
			if in.flow == flowBranch || in.flow == flowJump {
				if in.to > 0 && in.to <= offset {
					return false
				}
				todo = append(todo, in.to)
			}
			at += in.size
			if in.flow != flowNext && in.flow != flowBranch {
				break
			}
		}
		if len(seen) > maxFunction {
			return false
		}
	}
	return true
}
