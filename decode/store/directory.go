// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

// Keys of the views that have an index.

const tagged = 1 << 63

func connKey(id capture.ConnID) uint64 { return tagged | 1<<32 | uint64(id) }

func streamKey(id capture.ConnID, stream uint32) uint64 { return uint64(id)<<31 | uint64(stream) }

func idKey(stream uint32) uint64 { return tagged | uint64(stream) }

// directory knows, for one segment, which keys have rows in it. The rows of a
// key are chained through the records from the last one back, so that an entry
// needs only the tail, and dropping a segment drops its part of every index.
type directory struct {
	h       hasher
	entries []dirEntry
	index   []uint32 // hash table of entry number + 1; a power of two
}

type dirEntry struct {
	key    uint64
	before uint64 // ordinal in the key's view of its first row in this segment
	ref    uint32 // stream keys: place in the stream slab
	link   uint32 // stream keys: entry number of the id key
	tail   uint16 // last row, as local index
	count  uint16 // rows; 0 for a promised stream that has none yet
}

func (e *dirEntry) ofStream() bool { return e.key&tagged == 0 }
func (e *dirEntry) ofConn() bool   { return e.key&tagged != 0 && e.key&(1<<32) != 0 }
func (e *dirEntry) ofID() bool     { return e.key&tagged != 0 && e.key&(1<<32) == 0 }

// number is the connection's, or the stream id, of an entry of either.
func (e *dirEntry) number() uint32 { return uint32(e.key) }

const dirEntrySize = 32

func (d *directory) bytes() int64 {
	return int64(cap(d.entries))*dirEntrySize + int64(cap(d.index))*4
}

func (d *directory) find(key uint64) (int, bool) {
	if len(d.entries) == 0 { // no index yet
		return 0, false
	}
	mask := uint32(len(d.index) - 1)
	for i := d.h.sum(key) & mask; ; i = (i + 1) & mask {
		n := d.index[i]
		if n == 0 {
			return 0, false
		}
		if d.entries[n-1].key == key {
			return int(n - 1), true
		}
	}
}

// add appends an entry for a key that is not there.
func (d *directory) add(e dirEntry) int {
	if (len(d.entries)+1)*4 > len(d.index)*3 {
		d.index = make([]uint32, max(64, 2*len(d.index)))
		for n := range d.entries {
			d.place(n)
		}
	}
	d.entries = append(d.entries, e)
	d.place(len(d.entries) - 1)
	return len(d.entries) - 1
}

func (d *directory) place(n int) {
	mask := uint32(len(d.index) - 1)
	i := d.h.sum(d.entries[n].key) & mask
	for d.index[i] != 0 {
		i = (i + 1) & mask
	}
	d.index[i] = uint32(n) + 1
}

// rows returns the entry of key where it has rows.
func (d *directory) rows(key uint64) (dirEntry, bool) {
	n, ok := d.find(key)
	if !ok || d.entries[n].count == 0 {
		return dirEntry{}, false
	}
	return d.entries[n], true
}

// trim gives back room that a sealed segment will not need.
func (d *directory) trim() {
	if cap(d.entries)-len(d.entries) > len(d.entries)/8 {
		d.entries = append(make([]dirEntry, 0, len(d.entries)), d.entries...)
	}
}

// reset empties the directory for another segment and keeps its memory.
func (d *directory) reset() {
	if len(d.index) > 16*len(d.entries) {
		d.index = nil
	}
	d.entries = d.entries[:0]
	clear(d.index)
}
