// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"unsafe"
)

// ErrNotKept is returned for a row that did not get into the file in time, or
// cannot be read back from it.
var ErrNotKept = errors.New("row is in the history but could not be kept in its file")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stored is where a segment lies in the file: the front of its block, its
// records as they lie at the end of the block, its directory. Without the
// unused middle, front and records are a block like any other.
type stored struct {
	at                   int64
	front, records, list int64     // octets
	sums                 [3]uint32 // CRC-32C of each
}

// The directory in the file: key, ordinal of the first row, tail and count of
// each entry, in the order of segment.keys.
const listedSize = 8 + 8 + 2 + 2

// fileCost is what a segment costs in memory that is not in memory.
func (g *segment) fileCost() int64 {
	return int64(unsafe.Sizeof(segment{})+unsafe.Sizeof(stored{})) + int64(cap(g.keys))*4
}

// packDirectory gives the hashes of the directory's keys in order, and the
// directory as it is written.
func packDirectory(d *directory) (keys []uint32, list []byte) {
	type hashed struct{ hash, entry uint32 }
	order := make([]hashed, len(d.entries))
	for i := range d.entries {
		order[i] = hashed{d.h.sum(d.entries[i].key), uint32(i)}
	}
	slices.SortFunc(order, func(a, b hashed) int { return int(int64(a.hash) - int64(b.hash)) })
	keys = make([]uint32, len(order))
	list = make([]byte, 0, len(order)*listedSize)
	for i, o := range order {
		keys[i] = o.hash
		e := &d.entries[o.entry]
		list = binary.LittleEndian.AppendUint64(list, e.key)
		list = binary.LittleEndian.AppendUint64(list, e.before)
		list = binary.LittleEndian.AppendUint16(list, e.tail)
		list = binary.LittleEndian.AppendUint16(list, e.count)
	}
	return keys, list
}

func listed(b []byte) dirEntry {
	le := binary.LittleEndian
	return dirEntry{key: le.Uint64(b), before: le.Uint64(b[8:]), tail: le.Uint16(b[16:]), count: le.Uint16(b[18:])}
}

// pinStored pins a segment of which it is not sure that it has not been
// evicted, and reports whether it had not.
func (g *segment) pinStored() bool {
	g.pins.Add(1)
	if g.gone.Load() {
		g.pins.Add(-1)
		return false
	}
	return true
}

// storedRows is directory.rows of a segment that is not in memory. It may wait
// for the disk.
func (s *Store) storedRows(g *segment, key uint64) (dirEntry, bool) {
	hash := s.h.sum(key)
	i, _ := slices.BinarySearch(g.keys, hash)
	if i == len(g.keys) || g.keys[i] != hash || !g.pinStored() {
		return dirEntry{}, false
	}
	defer g.pins.Add(-1)
	for ; i < len(g.keys) && g.keys[i] == hash; i++ {
		var b [listedSize]byte
		if _, err := s.spill.file.ReadAt(b[:], g.stored.at+g.stored.front+g.stored.records+int64(i)*listedSize); err != nil {
			s.readFailed(err)
			return dirEntry{}, false
		}
		if e := listed(b[:]); e.key == key && e.count > 0 && int(e.tail) < g.n && int(e.count) <= g.n {
			return e, true
		}
	}
	return dirEntry{}, false
}

// readDirectory reads the whole directory of a segment that is pinned, or that
// only the caller may evict.
func (s *Store) readDirectory(g *segment) ([]dirEntry, error) {
	b := make([]byte, g.stored.list)
	if err := s.readPart(g, 2, b); err != nil {
		return nil, err
	}
	entries := make([]dirEntry, 0, len(b)/listedSize)
	for ; len(b) > 0; b = b[listedSize:] {
		entries = append(entries, listed(b))
	}
	return entries, nil
}

// readPart reads the front, the records or the directory of a pinned segment
// and checks that they are what was written.
func (s *Store) readPart(g *segment, part int, b []byte) error {
	at := g.stored.at
	if part > 0 {
		at += g.stored.front
	}
	if part > 1 {
		at += g.stored.records
	}
	_, err := s.spill.file.ReadAt(b, at)
	if err == nil && crc32.Checksum(b, castagnoli) != g.stored.sums[part] {
		err = fmt.Errorf("octets %d to %d are not what was written", at, at+int64(len(b)))
	}
	if err != nil {
		s.readFailed(err)
	}
	return err
}

// readFailed keeps the first error of a read for Snapshot.
func (s *Store) readFailed(err error) { s.readErr.CompareAndSwap(nil, &err) }

// imageCache holds the blocks of segments that were read last.
type imageCache struct {
	mu    sync.Mutex
	limit int64
	list  []image // the one used last at the end
	bytes int64
}

type image struct {
	num   uint32
	block []byte
}

// spare is what of its limit is not used.
func (c *imageCache) spare() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit - c.bytes
}

// get is the block of a segment; nil where it is not held.
func (c *imageCache) get(num uint32) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.list, func(m image) bool { return m.num == num })
	if i < 0 {
		return nil
	}
	m := c.list[i]
	c.list = append(slices.Delete(c.list, i, i+1), m)
	return m.block
}

// blockOf is the block of a pinned segment: block where it was in memory, else
// from the file.
func (s *Store) blockOf(g *segment, block []byte) ([]byte, error) {
	if block != nil {
		return block, nil
	}
	if g.stored == nil {
		return nil, ErrNotKept
	}
	c := &s.images
	if b := c.get(g.num); b != nil {
		return b, nil
	}
	b := make([]byte, g.stored.front+g.stored.records)
	if err := s.readPart(g, 0, b[:g.stored.front]); err != nil {
		return nil, ErrNotKept
	}
	if err := s.readPart(g, 1, b[g.stored.front:]); err != nil {
		return nil, ErrNotKept
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if int64(len(b)) > c.limit {
		return b, nil
	}
	c.list = append(c.list, image{g.num, b})
	c.bytes += int64(len(b))
	for c.bytes > c.limit {
		c.bytes -= int64(len(c.list[0].block))
		c.list = slices.Delete(c.list, 0, 1)
	}
	return b, nil
}
