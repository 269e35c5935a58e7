// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"strings"
	"testing"
)

// changedFunctions lists those of libssl's functions whose first octets in a
// process's memory are not those of the library's file. library is the path
// that the process maps.
func changedFunctions(t testing.TB, pid int, library string) []string {
	t.Helper()
	file, err := elf.Open(library)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	start, mapped := codeOf(t, pid, library)
	var changed []string
	looked := 0
	for _, s := range symbols {
		switch s.Name {
		case "SSL_write", "SSL_write_ex", "SSL_read", "SSL_read_ex", "SSL_do_handshake", "SSL_free":
		default:
			continue
		}
		looked++
		offset := fileOffset(t, file, s.Value)
		const octets = 16
		got := make([]byte, octets)
		if _, err := memory.ReadAt(got, int64(start+offset-mapped)); err != nil {
			t.Fatalf("reading %s in process %d: %v", s.Name, pid, err)
		}
		if !bytes.Equal(got, content[offset:offset+octets]) {
			changed = append(changed, s.Name)
		}
	}
	if looked != 6 {
		t.Fatalf("%s has %d of the functions", library, looked)
	}
	return changed
}

// fileOffset is where in the file a virtual address lies.
func fileOffset(t testing.TB, file *elf.File, address uint64) uint64 {
	t.Helper()
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD && p.Vaddr <= address && address < p.Vaddr+p.Filesz {
			return address - p.Vaddr + p.Off
		}
	}
	t.Fatalf("%#x is in no segment", address)
	return 0
}

// codeOf is where a process maps the code of a library, and from which place of
// the file on.
func codeOf(t testing.TB, pid int, library string) (start, offset uint64) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 6 && f[5] == library && strings.Contains(f[1], "x") {
			if _, err := fmt.Sscanf(f[0]+" "+f[2], "%x-%x %x", &start, new(uint64), &offset); err != nil {
				t.Fatal(err)
			}
			return start, offset
		}
	}
	t.Fatalf("process %d does not map %s", pid, library)
	return 0, 0
}
