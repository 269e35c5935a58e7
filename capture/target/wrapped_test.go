// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
)

// TestInnerOfLibssl: what Debian's libssl is probed at.
func TestInnerOfLibssl(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: an x86-64 processor")
	}
	found, err := Inspect(systemLibrary(t, "libssl.so.3"), testOptions)
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	inner := make(map[string]Inner)
	for _, f := range found[0].Functions {
		inner[f.Name] = f.Inner
	}
	for _, pair := range [][2]string{{"SSL_write", "SSL_write_ex"}, {"SSL_read", "SSL_read_ex"}} {
		if a, b := inner[pair[0]], inner[pair[1]]; a != b || a.Count == 0 {
			t.Errorf("%s wraps %+v, %s %+v", pair[0], a, pair[1], b)
		}
	}
	for _, name := range []string{"SSL_do_handshake", "SSL_free"} {
		if got, ok := inner[name]; !ok || got != (Inner{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

// Two wrappers of 32 octets each and what they wrap, as gcc compiles libssl's.
var (
	wrapper3 = "\x48\x83\xec\x18" + // sub $0x18,%rsp
		"\x48\x63\xd2" + // movslq %edx,%rdx
		"\x48\x89\xe1" + // mov %rsp,%rcx
		"\xe8\x00\x00\x00\x00" + // call
		"\x48\x83\xc4\x18\xc3" // add $0x18,%rsp; ret
	wrapper4 = "\x48\x83\xec\x08\xe8\x00\x00\x00\x00\x48\x83\xc4\x08\xc3"
)

func call(code string, at int, from, to uint64) []byte {
	b := []byte(code)
	binary.LittleEndian.PutUint32(b[at+1:], uint32(to-(from+uint64(at)+5)))
	return b
}

func TestInnerMustAgree(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: an x86-64 processor")
	}
	const plain, ex, inner, other = 0x100, 0x120, 0x140, 0x150
	find := func(exCalls uint64, first string) []Function {
		b := make([]byte, 0x200)
		copy(b[plain:], call(wrapper3, 10, plain, inner))
		copy(b[ex:], call(wrapper4, 4, ex, exCalls))
		copy(b[inner:], first)
		copy(b[other:], first)
		o := &object{r: bytes.NewReader(b), size: uint64(len(b)), order: binary.LittleEndian, segments: []segment{{0x4000, 0, 0x200}}}
		functions := []Function{{Name: "SSL_write", Offset: plain, Size: uint64(len(wrapper3))},
			{Name: "SSL_write_ex", Offset: ex, Size: uint64(len(wrapper4))}}
		if err := o.findInner(functions); err != nil {
			t.Fatal(err)
		}
		return functions
	}
	const push = "\x41\x56"
	want := Inner{Offset: inner, Entry: inner, Count: 4}
	for _, f := range find(inner, push) {
		if f.Inner != want {
			t.Errorf("%s: %+v", f.Name, f.Inner)
		}
	}
	for _, f := range find(other, push) {
		if f.Inner != (Inner{}) {
			t.Errorf("they wrap different functions: %s: %+v", f.Name, f.Inner)
		}
	}
	for _, f := range find(inner, "\x48\x83\xec\x18") {
		if f.Inner != (Inner{}) {
			t.Errorf("not emulated: %s: %+v", f.Name, f.Inner)
		}
	}
	for _, f := range find(1<<20, push) {
		if f.Inner != (Inner{}) {
			t.Errorf("beyond the code: %s: %+v", f.Name, f.Inner)
		}
	}
	// SSL_write_ex2 of OpenSSL 3.3: a wrapper of a wrapper leads to the same.
}
