// SPDX-License-Identifier: Apache-2.0

package store

// keepWithin lets go of what is beyond the limit. With goOn there seldom is any.
func (s *Store) keepWithin() {
	for s.used() > s.limit && (s.dropIdle() || s.makeRoom()) {
	}
}

// makeRoom brings to an end what is leaving, or lets go of the oldest segment in
// memory, or else of the oldest in the file. It returns false where there is
// nothing to let go of.
func (s *Store) makeRoom() bool {
	if d := s.departing(); d != nil {
		s.forget(d, 1<<62)
		return true
	}
	switch {
	case s.inFile == len(s.segs)-1 && s.inFile > 0:
		// What the file needs in memory is too much, and RunSpill was too slow to
		// do something about it. A few at once, since sweep looks through
		// everything.
		for range 1 + s.inFile/32 {
			s.dropOldest()
		}
		if s.sweep(); s.inFile == 0 {
			s.recount()
		}
		return true
	case s.inFile == len(s.segs)-1:
		return false
	case !s.spilling():
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
	if g.pins.Load() == 0 {
		if s.idle.block == nil && len(g.block) == s.segBytes {
			s.idle.block = g.block
			s.segHeld += int64(len(g.block))
		}
		s.keepDirectory(&g.dir)
	}
	g.block, g.dir = nil, directory{}
}

// keepDirectory keeps the memory of a directory, where there is no other.
func (s *Store) keepDirectory(d *directory) {
	if s.idle.dir.bytes() == 0 {
		s.idle.dir = *d
		s.segHeld += d.bytes()
	}
}

// keepOrdinals notes where the views of stream ids go on, which only g knows.
func (s *Store) keepOrdinals(g *segment) {
	for i := range g.dir.entries {
		e := &g.dir.entries[i]
		if !e.ofID() {
			continue
		}
		id := uint64(e.number())
		if num, ok := s.ids.get(id); ok && uint32(num) == g.num {
			s.ids.del(id)
			s.pastIDs.put(id, e.before+uint64(e.count), g.num)
		}
	}
}

// lose gives the rows of a segment up that the file did not take in time. The
// segment stays, so that ordinals do; its rows are told as not kept.
func (s *Store) lose(g *segment) {
	s.depart(g)
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
	}
	s.generation++
}

// dropOldest evicts the oldest segment, which is not in memory, without waiting
// for its directory: RunSpill reads it.
func (s *Store) dropOldest() {
	g := s.segs[0]
	s.dropFront()
	if g.stored != nil { // else it departed when it was lost
		s.departStored(g)
	}
}

// abandon evicts all that is not in memory, without looking at the file.
func (s *Store) abandon() {
	for s.inFile > 0 {
		s.dropFront()
	}
	s.sweep()
	s.recount()
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
