// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// DataOf gives the addresses, from start up to end, at which a process has the
// data of a library: what lies behind its code, with the memory that is zero at
// first. The error wraps fs.ErrNotExist where the process has ended or maps the
// library no more.
func DataOf(l *Library, pid int) (start, end uint64, err error) {
	f, err := os.Open(procPath(pid, "maps"))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		start, end = extend(start, end, lines.Text(), l.Path)
	}
	if err := lines.Err(); err != nil {
		return 0, 0, err
	}
	if start == end {
		return 0, 0, fmt.Errorf("%s has no data in process %d: %w", l.Path, pid, fs.ErrNotExist)
	}
	return start, end, nil
}

// extend takes a line of proc_pid_maps(5) in. Until start is 0 no code of the
// file was seen.
func extend(start, end uint64, line, path string) (newStart, newEnd uint64) {
	f := strings.SplitN(line, " ", 6)
	if len(f) < 6 || len(f[1]) < 3 {
		return start, end
	}
	low, high, _ := strings.Cut(f[0], "-")
	from, err := strconv.ParseUint(low, 16, 64)
	to, err2 := strconv.ParseUint(high, 16, 64)
	if err != nil || err2 != nil {
		return start, end
	}
	name := strings.TrimSuffix(strings.TrimLeft(f[5], " "), deletedSuffix)
	switch own := unescape([]byte(name)) == path; {
	case own && f[1][2] == 'x':
		return to, to
	case start == 0:
		return 0, 0
	case own, name == "" && from == end:
		return start, to
	}
	return start, end
}
