// SPDX-License-Identifier: Apache-2.0

package code

import (
	"debug/elf"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// checkDeferred: what a function of crypto/tls defers is found, and serves most
// of its returns, but not those before it is deferred.
func checkDeferred(t *testing.T, machine elf.Machine, b []byte, want bool) {
	t.Helper()
	all := DeferredGo(machine, b)
	if (len(all) > 0) != want {
		t.Errorf("deferred: %+v, want some: %v", all, want)
	}
	returns, _ := Returns(machine, b)
	for _, d := range all {
		for _, at := range d.Returns {
			if !slices.Contains(returns, at) {
				t.Errorf("%+v: no return at %#x", d, at)
			}
		}
		if len(d.Returns) < len(returns)/2 || len(d.Returns) == len(returns) || d.Result == d.Closure {
			t.Errorf("of returns at %#x: %+v", returns, d)
		}
	}
}

// A function with one deferred call, as the compiler makes it.
const (
	deferCheck   = "\x49\x3b\x66\x10\x0f\x86\x00\x01\x00\x00" // CMPQ SP, 16(R14); JBE
	deferFrame   = "\x55\x48\x89\xe5\x48\x83\xec\x58"         // PUSHQ BP; MOVQ SP, BP; SUBQ $0x58, SP
	deferZero    = "\x66\x44\x0f\xd6\x7c\x24\x50"             // MOVQ X15, 0x50(SP)
	deferCode    = "\x48\x8d\x3d\x00\x01\x00\x00"             // LEAQ 0x100(IP), DI
	deferClosure = "\x48\x89\x7c\x24\x40"                     // MOVQ DI, 0x40(SP)
	deferTake    = "\x48\x8d\x7c\x24\x40"                     // LEAQ 0x40(SP), DI
	deferAddress = "\x48\x89\x7c\x24\x50"                     // MOVQ DI, 0x50(SP)
	deferBits    = "\xc6\x44\x24\x1f\x00"                     // MOVB $0, 0x1f(SP)
	deferLoad    = "\x48\x8b\x54\x24\x50\x48\x8b\x02"         // MOVQ 0x50(SP), DX; MOVQ 0(DX), AX
	deferCall    = "\xff\xd0"                                 // CALL AX
	deferResult  = "\x48\x8b\x44\x24\x20"                     // MOVQ 0x20(SP), AX
	deferEnd     = "\x48\x83\xc4\x58\x5d\xc3"                 // ADDQ $0x58, SP; POPQ BP; RET
	deferStart   = deferCheck + deferFrame + deferZero + deferCode + deferClosure + deferTake + deferAddress
	deferExit    = deferBits + deferLoad + deferCall + deferResult + deferEnd
)

func TestDeferredGo(t *testing.T) {
	of := func(returns ...uint64) []GoDeferred {
		return []GoDeferred{{Function: 32 + 0x100, Closure: 0x40, Result: 0x20, Returns: returns}}
	}
	n := uint64(len(deferStart))
	end := n + uint64(len(deferExit)) - 1
	const branch = "\x74" // JE over the next octets
	over := func(code string) string { return branch + string(byte(len(code))) + code }
	for _, tt := range []struct {
		name, code string
		want       []GoDeferred
	}{
		{"one return", deferStart + deferExit, of(end)},
		{"two", deferStart + over(deferExit) + deferExit, of(end+2, end+2+uint64(len(deferExit)))},
		{"one before it is deferred", deferCheck + deferFrame + over(deferEnd) + deferStart[len(deferCheck+deferFrame):] + deferExit,
			[]GoDeferred{{Function: 32 + 8 + 0x100, Closure: 0x40, Result: 0x20, Returns: []uint64{end + 8}}}},
		{"nothing is done between", deferStart + deferBits + deferLoad + "\x66\x90" + deferCall + "\x90" + deferResult + deferEnd, of(end + 3)},
		{"its end is shared", deferStart + branch + string(byte(len(deferBits+deferLoad+deferCall))) + deferExit, nil},
		{"a jump behind the call", deferStart + deferBits + deferLoad + deferCall + "\xeb\x00" + deferResult + deferEnd, nil},
		{"the result is computed", deferStart + deferBits + deferLoad + deferCall + deferResult + "\x48\x01\xc8" + deferEnd, nil},
		{"the result is changed behind the call", deferStart + deferLoad + deferCall + "\x48\x89\x4c\x24\x20" + deferResult + deferEnd, nil},
		{"results in two places", deferStart + over(strings.Replace(deferExit, deferResult, "\x48\x8b\x44\x24\x28", 1)) + deferExit, nil},
		{"no result", deferStart + deferBits + deferLoad + deferCall + deferEnd, nil},
		{"another closure is stored", deferStart + deferClosure + deferExit, nil},
		{"another address is stored", deferStart + deferAddress + deferExit, nil},
		{"the address is read elsewhere", deferStart + "\x48\x8b\x4c\x24\x50" + deferExit, nil},
		{"the closure's place has two uses", deferStart + deferTake + "\x90" + deferExit, nil},
		{"no frame pointer", deferCheck + "\x48\x83\xec\x58" + deferStart[len(deferCheck+deferFrame):] + deferExit, nil},
		{"the stack pointer moves", deferStart + "\x50" + deferExit, nil},
		{"never called", deferStart + deferEnd, nil},
	} {
		b := []byte(tt.code)
		// The check jumps to the end, where the stack grows.
		binary.LittleEndian.PutUint32(b[6:], uint32(len(b)-len(deferCheck)))
		b = append(b, 0xe8, 0, 0, 0, 0, 0xe9)
		b = binary.LittleEndian.AppendUint32(b, uint32(-len(b)-4))
		if got := DeferredGo(elf.EM_X86_64, b); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
