// SPDX-License-Identifier: Apache-2.0

package target

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// content tells one content of an inode from the next. The time of the last
// change is not in it: unlinking a file changes that.
type content struct {
	size  int64
	mtime unix.Timespec
}

func contentOf(st *unix.Stat_t) content { return content{st.Size, st.Mtim} }

// OpenFile opens the file that l was read from. It fails with ErrReplaced where
// Open leads to another inode meanwhile, as after a package upgrade, or where
// the file was written to: offsets of Functions would lead anywhere. The caller
// closes the file; its path is of no use.
func (l *Library) OpenFile() (*os.File, error) {
	fd, err := unix.Open(l.Open, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", l.Path, err)
	}
	file := os.NewFile(uintptr(fd), l.Open)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		file.Close()
		return nil, fmt.Errorf("opening %s: %w", l.Path, err)
	}
	if !l.is(&st) {
		file.Close()
		return nil, fmt.Errorf("opening %s: %w", l.Path, ErrReplaced)
	}
	return file, nil
}

// is reports whether st is of the file that l was read from.
func (l *Library) is(st *unix.Stat_t) bool {
	return uint64(st.Dev) == l.Dev && st.Ino == l.Inode && l.content == contentOf(st)
}

// reachable reports whether Open still leads to the file.
func (l *Library) reachable() bool {
	var st unix.Stat_t
	return unix.Stat(l.Open, &st) == nil && l.is(&st)
}
