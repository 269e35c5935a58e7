// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"h2sniff/capture"
	"h2sniff/decode"
)

// key returns the key of a view that has one, and the offset of its chain.
// The view of every row has none.
func (v View) key() (key uint64, offset int, all bool) {
	switch {
	case v.Conn == 0 && !v.HasStream:
		return 0, 0, true
	case !v.HasStream:
		return connKey(v.Conn), chainConn, false
	case v.Conn == 0:
		return idKey(v.Stream &^ (1 << 31)), chainID, false
	}
	return streamKey(v.Conn, v.Stream&^(1<<31)), chainStream, false
}

// Span returns the ordinals of the rows of v that are held: [first, end).
// A row's ordinal in a view never changes: appending makes end grow, eviction
// first. Of View{} the ordinal is Seq-1. Of other views it counts from 0, save
// that a connection or stream which comes back after its summary was evicted
// goes on from a higher ordinal than it had, not necessarily the next; so does a
// stream where rows could not be kept.
// A view without rows gives the same number twice.
func (s *Store) Span(v View) (first, end uint64) {
	key, _, all := v.key()
	first, end, found, file := s.spanInMemory(v, key, all)
	for _, g := range file {
		e, ok := s.storedRows(g, key)
		if !ok {
			continue
		}
		for i := len(file) - 1; !found; i-- {
			if e, ok := s.storedRows(file[i], key); ok || file[i] == g {
				end, found = e.before+uint64(e.count), true
			}
		}
		return e.before, max(e.before, end)
	}
	return first, end
}

// spanInMemory is Span of the rows in memory, and the segments of the file in which
// there may be more.
func (s *Store) spanInMemory(v View, key uint64, all bool) (first, end uint64, found bool, file []*segment) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case v.Selection != nil:
		first, end = v.Selection.span()
		return first, end, true, nil
	case all:
		return s.segs[0].first - 1, s.last, true, nil
	}
	mem := s.segs[s.inFile:]
	for _, g := range mem {
		if e, ok := g.dir.rows(key); ok {
			first, found = e.before, true
			break
		}
	}
	for i := len(mem) - 1; found; i-- {
		if e, ok := mem[i].dir.rows(key); ok {
			end = e.before + uint64(e.count)
			break
		}
	}
	if c := s.conns[v.Conn]; !found && c != nil && !v.HasStream {
		first, end = c.next, c.next
	}
	return first, end, found, s.segs[:s.inFile]
}

// part is a run of a view's rows within one segment, which is pinned.
type part struct {
	g      *segment
	block  []byte // nil: not in memory
	lo, hi int    // of the view's rows in g
	tail   uint16
	count  int

	findings []finding
}

// Rows returns up to n rows of v from the ordinal from on, or from the first
// one held if that is later. A row that could not be kept is a RowGap with the
// reason GapNotKept.
func (s *Store) Rows(v View, from uint64, n int) []Entry {
	if n <= 0 {
		return nil
	}
	if v.Selection != nil {
		return v.Selection.rows(from, n)
	}
	key, offset, all := v.key()
	parts, total := s.pin(key, all, from, n)
	if total == 0 {
		return nil
	}
	rows := make([]Entry, 0, total)
	var locals []uint16
	for _, p := range parts {
		from := len(rows)
		block, err := s.blockOf(p.g, p.block)
		switch {
		case err != nil:
			for local := p.lo; local < p.hi; local++ {
				rows = append(rows, notKept(p.g, v.Conn, local))
			}
		case all:
			for local := p.lo; local < p.hi; local++ {
				rows = append(rows, readRow(block, p.g.first, local))
			}
		default:
			locals = chain(locals[:0], block, offset, p.tail, p.count, p.lo, p.hi)
			for _, local := range locals {
				rows = append(rows, readRow(block, p.g.first, int(local)))
			}
		}
		if err == nil {
			give(rows[from:], p.g.first, p.findings)
		}
		p.g.pins.Add(-1)
	}
	return rows
}

// notKept stands for a row that cannot be read.
func notKept(g *segment, conn capture.ConnID, local int) Entry {
	return Entry{Seq: g.first + uint64(local), Row: decode.Row{
		Kind: decode.RowGap, GapReason: decode.GapNotKept, Conn: conn, Time: g.time, TimeEnd: g.time,
	}}
}

// pin finds and pins the segments in which the rows from..from+n of a view
// lie. Whoever reads a part takes its pin away.
func (s *Store) pin(key uint64, all bool, from uint64, n int) (parts []part, total int) {
	memory, file := s.pinMemory(key, all, from, n)
	if len(file) == 0 || len(memory.parts) > 0 && memory.first <= from {
		return memory.parts, memory.total
	}
	stored := run{from: from, n: n}
	for _, g := range file {
		before, e := g.first-1, dirEntry{}
		if !all {
			var ok bool
			if e, ok = s.storedRows(g, key); !ok {
				continue
			}
			before = e.before
		} else {
			e.count = uint16(g.n)
		}
		if stored.add(g, nil, e, before) {
			break
		}
	}
	s.shared(stored.takeFindings)
	// Those in memory follow, as far as there is room.
	for _, p := range memory.parts {
		p.hi = min(p.hi, p.lo+n-stored.total)
		if p.hi <= p.lo {
			p.g.pins.Add(-1)
			continue
		}
		stored.parts = append(stored.parts, p)
		stored.total += p.hi - p.lo
	}
	return stored.parts, stored.total
}

