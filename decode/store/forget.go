// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"h2sniff/capture"
)

// departure is what is left to do about an evicted segment: to drop what it alone
// kept alive, which is streams and stream ids whose newest rows were in it, and
// what connections held in it. That is done in steps, since others want the store
// in between.
type departure struct {
	g      *segment
	inFile bool      // g was, and is pinned until its directory has been read
	unread bool      // it has not been yet
	dir    directory // of one from the file only the entries
	at     int       // of entries, counted for streams first and then for connections
	left   bool
}

// forgetSome is how many entries of a directory are forgotten at once at most:
// some 1 ms.
const forgetSome = 2048

// depart begins to forget what a segment kept alive that was in memory. Its
// directory is of the departure from then on.
func (s *Store) depart(g *segment) {
	s.leaving = append(s.leaving, &departure{g: g, dir: g.dir})
	g.dir = directory{}
}

// departStored is depart for a segment in the file. RunSpill reads the directory.
func (s *Store) departStored(g *segment) {
	g.pins.Add(1)
	s.leaving = append(s.leaving, &departure{g: g, inFile: true, unread: true})
}

// departing is the departure to go on with; nil where there is none.
func (s *Store) departing() *departure {
	for _, d := range s.leaving {
		if !d.unread {
			return d
		}
	}
	return nil
}

// directoryOf is the directory of a segment to which s.ids leads: it is in memory,
// or leaving it.
func (s *Store) directoryOf(num uint32) *directory {
	for _, d := range s.leaving {
		if d.g.num == num {
			return &d.dir
		}
	}
	return &s.segs[num-s.segs[0].num].dir
}

// spilling tells whether segments go into the file.
func (s *Store) spilling() bool { return s.spill != nil && s.spillErr == nil }

// goOn evicts a little ahead of the limit, so that Append never has to evict a
// whole segment at once: as octets are written, as many entries are forgotten as
// keep step. A directory has at most one for each dirEntrySize octets of a block,
// and each is looked at twice.
func (s *Store) goOn(octets int) {
	switch d := s.departing(); {
	case d != nil:
		s.forget(d, min(16+2*octets/dirEntrySize, forgetSome))
	case !s.spilling() && s.inFile == 0 && len(s.segs) > 1 && s.used()-s.idle.bytes() > s.limit-s.limit/64:
		s.evict()
	}
}

// forget goes on with up to n entries of a departure, which leaves the list with
// the last one, and reports whether that was all.
func (s *Store) forget(d *departure, n int) (done bool) {
	entries := d.dir.entries
	num := d.g.num
	old := func(seg uint32) bool { return seg == num }
	for ; n > 0 && d.at < len(entries); n-- {
		e := &entries[d.at]
		d.at++
		switch {
		case e.ofStream():
			s.forgetStream(e.key, old)
			s.past.leave(e.key, num)
		case e.ofID():
			s.forgetID(e.number(), old)
			if id, left := s.pastIDs.leave(uint64(e.number()), num); left {
				s.idGone(uint32(id))
			}
		}
	}
	for ; n > 0 && d.at < 2*len(entries); n-- {
		e := &entries[d.at-len(entries)]
		d.at++
		if !e.ofConn() {
			continue
		}
		c := s.conns[capture.ConnID(e.number())]
		if c == nil {
			continue
		}
		s.leave(c, d.g.first+uint64(d.g.n)-1)
		c.held -= uint64(e.count)
		d.left = d.left || c.held == 0
	}
	if n == 0 {
		return false
	}
	s.slab.shrink()
	if d.left {
		s.dropConns()
	}
	s.leaving = slices.DeleteFunc(s.leaving, func(l *departure) bool { return l == d })
	s.end(d)
	return true
}

// end gives back what a departure has.
func (s *Store) end(d *departure) {
	if d.inFile {
		if d.unread {
			d.g.pins.Add(-1)
		}
		return
	}
	s.segHeld -= d.dir.bytes()
	if d.g.pins.Load() == 0 {
		s.keepDirectory(&d.dir)
	}
}

// forgetLeaving forgets all that is leaving, in steps, and reads the directories of
// what was in the file. Only RunSpill may call it.
func (s *Store) forgetLeaving() {
	for {
		var d *departure
		unread := false
		s.shared(func() {
			if len(s.leaving) > 0 {
				d = s.leaving[0]
				unread = d.unread
			}
		})
		if d == nil {
			return
		}
		var entries []dirEntry
		var err error
		if unread {
			entries, err = s.readDirectory(d.g)
		}
		s.locked(func() {
			switch {
			case len(s.leaving) == 0 || s.leaving[0] != d: // the writer forgot all
			case err != nil:
				s.failSpill(err)
			default:
				if unread {
					d.dir.entries, d.unread = entries, false
					d.g.pins.Add(-1)
				}
				s.forget(d, forgetSome)
			}
		})
	}
}

func (s *Store) forgetStream(key uint64, old func(seg uint32) bool) {
	n, ok := s.streams.get(key)
	if !ok {
		return
	}
	r := s.slab.at(uint32(n))
	if !old(r.lastSeg) {
		return
	}
	s.streams.del(key)
	c := s.conns[capture.ConnID(r.conn)]
	if c != nil {
		c.gone = max(c.gone, r.id+1)
	}
	if r.id == 0 { // in no list
		s.freeStream(uint32(n))
		return
	}
	r.dead = true
	if c != nil {
		c.dead++
	}
}

func (s *Store) idGone(id uint32) { s.goneID, s.idsGone = max(s.goneID, id), true }

func (s *Store) forgetID(id uint32, old func(seg uint32) bool) {
	if num, ok := s.ids.get(uint64(id)); ok && old(uint32(num)) {
		s.ids.del(uint64(id))
		s.idGone(id)
	}
}

// sweep forgets all streams and stream ids whose newest rows have been evicted. It
// looks through everything, but needs no directory.
func (s *Store) sweep() {
	first := s.segs[0]
	old := func(seg uint32) bool { return seg < first.num }
	var keys []uint64
	collect := func(key, _ uint64) { keys = append(keys, key) }
	s.streams.all(collect)
	for _, key := range keys {
		s.forgetStream(key, old)
	}
	keys = keys[:0]
	s.ids.all(collect)
	for _, key := range keys {
		s.forgetID(uint32(key), old)
	}
	s.past.leaveBefore(first.num)
	if id, left := s.pastIDs.leaveBefore(first.num); left {
		s.idGone(uint32(id))
	}
	for _, c := range s.connList {
		s.leave(c, first.first-1)
	}
	s.slab.shrink()
}

// recount counts anew what connections hold, where all that is held is in memory.
func (s *Store) recount() {
	for _, d := range s.leaving {
		s.end(d)
	}
	s.leaving = nil
	for _, c := range s.connList {
		c.held = 0
	}
	for _, g := range s.segs {
		for i := range g.dir.entries {
			if e := &g.dir.entries[i]; e.ofConn() {
				s.conns[capture.ConnID(e.number())].held += uint64(e.count)
			}
		}
	}
	s.dropConns()
}
