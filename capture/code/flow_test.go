// SPDX-License-Identifier: Apache-2.0

package code

import (
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReturnsAMD64(t *testing.T) {
	for _, tt := range []struct {
		name, code string
		want       []uint64 // nil: not ok
	}{
		{"one", "\x55\x5d\xc3", []uint64{2}},
		{"two ways", "\x74\x01\xc3\xc3", []uint64{2, 3}},
		{"behind a jump over data", "\xeb\x01\xc3\xc3", []uint64{3}},
		{"endless", "\xeb\xfe", nil},
		{"a trap", "\x74\x02\x0f\x0b\xc3", []uint64{4}},
		{"call that does not return at the end", "\x74\x01\xc3\xe8\x00\x00\x00\x00", []uint64{2}},
		{"falls off the end", "\x74\x01\xc3\x90", nil},
		{"tail call", "\x74\x05\xe9\x00\x01\x00\x00\xc3", nil},
		{"jump by register", "\x74\x02\xff\xe0\xc3", nil},
		{"call by register", "\xff\xd0\xc3", []uint64{2}},
		{"into an instruction", "\x74\x01\x48\x83\xec\x18\xc3", nil},
		{"endbr64", "\xf3\x0f\x1e\xfa\xc3", []uint64{4}},
		{"shlx, vzeroupper", "\xc4\xe2\xf9\xf7\xc1\xc5\xf8\x77\xc3", []uint64{8}},
		{"vmovdqu with displacement", "\xc5\xfe\x6f\x44\x24\x20\xc3", []uint64{6}},
		{"vpalignr with immediate", "\xc4\xe3\x71\x0f\xc2\x08\xc3", []uint64{6}},
		{"evex vmovdqu64", "\x62\xf1\xfe\x48\x6f\x44\x24\x01\xc3", []uint64{8}},
		{"cut", "\x74\x01\xc3\x48\x83", nil},
		{"empty", "", nil},
	} {
		got, ok := Returns(elf.EM_X86_64, []byte(tt.code))
		if ok != (tt.want != nil) || ok && !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

func TestReturnsARM64(t *testing.T) {
	const (
		nop = 0xd503201f
		ret = 0xd65f03c0
		brk = 0xd4200000
		bl  = 0x94000100
	)
	for _, tt := range []struct {
		name string
		code []uint32
		want []uint64
	}{
		{"one", []uint32{nop, ret}, []uint64{4}},
		{"two ways", []uint32{0x54000049, ret, ret}, []uint64{4, 8}},             // b.ls +8
		{"cbz", []uint32{0xb4000040, ret, ret}, []uint64{4, 8}},                  // cbz x0, +8
		{"tbnz", []uint32{0x37000040, ret, ret}, []uint64{4, 8}},                 // tbnz w0, #0, +8
		{"behind a jump over data", []uint32{0x14000002, ret, ret}, []uint64{8}}, // b +8
		{"backwards", []uint32{nop, 0x54ffffe0, ret}, []uint64{8}},               // b.eq -4
		{"tail call", []uint32{0x54000040, 0x14001000, ret}, nil},
		{"by register", []uint32{0x54000040, 0xd61f0200, ret}, nil}, // br x16
		{"blr", []uint32{0xd63f0200, ret}, []uint64{4}},
		{"trap", []uint32{0x54000040, brk, ret}, []uint64{8}},
		{"call at the end", []uint32{0x54000040, ret, bl}, []uint64{4}},
		{"falls off the end", []uint32{0x54000040, ret, nop}, nil},
		{"retaa", []uint32{0xd65f0bff}, []uint64{0}},
	} {
		var b []byte
		for _, in := range tt.code {
			b = binary.LittleEndian.AppendUint32(b, in)
		}
		got, ok := Returns(elf.EM_AARCH64, b)
		if ok != (tt.want != nil) || ok && !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, ok, tt.want)
		}
	}
}

// TestReturnsOfLibssl compares with what objdump makes of it.
func TestReturnsOfLibssl(t *testing.T) {
	const path = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
	objdump, err := exec.LookPath("objdump")
	if _, e := os.Stat(path); err != nil || e != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("missing: %s or objdump", path)
		}
		t.Skipf("missing: %s or objdump", path)
	}
	found := 0
	for name, f := range functionsOf(t, path, (*elf.File).DynamicSymbols) {
		got, ok := Returns(elf.EM_X86_64, f.code)
		if !ok || !strings.HasPrefix(name, "SSL_CTX_set") {
			continue
		}
		out, err := exec.Command(objdump, "-d", "--disassemble="+name, path).Output()
		if err != nil {
			t.Fatal(err)
		}
		// Padding behind the function has none.
		if want := strings.Count(string(out), "\tret"); len(got) != want {
			t.Errorf("%s: %d returns, objdump shows %d\n%s", name, len(got), want, out)
		}
		if found++; found == 40 {
			break
		}
	}
	if found < 20 {
		t.Errorf("only %d functions were understood", found)
	}
}

