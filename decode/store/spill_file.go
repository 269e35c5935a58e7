// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultSpill is the bound on a spill file where OpenSpill is given none.
const DefaultSpill = 4 << 30

// Spill is the file that takes the rows for which there is no memory. It holds
// plaintext; it has no name, and only its owner's processes could open it.
type Spill struct {
	file  spillFile
	limit int64
	queue []extent // not free, oldest first
	tail  int64    // behind the newest
	high  int64    // the highest octet that was ever written
}

// spillFile is an *os.File.
type spillFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// extent is the part of the file that a segment has.
type extent struct {
	at, size int64
	g        *segment
}

// OpenSpill makes a spill file in dir that takes up to limit octets, 0 for
// DefaultSpill, and no more than half of what is free there now. The file has mode 0600 and is unlinked from the beginning, or
// where the file system cannot make a file without a name, at once: when the
// process ends, however it does, nothing is left.
func OpenSpill(dir string, limit int64) (*Spill, error) {
	if limit == 0 {
		limit = DefaultSpill
	}
	f, err := openUnlinked(dir)
	if err != nil {
		return nil, fmt.Errorf("making a file for the history: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &fs); err != nil {
		f.Close()
		return nil, fmt.Errorf("asking for the room in %s: %w", dir, err)
	}
	return &Spill{file: f, limit: min(limit, int64(fs.Bavail)*fs.Bsize/2)}, nil
}

func openUnlinked(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir+" (no name)"), nil
	}
	// EISDIR is what kernels and file systems without O_TMPFILE say (open(2)).
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f, err := os.CreateTemp(dir, "h2sniff-*") // O_EXCL, 0600
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close gives the file back. Rows in it cannot be read any more. RunSpill must
// have ended.
func (p *Spill) Close() error { return p.file.Close() }

// Limit is how many octets the file takes.
func (p *Spill) Limit() int64 { return p.limit }

// place finds room for size octets behind the newest ones, or from the
// beginning of the file again. It returns false where the oldest must go first.
func (p *Spill) place(size int64) (at int64, ok bool) {
	if len(p.queue) == 0 {
		return 0, size <= p.limit
	}
	head := p.queue[0].at
	switch {
	case p.tail > head && p.tail+size <= p.limit:
		return p.tail, true
	case p.tail > head:
		return 0, size <= head
	}
	return p.tail, p.tail+size <= head
}

func (p *Spill) push(e extent) {
	p.queue = append(p.queue, e)
	p.tail = e.at + e.size
	p.high = max(p.high, p.tail)
}

// unpush takes the newest one back.
func (p *Spill) unpush() {
	p.queue = p.queue[:len(p.queue)-1]
	if n := len(p.queue); n > 0 {
		p.tail = p.queue[n-1].at + p.queue[n-1].size
	}
}

// reclaim frees what evicted segments had that no one reads any more.
func (p *Spill) reclaim() {
	for len(p.queue) > 0 && p.queue[0].g.gone.Load() && p.queue[0].g.pins.Load() == 0 {
		p.queue[0].g = nil
		p.queue = p.queue[1:]
	}
}
