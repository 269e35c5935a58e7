// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

// departure is what is left to do about an evicted segment: to drop what it alone
// kept alive, which is streams and stream ids whose newest rows were in it, and
// what connections held in it.
type departure struct {
	num     uint32
	lastSeq uint64
	entries []dirEntry
	at      int // of entries, counted for streams first and then for connections
	left    bool
}

// forgetSome is how many entries of a directory are forgotten at once where
// others may want the store in between: some 1 ms.
const forgetSome = 2048

func (s *Store) departure(g *segment, entries []dirEntry) *departure {
	return &departure{num: g.num, lastSeq: g.first + uint64(g.n) - 1, entries: entries}
}

// forget goes on with up to n entries, and reports whether that was all.
func (s *Store) forget(d *departure, n int) (done bool) {
	old := func(seg uint32) bool { return seg == d.num }
	for ; n > 0 && d.at < len(d.entries); n-- {
		e := &d.entries[d.at]
		d.at++
		switch {
		case e.ofStream():
			s.forgetStream(e.key, old)
			s.past.leave(e.key, d.num)
		case e.ofID():
			s.forgetID(e.number(), old)
			if id, left := s.pastIDs.leave(uint64(e.number()), d.num); left {
				s.idGone(uint32(id))
			}
		}
	}
	for ; n > 0 && d.at < 2*len(d.entries); n-- {
		e := &d.entries[d.at-len(d.entries)]
		d.at++
		if !e.ofConn() {
			continue
		}
		c := s.conns[capture.ConnID(e.number())]
		if c == nil {
			continue
		}
		s.leave(c, d.lastSeq)
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
	return true
}

// forgetAll is forget to the end.
func (s *Store) forgetAll(g *segment, entries []dirEntry) {
	s.forget(s.departure(g, entries), 2*len(entries)+1)
}

// forgetDropped forgets what segments kept alive that dropOldest evicted.
func (s *Store) forgetDropped() {
	for {
		s.mu.RLock()
		if len(s.dropped) == 0 {
			s.mu.RUnlock()
			return
		}
		g := s.dropped[0]
		s.mu.RUnlock()
		entries, err := s.readDirectory(g)
		d := s.departure(g, entries)
		for done := false; !done; {
			s.mu.Lock()
			switch {
			case len(s.dropped) == 0 || s.dropped[0] != g: // the writer forgot all
				done = true
			case err != nil:
				s.failSpill(err)
				done = true
			case s.forget(d, forgetSome):
				s.dropped = s.dropped[1:]
				g.pins.Add(-1)
				done = true
			}
			s.mu.Unlock()
		}
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
	if r.id == 0 { // in no list
		s.freeStream(uint32(n))
		return
	}
	r.dead = true
	if c := s.conns[capture.ConnID(r.conn)]; c != nil {
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
	for _, g := range s.dropped {
		g.pins.Add(-1)
	}
	s.dropped = nil
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
