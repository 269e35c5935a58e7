// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// changedFunctions compares all of a library's code in a process's memory with
// the library's file. It names each place at which they differ: by the function
// that begins there or, as for those that have no symbol, by its place in the
// file. library is the path that the process maps.
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
	names := make(map[uint64]string)
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Section != elf.SHN_UNDEF {
			names[fileOffset(t, file, s.Value)] = s.Name
		}
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
	start, end, mapped := codeOf(t, pid, library)
	code := make([]byte, min(end-start, uint64(len(content))-mapped))
	if _, err := memory.ReadAt(code, int64(start)); err != nil {
		t.Fatalf("reading the code of %s in process %d: %v", library, pid, err)
	}
	var changed []string
	for i, octet := range code {
		if offset := mapped + uint64(i); octet != content[offset] {
			name, ok := names[offset]
			if !ok {
				name = fmt.Sprintf("%#x", offset)
			}
			changed = append(changed, name)
		}
	}
	return changed
}

// probed says whether all probes of a libssl are in place: those that are
// placed last, and as many as a libssl has at least.
func probed(changed []string) bool { return slices.Contains(changed, "SSL_free") && len(changed) >= 8 }

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
func codeOf(t testing.TB, pid int, library string) (start, end, offset uint64) {
	t.Helper()
	maps, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) == 6 && f[5] == library && strings.Contains(f[1], "x") {
			if _, err := fmt.Sscanf(f[0]+" "+f[2], "%x-%x %x", &start, &end, &offset); err != nil {
				t.Fatal(err)
			}
			return start, end, offset
		}
	}
	t.Fatalf("process %d does not map %s", pid, library)
	return 0, 0, 0
}
