// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
)

// mapping is an executable mapping of a file.
type mapping struct {
	start, end   uint64 // addresses, as they name it in /proc/PID/map_files
	major, minor uint32 // of the file system; differs from stat's on btrfs and overlayfs
	inode        uint64
	path         string
	deleted      bool
}

// deletedSuffix is what the kernel appends to the path of an unlinked file.
const deletedSuffix = " (deleted)"

// setPath takes a path as the kernel writes it. A file whose own name ends like
// that of a deleted one is found all the same, through map_files.
func (m *mapping) setPath(path string) { m.path, m.deleted = strings.CutSuffix(path, deletedSuffix) }

// sameFile reports whether both map one file, as far as maps can tell: on btrfs
// subvolumes share device and inode numbers.
func (m *mapping) sameFile(n *mapping) bool {
	return m.inode == n.inode && m.major == n.major && m.minor == n.minor && m.path == n.path
}

// readMaps returns the executable mappings of files that keep wants, one for
// each file. A process that has ended, and a kernel thread, has none.
func readMaps(pid int, keep func(path []byte, inode uint64) bool) ([]mapping, error) {
	f, err := os.Open(procPath(pid, "maps"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []mapping
	// Longer than any line: the kernel gives at most a page of path.
	r := bufio.NewReaderSize(f, 32<<10)
	for {
		line, err := r.ReadSlice('\n')
		switch err {
		case nil:
		case bufio.ErrBufferFull:
			continue
		case io.EOF:
			return found, nil
		default:
			return found, err
		}
		m, path, ok := parseMapping(line)
		if !ok || !keep(bytes.TrimSuffix(path, []byte(deletedSuffix)), m.inode) {
			continue
		}
		m.setPath(unescape(path))
		known := false
		for i := range found {
			known = known || found[i].sameFile(&m)
		}
		if !known {
			found = append(found, m)
		}
	}
}

// parseMapping parses a line of proc_pid_maps(5). It fails for mappings that
// are not executable or of no file. The path is a part of line.
//
//	7f1db2e6e000-7f1db2f0c000 r-xp 0001e000 fe:00 1234    /usr/lib/libssl.so.3
func parseMapping(line []byte) (m mapping, path []byte, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	var f [5][]byte
	for i := range f {
		if f[i], line, ok = bytes.Cut(line, []byte(" ")); !ok && i < len(f)-1 {
			return m, nil, false
		}
	}
	if len(f[1]) < 3 || f[1][2] != 'x' {
		return m, nil, false
	}
	path = bytes.TrimLeft(line, " ")
	if len(path) == 0 || path[0] != '/' {
		return m, nil, false
	}
	ok = true
	number := func(b []byte, base, bits int) uint64 {
		n, err := strconv.ParseUint(string(b), base, bits)
		ok = ok && err == nil
		return n
	}
	start, end, _ := bytes.Cut(f[0], []byte("-"))
	major, minor, _ := bytes.Cut(f[3], []byte(":"))
	m.start, m.end = number(start, 16, 64), number(end, 16, 64)
	m.major, m.minor = uint32(number(major, 16, 32)), uint32(number(minor, 16, 32))
	m.inode = number(f[4], 10, 64)
	return m, path, ok && m.inode != 0
}

// unescape undoes the one replacement that the kernel makes in maps.
func unescape(path []byte) string { return strings.ReplaceAll(string(path), `\012`, "\n") }
