// SPDX-License-Identifier: Apache-2.0

package store

// keepWithin lets go of what is beyond the limit.
func (s *Store) keepWithin() {
	for s.used() > s.limit && (s.idle != nil || s.makeRoom()) {
		s.dropIdle()
	}
}

// makeRoom lets go of the oldest segment in memory, or else of the oldest in the
// file. It returns false where there is nothing to let go of.
func (s *Store) makeRoom() bool {
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
	s.forgetAll(g, g.dir.entries)
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
// for its directory: forgetDropped does the rest.
func (s *Store) dropOldest() {
	g := s.segs[0]
	s.dropFront()
	if g.stored != nil { // else it was forgotten when it was lost
		g.pins.Add(1)
		s.dropped = append(s.dropped, g)
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
