// SPDX-License-Identifier: Apache-2.0

package code

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// function is a function's code and where it lies.
type function struct {
	code []byte
	addr uint64
}

// functionsOf reads the functions of an executable.
func functionsOf(t testing.TB, path string, symbols func(*elf.File) ([]elf.Symbol, error)) map[string]function {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := symbols(f)
	if err != nil {
		t.Fatal(err)
	}
	text := f.Section(".text")
	code, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	functions := make(map[string]function)
	for _, s := range list {
		if at := s.Value - text.Addr; s.Size > 0 && at+s.Size <= uint64(len(code)) {
			functions[s.Name] = function{code[at:][:s.Size], s.Value}
		}
	}
	return functions
}

// compile compiles wrappers.c.
func compile(t testing.TB, flags ...string) map[string]function {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: a compiler for x86-64")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("missing: gcc")
		}
		t.Skip("missing: gcc")
	}
	path := filepath.Join(t.TempDir(), "wrappers")
	if out, err := exec.Command(gcc, append(flags, "-o", path, "testdata/wrappers.c")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return functionsOf(t, path, (*elf.File).Symbols)
}

func TestCallee(t *testing.T) {
	for _, flags := range [][]string{
		{"-O2"}, {"-O3", "-fPIC"}, {"-Os"}, {"-O1", "-fstack-protector-all"},
		{"-O2", "-fcf-protection=full", "-fstack-protector-strong"}, {"-O2", "-fno-optimize-sibling-calls"},
	} {
		functions := compile(t, flags...)
		for _, tt := range []struct {
			name      string
			arguments int
			callee    string // "" none
			count     int
		}{
			{"plain", 3, "inner4", 4},
			{"ex", 4, "inner4", 4},
			{"plain_flags", 3, "inner5", 5},
			{"ex2", 5, "inner5", 5},
			{"ex_of_ex2", 4, "ex2", 5},
			{"after_call", 3, "inner4", 4},
			{"two_ways", 4, "", 0},
			{"by_method", 4, "", 0},
			{"half", 4, "", 0},
			{"other_buffer", 4, "", 0},
			{"other_handle", 4, "", 0},
			{"constant_count", 4, "", 0},
			{"ex", 3, "", 0},
			{"raise_error", 3, "", 0},
		} {
			f := functions[tt.name]
			got, ok := Callee(f.code, f.addr, tt.arguments)
			if tt.callee == "" {
				if ok {
					t.Errorf("%v: %s with %d arguments: taken for a wrapper of %#x", flags, tt.name, tt.arguments, got.Addr)
				}
				continue
			}
			if !ok && tt.name == "after_call" && flags[0] == "-Os" {
				continue // registers are kept by push and pop, which are not followed
			}
			if want := (Wrapped{functions[tt.callee].addr, tt.count}); !ok || got != want {
				// gcc may inline ex2 whole; then its callee does as well.
				if tt.callee == "ex2" && ok && got.Addr == functions["inner5"].addr && got.Count == tt.count {
					continue
				}
				t.Errorf("%v: %s: %#x, %v, want %#x", flags, tt.name, got, ok, want)
			}
		}
	}
}

// TestCalleeAtNoOptimisation: arguments go through the frame, which is not
// followed: there must be no answer, and no wrong one.
func TestCalleeAtNoOptimisation(t *testing.T) {
	functions := compile(t, "-O0")
	for name, arguments := range map[string]int{"plain": 3, "ex": 4, "half": 4, "two_ways": 4} {
		f := functions[name]
		if got, ok := Callee(f.code, f.addr, arguments); ok {
			t.Errorf("%s: %#x", name, got)
		}
	}
}

// TestCalleeOfLibssl: what the probes rest on, in the library of this machine.
func TestCalleeOfLibssl(t *testing.T) {
	const path = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("missing: %s", path)
		}
		t.Skipf("missing: %s", path)
	}
	functions := functionsOf(t, path, (*elf.File).DynamicSymbols)
	callee := func(name string, arguments int) Wrapped {
		f := functions[name]
		w, ok := Callee(f.code, f.addr, arguments)
		if !ok {
			t.Errorf("%s: no callee", name)
		}
		return w
	}
	write, read := callee("SSL_write", 3), callee("SSL_read", 3)
	if writeEx := callee("SSL_write_ex", 4); writeEx != write {
		t.Errorf("SSL_write calls %#x, SSL_write_ex %#x", write, writeEx)
	}
	if readEx := callee("SSL_read_ex", 4); readEx != read {
		t.Errorf("SSL_read calls %#x, SSL_read_ex %#x", read, readEx)
	}
	// gcc puts the pushes of callee-saved registers first.
	if lib := functions["SSL_write"]; Emulated(lib.code) {
		t.Error("SSL_write itself begins with an instruction that is emulated: nothing is won")
	}
	if write.Addr == read.Addr {
		t.Errorf("both call %#x", write.Addr)
	}
}

func FuzzCallee(f *testing.F) {
	for _, fn := range compile(f, "-O2") {
		f.Add(fn.code, uint8(4))
	}
	f.Fuzz(func(t *testing.T, code []byte, arguments uint8) {
		const addr = 0x1000
		w, ok := Callee(code, addr, 3+int(arguments%3))
		if ok && (w.Addr >= addr && w.Addr < addr+uint64(len(code)) || w.Count < 4 || w.Count > 5) {
			t.Errorf("%+v", w)
		}
	})
}
