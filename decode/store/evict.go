// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"h2sniff/decode"
)

// used is how many bytes the store holds.
func (s *Store) used() int64 {
	g := s.segs[len(s.segs)-1]
	return s.segHeld + g.bytes() + s.fields.bytes() + s.streams.bytes() + s.slab.bytes() +
		s.pool.bytes() + s.ids.bytes() + s.past.bytes() + s.pastIDs.bytes() + s.connBytes + s.findBytes + s.fileHeld + s.images.limit
}

// indexBytes is what of that is not segments in memory.
func (s *Store) indexBytes() int64 { return s.used() - s.segHeld }

// roll seals the open segment and opens one with room for row.
func (s *Store) roll(row *decode.Row, need int) *segment {
	size := s.segBytes
	if need > size {
		size = max(size, exactBound(row))
	}
	g := s.segs[len(s.segs)-1]
	if g.n == 0 { // nothing in it: it was too small
		s.segs = s.segs[:len(s.segs)-1]
		return s.open(size)
	}
	g.dir.trim()
	g.fields = s.fields.places()
	s.segHeld += g.bytes()
	for s.inFile < len(s.segs)-1 {
		more := int64(size)
		if len(s.idle.block) == size {
			more = 0
		}
		if s.used()-g.bytes()+more <= s.limit {
			break
		}
		s.makeRoom()
	}
	s.wakeSpill()
	return s.open(size)
}

// idle is memory of segments that have left, to be used again: a block, and a
// directory.
type idle struct {
	block []byte
	dir   directory
}

func (i *idle) bytes() int64 { return int64(len(i.block)) + i.dir.bytes() }

// dropIdle reports whether there was something to drop.
func (s *Store) dropIdle() bool {
	n := s.idle.bytes()
	s.segHeld -= n
	s.idle = idle{}
	return n > 0
}

func (s *Store) open(size int) *segment {
	g := &segment{block: s.idle.block, dir: s.idle.dir, first: s.last + 1}
	s.dropIdle()
	if len(g.block) != size {
		g.block = make([]byte, size)
	}
	g.dir.h = s.h
	g.dir.reset()
	if n := len(s.segs); n > 0 {
		g.num = s.segs[n-1].num + 1
	}
	s.fields.reset()
	s.segs = append(s.segs, g)
	return g
}

// evict drops the oldest segment, which is in memory and not the only one. What
// it alone kept alive departs.
func (s *Store) evict() {
	g := s.segs[0]
	s.segs = append([]*segment(nil), s.segs[1:]...) // readers have the old list
	s.findBytes -= g.findBytes
	g.findings, g.findBytes = nil, 0
	s.depart(g)
	s.unload(g)
}

// dropConns drops closed connections that have no rows left, and open ones
// too, oldest first, while summaries take more than an eighth of the memory.
func (s *Store) dropConns() {
	s.connList = slices.DeleteFunc(s.connList, func(c *connState) bool {
		if c.held > 0 || c.Closed == 0 && s.connBytes <= s.limit/8 {
			return false
		}
		s.connBytes -= c.bytes()
		delete(s.conns, c.ID)
		s.ends.Close(c.ID)
		s.goneConn = max(s.goneConn, c.ID)
		if s.lastConn == c {
			s.lastConn = nil
		}
		return true
	})
}
