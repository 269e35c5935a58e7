// SPDX-License-Identifier: Apache-2.0

package code

import "testing"

func TestEntry(t *testing.T) {
	const (
		endbr = "\xf3\x0f\x1e\xfa"
		push  = "\x53"             // push %rbx
		sub   = "\x48\x83\xec\x18" // sub $0x18,%rsp
		xorR8 = "\x45\x31\xc0"     // xor %r8d,%r8d
		ret   = "\x5b\xc3"         // pop %rbx; ret
	)
	for _, c := range []struct {
		name, code string
		arguments  int
		at         uint64
		ok         bool
	}{
		{"push first", push + ret, 5, 0, true},
		{"push first, unclear behind", push + "\xff\xe0", 5, 0, true},
		{"behind endbr64", endbr + push + ret, 5, 4, true},
		{"behind endbr64, r15", endbr + "\x41\x57" + ret, 5, 4, true},
		{"behind a value for another register", endbr + "\x31\xc0" + push + ret, 5, 6, true},
		{"behind a test", "\x85\xd2" + push + ret, 5, 2, true},
		{"jump behind an argument that is not read", xorR8 + "\xe9\x00\x10\x00\x00", 3, 3, true},
		{"an argument is changed", xorR8 + push + ret, 5, 0, false},
		{"the third argument is changed", "\x48\x63\xd2" + push + ret, 3, 0, false}, // movslq %edx,%rdx
		{"the stack pointer is changed", endbr + sub + push + ret, 5, 0, false},
		{"memory is changed", "\x48\x89\x7c\x24\xf8" + push + ret, 5, 0, false}, // mov %rdi,-8(%rsp)
		{"a branch before it", "\x74\x01" + push + ret, 5, 0, false},
		{"jumps back", endbr + push + "\x5b" + "\xeb\xfc" + ret, 5, 0, false},
		{"jumps back on a condition", endbr + push + "\x5b" + "\x75\xfc" + ret, 5, 0, false},
		{"jumps back behind it", endbr + push + "\x85\xd2\x75\xfc" + ret, 5, 4, true},
		{"jumps by a table", endbr + push + "\xff\xe0", 5, 0, false},
		{"not understood", endbr + push + "\x06", 5, 0, false},
		{"too far", endbr + "\x31\xc0\x31\xc0\x31\xc0\x31\xc0" + push + ret, 5, 0, false},
		{"nothing", "", 5, 0, false},
		{"cut", endbr, 5, 0, false},
	} {
		if at, ok := Entry([]byte(c.code), c.arguments); ok != c.ok || ok && at != c.at {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, at, ok, c.at, c.ok)
		}
	}
}

// TestEntryOfCompiled: of functions that gcc begins with endbr64.
func TestEntryOfCompiled(t *testing.T) {
	functions := compile(t, "-O2", "-fcf-protection=full")
	found := 0
	for name, f := range functions {
		at, ok := Entry(f.code, 5)
		if ok && at == uint64(len(endbr64)) && string(f.code[:at]) == endbr64 {
			found++
		} else if ok && at != 0 && !Emulated(f.code[at:]) {
			t.Errorf("%s at %d: not emulated there", name, at)
		}
	}
	if found == 0 {
		t.Errorf("none of %d functions", len(functions))
	}
}