// goFunctions builds a Go program that uses crypto/tls.
func goFunctions(t testing.TB, goarch string) map[string]function {
	t.Helper()
	dir := t.TempDir()
	source := `package main

import (
	"net/http"
	"os"
)

func main() {
	if len(os.Args) > 2 {
		println(http.ListenAndServeTLS(os.Args[1], "cert", "key", nil))
	}
	_, err := http.Get(os.Args[1])
	println(err)
}
`
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "main")
	build := exec.Command("go", "build", "-o", path, filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "GOARCH="+goarch, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return functionsOf(t, path, (*elf.File).Symbols)
}

var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

func TestGoFunctions(t *testing.T) {
	for goarch, machine := range machines {
		functions := goFunctions(t, goarch)
		understood, all := 0, 0
		for name, f := range functions {
			if !strings.HasPrefix(name, "crypto/tls.(*") {
				continue
			}
			all++
			if _, ok := Returns(machine, f.code); ok {
				understood++
			}
		}
		t.Logf("%s: returns of %d of %d functions", goarch, understood, all)
		for _, name := range []string{"Read", "Write", "Close", "clientHandshake", "serverHandshake"} {
			f := functions["crypto/tls.(*Conn)."+name]
			returns, ok := Returns(machine, f.code)
			if !ok {
				t.Errorf("%s: %s: returns not found", goarch, name)
			}
			body, ok := GoBody(machine, f.code)
			if !ok || body == 0 || body > 32 {
				t.Errorf("%s: %s: body at %d, %v", goarch, name, body, ok)
			}
			t.Logf("%s: %s: body at %d, %d returns, emulated %v", goarch, name, body, len(returns), Emulated(f.code[body:]))
		}
		for _, name := range []string{"Read", "Write"} {
			checkDeferred(t, machine, functions["crypto/tls.(*Conn)."+name].code, goarch == "amd64")
		}
		if homes := GoHomes(machine, functions["crypto/tls.(*Conn).Read"].code, 3); homes != (goarch == "amd64") {
			t.Errorf("%s: arguments of Read in their homes: %v", goarch, homes)
		}
	}
}

func TestGoHomes(t *testing.T) {
	const (
		check  = "\x49\x3b\x66\x10\x76\x30"         // cmp 0x10(%r14),%rsp; jbe
		frame  = "\x55\x48\x89\xe5\x48\x83\xec\x10" // push %rbp; mov %rsp,%rbp; sub $0x10,%rsp
		a      = "\x48\x89\x44\x24\x20"             // mov %rax,0x20(%rsp)
		b      = "\x48\x89\x5c\x24\x28"             // mov %rbx,0x28(%rsp)
		zero   = "\x31\xdb"                         // xor %ebx,%ebx
		branch = "\x85\xc0\x74\x00"                 // test %eax,%eax; je
		clear  = "\x48\xc7\x44\x24\x28\x00\x00\x00\x00"
		local  = "\x48\x89\x5c\x24\x08" // mov %rbx,0x8(%rsp)
		load   = "\x48\x8b\x5c\x24\x28" // mov 0x28(%rsp),%rbx
		lea    = "\x48\x8d\x44\x24\x20" // lea 0x20(%rsp),%rax
		end    = "\x48\x83\xc4\x10\x5d\xc3"
	)
	for _, tt := range []struct {
		name, code string
		want       bool
	}{
		{"both", frame + a + b + end, true},
		{"in another order, with a local", frame + b + local + a + branch + load + end, true},
		{"one", frame + a + end, false},
		{"changed before", frame + a + zero + b + end, false},
		{"behind a branch", frame + a + branch + b + end, false},
		{"overwritten", frame + a + b + branch + clear + end, false},
		{"address taken", frame + a + b + branch + lea + end, false},
		{"without a frame", a + b + end, false},
	} {
		code := check + tt.code
		for len(code) < 6+0x30 {
			code += "\xcc"
		}
		code += "\xeb\xc8" // jmp to the beginning
		if got := GoHomes(elf.EM_X86_64, []byte(code), 2); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func FuzzReturns(f *testing.F) {
	f.Add([]byte("\x74\x01\xc3\xc3"), false)
	f.Add([]byte("\xc5\xfe\x6f\x44\x24\x20\xc3"), false)
	f.Add([]byte("\x49\x00\x00\x54\xc0\x03\x5f\xd6\xc0\x03\x5f\xd6"), true)
	f.Fuzz(func(t *testing.T, b []byte, arm bool) {
		machine := elf.EM_X86_64
		if arm {
			machine = elf.EM_AARCH64
		}
		returns, ok := Returns(machine, b)
		for _, at := range returns {
			if in, decoded := decodeAt(machine, b, int(at)); ok && (!decoded || in.flow != flowReturn) {
				t.Errorf("%d is no return", at)
			}
		}
		if body, ok := GoBody(machine, b); ok && body >= uint64(len(b)) {
			t.Errorf("body at %d of %d", body, len(b))
		}
		GoHomes(machine, b, 3)
		DeferredGo(machine, b)
	})
}
