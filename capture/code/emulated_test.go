// SPDX-License-Identifier: Apache-2.0

package code

import "testing"

func TestEmulated(t *testing.T) {
	for code, want := range map[string]bool{
		"":                     false,
		"\x41":                 false,
		"\x55":                 true,  // push %rbp
		"\x41\x56":             true,  // push %r14
		"\x90":                 true,  // nop
		"\x48\x83\xec\x18":     false, // sub $0x18,%rsp
		"\xf3\x0f\x1e\xfa":     false, // endbr64
		"\x41\x90":             false, // xchg %r8d,%eax
		"\x68\x01\x00\x00\x00": false, // push $1
	} {
		if got := Emulated([]byte(code)); got != want {
			t.Errorf("% x: %v", code, got)
		}
	}
}
