// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestDataOf(t *testing.T) {
	const path = "/usr/lib/libssl3.so"
	maps := `
7f0000000000-7f0000001000 r--p 00000000 fe:00 7    /usr/lib/libssl3.so
7f0000001000-7f0000003000 r-xp 00001000 fe:00 7    /usr/lib/libssl3.so
7f0000003000-7f0000004000 r--p 00003000 fe:00 7    /usr/lib/libssl3.so
7f0000004000-7f0000005000 rw-p 00004000 fe:00 7    /usr/lib/libssl3.so
7f0000005000-7f0000006000 rw-p 00000000 00:00 0 
7f0000007000-7f0000008000 rw-p 00000000 00:00 0 
7f0000008000-7f0000009000 rw-p 00000000 fe:00 8    /usr/lib/libother.so
`
	for name, c := range map[string]struct {
		maps       string
		start, end uint64
	}{
		"with zeros":    {maps, 0x7f0000003000, 0x7f0000006000},
		"without zeros": {strings.ReplaceAll(maps, "7f0000005000-7f0000006000", "7f0000015000-7f0000016000"), 0x7f0000003000, 0x7f0000005000},
		"deleted":       {strings.ReplaceAll(maps, path, path+" (deleted)"), 0x7f0000003000, 0x7f0000006000},
		"another":       {strings.ReplaceAll(maps, path, path+".1"), 0, 0},
		"broken":        {"\n-\nx y z\n7f r-xp 0 0 0 /usr/lib/libssl3.so\n-7f r-xp 0 0 0 /usr/lib/libssl3.so\n", 0, 0},
	} {
		var start, end uint64
		for line := range strings.Lines(c.maps) {
			start, end = extend(start, end, strings.TrimSuffix(line, "\n"), path)
		}
		if start != c.start || end != c.end {
			t.Errorf("%s: %#x to %#x, want %#x to %#x", name, start, end, c.start, c.end)
		}
	}
	if _, _, err := DataOf(&Library{Path: path}, 1<<30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no process: %v", err)
	}
}

func TestDataOfProcess(t *testing.T) {
	needRoot(t)
	library := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	s := start(t)
	s.load(library)
	p := scanOne(t, Selection{PIDs: []int{s.pid}})
	from, to, err := DataOf(&p.Libraries[0], s.pid)
	if err != nil || from >= to || to-from > 1<<20 {
		t.Errorf("%#x to %#x, %v", from, to, err)
	}
	l := p.Libraries[0]
	l.Path += ".other"
	if _, _, err := DataOf(&l, s.pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a library that it does not map: %v", err)
	}
}
