// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"h2sniff/capture"
	"h2sniff/decode"
)

// used is how many bytes the store holds.
func (s *Store) used() int64 {
	g := s.segs[len(s.segs)-1]
	return s.segHeld + g.bytes() + s.fields.bytes() + s.streams.bytes() + s.slab.bytes() +
		s.pool.bytes() + s.ids.bytes() + s.connBytes + s.findBytes
}

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
	s.segHeld += g.bytes()
	for len(s.segs) > 1 {
		more := int64(size)
		if s.idle != nil && len(s.idle.block) == size {
			more = 0
		}
		if s.used()-g.bytes()+more <= s.limit {
			break
		}
		s.evict()
	}
	return s.open(size)
}

func (s *Store) dropIdle() {
	if s.idle != nil {
		s.segHeld -= s.idle.bytes()
		s.idle = nil
	}
}

func (s *Store) open(size int) *segment {
	g := s.idle
	s.dropIdle()
	if g == nil || len(g.block) != size {
		g = &segment{block: make([]byte, size)}
	}
	g.n, g.used = 0, 0
	g.first = s.last + 1
	g.dir.h = s.h
	g.dir.reset()
	if n := len(s.segs); n > 0 {
		g.num = s.segs[n-1].num + 1
	}
	s.fields.reset()
	s.segs = append(s.segs, g)
	return g
}

// evict drops the oldest segment and what it alone kept alive. It is not the
// only one.
func (s *Store) evict() {
	g := s.segs[0]
	s.segs = slices.Delete(s.segs, 0, 1)
	s.segHeld -= g.bytes()
	s.findBytes -= g.findBytes
	g.findings, g.findBytes = nil, 0
	for i := range g.dir.entries {
		e := &g.dir.entries[i]
		switch {
		case e.key&tagged == 0:
			r := s.slab.at(e.ref)
			if r.lastSeg != g.num {
				break
			}
			s.streams.del(e.key)
			if r.id == 0 { // in no list
				s.freeStream(e.ref)
				break
			}
			r.dead = true
		case e.key&(1<<32) == 0:
			id := uint32(e.key)
			if num, ok := s.ids.get(uint64(id)); ok && num == g.num {
				s.ids.del(uint64(id))
				s.goneID = max(s.goneID, id)
			}
		}
	}
	left := false
	lastSeq := g.first + uint64(g.n) - 1
	for i := range g.dir.entries {
		e := &g.dir.entries[i]
		if e.key&tagged == 0 || e.key&(1<<32) == 0 {
			continue
		}
		c := s.conns[capture.ConnID(uint32(e.key))]
		s.leave(c, lastSeq)
		c.held -= uint64(e.count)
		left = left || c.held == 0
	}
	s.slab.shrink()
	if left {
		s.dropConns()
	}
	// A reader that still has a pin keeps the block; the garbage collector
	// takes it later.
	if s.idle == nil && len(g.block) == s.segBytes && g.pins.Load() == 0 {
		s.idle = g
		s.segHeld += g.bytes()
	}
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