// pinMemory is pin for the rows in memory, and the segments of the file in which
// there may be more.
func (s *Store) pinMemory(key uint64, all bool, from uint64, n int) (memory run, file []*segment) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	file, mem := s.segs[:s.inFile], s.segs[s.inFile:]
	if all {
		if i := s.segmentOf(from + 1); i < len(file) {
			file = file[i:]
		} else {
			file, mem = nil, s.segs[i:]
		}
	}
	memory = run{from: from, n: n}
	for _, g := range mem {
		before, e := g.first-1, dirEntry{}
		if !all {
			var ok bool
			if e, ok = g.dir.rows(key); !ok {
				continue
			}
			before = e.before
		} else {
			e.count = uint16(g.n)
		}
		if memory.add(g, g.block, e, before) {
			break
		}
	}
	memory.takeFindings()
	return memory, file
}

// run collects the parts of n rows of a view from an ordinal on.
type run struct {
	from, first uint64 // first: ordinal of the first one found
	n, total    int
	parts       []part
}

// takeFindings takes what is known of the rows. The store's lock is held.
func (r *run) takeFindings() {
	for i := range r.parts {
		r.parts[i].findings = r.parts[i].g.findings
	}
}

// add takes what is wanted of a segment, which has the view's rows e from the
// ordinal before on, and reports whether that is all.
func (r *run) add(g *segment, block []byte, e dirEntry, before uint64) (done bool) {
	if r.from >= before+uint64(e.count) || !g.pinStored() {
		return false
	}
	r.from = max(r.from, before)
	p := part{g: g, block: block, tail: e.tail, count: int(e.count)}
	p.lo = int(r.from - before)
	p.hi = min(p.count, p.lo+r.n-r.total)
	if len(r.parts) == 0 {
		r.first = r.from
	}
	r.parts = append(r.parts, p)
	r.total += p.hi - p.lo
	r.from += uint64(p.hi - p.lo)
	return r.total == r.n
}

// segmentOf returns the index of the segment that holds seq, the first one if
// seq was evicted, the last one if it is not there yet.
func (s *Store) segmentOf(seq uint64) int {
	i, found := slices.BinarySearchFunc(s.segs, seq, func(g *segment, seq uint64) int {
		switch {
		case g.first < seq:
			return -1
		case g.first > seq:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	return max(i, 0)
}

// Frame returns the row with the given Seq, ErrEvicted if it was there once,
// ErrNotKept if it is lost or cannot be read, ErrNotYet if it has not been
// appended. A Seq of 0 counts as evicted.
func (s *Store) Frame(seq uint64) (Entry, error) {
	g, block, findings, err := s.pinRow(seq)
	if err != nil {
		return Entry{}, err
	}
	defer g.pins.Add(-1)
	if block, err = s.blockOf(g, block); err != nil {
		return Entry{}, err
	}
	e := readRow(block, g.first, int(seq-g.first))
	e.Findings = findingsOf(findings, uint16(seq-g.first))
	return e, nil
}

// pinRow finds and pins the segment of a row.
func (s *Store) pinRow(seq uint64) (g *segment, block []byte, findings []finding, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case seq > s.last:
		return nil, nil, nil, ErrNotYet
	case seq < s.segs[0].first:
		return nil, nil, nil, ErrEvicted
	}
	g = s.segs[s.segmentOf(seq)]
	g.pins.Add(1)
	return g, g.block, g.findings, nil
}

// Find returns the ordinal in v of the first held row whose Seq is at least
// seq; the end of v's span if there is none.
func (s *Store) Find(v View, seq uint64) uint64 {
	key, offset, all := v.key()
	ordinal, found, file := s.findInMemory(v, key, offset, all, seq)
	for _, g := range file {
		e, ok := s.storedRows(g, key)
		if !ok {
			continue
		}
		if seq <= g.first {
			return e.before
		}
		if !g.pinStored() {
			continue
		}
		block, err := s.blockOf(g, nil)
		g.pins.Add(-1)
		if err != nil {
			return e.before
		}
		if ordinal, ok := findIn(g, block, e, offset, seq); ok {
			return ordinal
		}
	}
	if found {
		return ordinal
	}
	_, end := s.Span(v)
	return end
}

// findInMemory is Find for the rows in memory, and the segments of the file that are
// to be looked at before.
func (s *Store) findInMemory(v View, key uint64, offset int, all bool, seq uint64) (ordinal uint64, found bool, file []*segment) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case v.Selection != nil:
		return v.Selection.find(seq), true, nil
	case all:
		return min(max(seq, s.segs[0].first)-1, s.last), true, nil
	}
	at := s.segmentOf(seq)
	file, mem := s.segs[min(at, s.inFile):s.inFile], s.segs[max(at, s.inFile):]
	for _, g := range mem {
		if e, ok := g.dir.rows(key); ok {
			if ordinal, found = findIn(g, g.block, e, offset, seq); found {
				break
			}
		}
	}
	return ordinal, found, file
}

// findIn is Find within a segment.
func findIn(g *segment, block []byte, e dirEntry, offset int, seq uint64) (uint64, bool) {
	if seq <= g.first {
		return e.before, true
	}
	k := chainFrom(block, offset, e.tail, int(e.count), int(seq-g.first))
	return e.before + uint64(int(e.count)-k), k > 0
}
