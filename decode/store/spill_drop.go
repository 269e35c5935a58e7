// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

// A value of Store.streams is a place in the slab or, of a stream without a
// summary whose rows are in the file, past with its newest segment and the
// ordinal of its next frame. A value of Store.ids is always the latter; where
// the segment is in memory, its directory knows better.
const past = 1 << 62

func pastVal(next uint64, seg uint32) uint64 {
	return past | uint64(seg&(1<<30-1))<<32 | min(next, 1<<32-1)
}

func pastOf(val uint64) (next uint64, seg uint32) {
	return val & (1<<32 - 1), uint32(val>>32) & (1<<30 - 1)
}

// keepWithin lets go of what is beyond the limit.
func (s *Store) keepWithin() {
	for s.used() > s.limit && (s.idle != nil || s.makeRoom()) {
		s.dropIdle()
	}
}

// makeRoom lets go of the oldest segment in memory, or else of all that the
// file holds. It returns false where there is nothing to let go of.
func (s *Store) makeRoom() bool {
	switch {
	case s.inFile == len(s.segs)-1 && s.inFile > 0:
		s.abandon() // what the file needs in memory is too much
		return true
	case s.inFile == len(s.segs)-1:
		return false
	case s.spill == nil || s.spillErr != nil:
		s.evict()
		return true
	}
	g := s.segs[s.inFile]
	switch {
	case g.stored != nil:
		s.keepOrdinals(g)
	case s.inFile == 0:
		s.evict() // nothing is before it
		return true
	default:
		s.lose(g)
	}
	s.unload(g)
	s.inFile++
	return true
}

// unload takes the block and the directory of a segment out of memory.
func (s *Store) unload(g *segment) {
	s.segHeld -= g.bytes()
	g.fields = nil
	// A reader that still has a pin keeps the block; the garbage collector
	// takes it later.
	if s.idle == nil && len(g.block) == s.segBytes && g.pins.Load() == 0 {
		s.idle = &segment{block: g.block, dir: g.dir}
		s.segHeld += s.idle.bytes()
	}
	g.block, g.dir = nil, directory{}
}

// keepOrdinals notes where the views of stream ids go on, which only g knows.
func (s *Store) keepOrdinals(g *segment) {
	for i := range g.dir.entries {
		e := &g.dir.entries[i]
		if e.key&tagged == 0 || e.key&(1<<32) != 0 {
			continue
		}
		if val, ok := s.ids.get(uint64(uint32(e.key))); ok {
			if _, num := pastOf(val); num == g.num {
				s.ids.put(uint64(uint32(e.key)), pastVal(e.before+uint64(e.count), g.num))
			}
		}
	}
}

// lose gives the rows of a segment up that the file did not take in time. The
// segment stays, so that ordinals do; its rows are told as not kept.
func (s *Store) lose(g *segment) {
	s.forget(g.num, g.first+uint64(g.n)-1, g.dir.entries)
	s.notKept += uint64(g.n)
	s.fileHeld += g.fileCost()
}

// dropFront takes the oldest segment, which is not in memory, out of the list.
// What others know of it is still there.
func (s *Store) dropFront() {
	g := s.segs[0]
	s.segs = append([]*segment(nil), s.segs[1:]...) // readers have the old list
	s.inFile--
	g.gone.Store(true)
	s.findBytes -= g.findBytes
	g.findings, g.findBytes = nil, 0
	s.fileHeld -= g.fileCost()
	if g.stored != nil {
		s.fileBytes -= g.stored.front + g.stored.records + g.stored.list
	} else {
		s.notKept -= uint64(g.n)
	}
	s.generation++
}

// abandon evicts all that is not in memory, without looking at the file.
func (s *Store) abandon() {
	for s.inFile > 0 {
		s.dropFront()
	}
	s.forgetBefore(s.segs[0].num)
}

// failSpill goes on without the file.
func (s *Store) failSpill(err error) {
	s.spillErr = err
	s.abandon()
	for _, g := range s.segs {
		if g.stored != nil {
			s.fileBytes -= g.stored.front + g.stored.records + g.stored.list
			s.fileHeld -= g.fileCost()
			g.stored, g.keys = nil, nil
		}
	}
	s.generation++
}

// forget drops what a segment alone kept alive: streams and stream ids whose
// newest rows are in it, and what connections hold in it.
func (s *Store) forget(num uint32, lastSeq uint64, entries []dirEntry) {
	for i := range entries {
		e := &entries[i]
		switch {
		case e.key&tagged == 0:
			s.forgetStream(e.key, func(seg uint32) bool { return seg == num })
		case e.key&(1<<32) == 0:
			s.forgetID(uint32(e.key), func(seg uint32) bool { return seg == num })
		}
	}
	left := false
	for i := range entries {
		if e := &entries[i]; e.key&tagged != 0 && e.key&(1<<32) != 0 {
			c := s.conns[capture.ConnID(uint32(e.key))]
			if c == nil {
				continue
			}
			s.leave(c, lastSeq)
			c.held -= uint64(e.count)
			left = left || c.held == 0
		}
	}
	s.slab.shrink()
	if left {
		s.dropConns()
	}
}

func (s *Store) forgetStream(key uint64, old func(seg uint32) bool) {
	val, ok := s.streams.get(key)
	if !ok {
		return
	}
	if val&past != 0 {
		if _, seg := pastOf(val); old(seg) {
			s.streams.del(key)
		}
		return
	}
	r := s.slab.at(uint32(val))
	if !old(r.lastSeg) {
		return
	}
	s.streams.del(key)
	if r.id == 0 { // in no list
		s.freeStream(uint32(val))
		return
	}
	r.dead = true
}

func (s *Store) forgetID(id uint32, old func(seg uint32) bool) {
	if val, ok := s.ids.get(uint64(id)); ok {
		if _, seg := pastOf(val); old(seg) {
			s.ids.del(uint64(id))
			s.goneID, s.idsGone = max(s.goneID, id), true
		}
	}
}

// forgetBefore is forget for all segments before num, of which none is held and
// all others are in memory. It looks through everything.
func (s *Store) forgetBefore(num uint32) {
	old := func(seg uint32) bool { return seg < num }
	var keys []uint64
	s.streams.all(func(key, _ uint64) { keys = append(keys, key) })
	for _, key := range keys {
		s.forgetStream(key, old)
	}
	keys = keys[:0]
	s.ids.all(func(key, _ uint64) { keys = append(keys, key) })
	for _, key := range keys {
		s.forgetID(uint32(key), old)
	}
	lastSeq := s.segs[0].first - 1
	for _, c := range s.connList {
		s.leave(c, lastSeq)
		c.held = 0
	}
	for _, g := range s.segs {
		for i := range g.dir.entries {
			if e := &g.dir.entries[i]; e.key&tagged != 0 && e.key&(1<<32) != 0 {
				s.conns[capture.ConnID(uint32(e.key))].held += uint64(e.count)
			}
		}
	}
	s.slab.shrink()
	s.dropConns()
}

// leaveAll takes dead streams out of the lists of the connections among the
// entries.
func (s *Store) leaveAll(lastSeq uint64, entries []dirEntry) {
	for i := range entries {
		if e := &entries[i]; e.key&tagged != 0 && e.key&(1<<32) != 0 {
			if c := s.conns[capture.ConnID(uint32(e.key))]; c != nil {
				s.leave(c, lastSeq)
			}
		}
	}
}

func (s *Store) closed(conn uint32) bool {
	c := s.conns[capture.ConnID(conn)]
	return c == nil || c.Closed != 0
}
