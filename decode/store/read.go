// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"h2sniff/capture"
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
// goes on from a higher ordinal than it had, not necessarily the next.
// A view without rows gives the same number twice.
func (s *Store) Span(v View) (first, end uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.span(v)
}

func (s *Store) span(v View) (first, end uint64) {
	if v.Selection != nil {
		return v.Selection.span()
	}
	key, _, all := v.key()
	if all {
		return s.segs[0].first - 1, s.last
	}
	for i := len(s.segs) - 1; i >= 0; i-- {
		if e, ok := s.segs[i].dir.rows(key); ok {
			end = e.before + uint64(e.count)
			break
		}
	}
	if end == 0 {
		if c := s.conns[v.Conn]; c != nil && !v.HasStream {
			return c.next, c.next
		}
		return 0, 0
	}
	for _, g := range s.segs {
		if e, ok := g.dir.rows(key); ok {
			return e.before, end
		}
	}
	return end, end
}

// part is a run of a view's rows within one segment, which is pinned.
type part struct {
	g      *segment
	lo, hi int // of the view's rows in g
	tail   uint16
	count  int

	findings []finding
}

// Rows returns up to n rows of v from the ordinal from on, or from the first
// one held if that is later.
func (s *Store) Rows(v View, from uint64, n int) []Entry {
	if n <= 0 {
		return nil
	}
	if v.Selection != nil {
		return v.Selection.rows(from, n)
	}
	key, offset, all := v.key()
	parts, total := s.pin(v, key, all, from, n)
	if total == 0 {
		return nil
	}
	rows := make([]Entry, 0, total)
	var locals []uint16
	for _, p := range parts {
		from := len(rows)
		if all {
			for local := p.lo; local < p.hi; local++ {
				rows = append(rows, readRow(p.g.block, p.g.first, local))
			}
		} else {
			locals = chain(locals[:0], p.g.block, offset, p.tail, p.count, p.lo, p.hi)
			for _, local := range locals {
				rows = append(rows, readRow(p.g.block, p.g.first, int(local)))
			}
		}
		give(rows[from:], p.g.first, p.findings)
		p.g.pins.Add(-1)
	}
	return rows
}

// pin finds and pins the segments in which the rows from..from+n of a view
// lie. Whoever reads a part takes its pin away.
func (s *Store) pin(v View, key uint64, all bool, from uint64, n int) (parts []part, total int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	start := 0
	if all {
		start = s.segmentOf(from + 1)
	}
	started := false
	for _, g := range s.segs[start:] {
		p := part{g: g, count: g.n, findings: g.findings}
		before := g.first - 1
		if !all {
			e, ok := g.dir.rows(key)
			if !ok {
				continue
			}
			before, p.tail, p.count = e.before, e.tail, int(e.count)
		}
		if from >= before+uint64(p.count) {
			continue
		}
		if !started {
			started = true
			from = max(from, before)
		}
		p.lo = int(from - before)
		p.hi = min(p.count, p.lo+n-total)
		g.pins.Add(1)
		parts = append(parts, p)
		total += p.hi - p.lo
		from += uint64(p.hi - p.lo)
		if total == n {
			break
		}
	}
	return parts, total
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
// ErrNotYet if it has not been appended. A Seq of 0 counts as evicted.
func (s *Store) Frame(seq uint64) (Entry, error) {
	s.mu.RLock()
	if seq > s.last {
		s.mu.RUnlock()
		return Entry{}, ErrNotYet
	}
	if seq < s.segs[0].first {
		s.mu.RUnlock()
		return Entry{}, ErrEvicted
	}
	g := s.segs[s.segmentOf(seq)]
	g.pins.Add(1)
	findings := g.findings
	s.mu.RUnlock()
	defer g.pins.Add(-1)
	e := readRow(g.block, g.first, int(seq-g.first))
	e.Findings = findingsOf(findings, uint16(seq-g.first))
	return e, nil
}

// Find returns the ordinal in v of the first held row whose Seq is at least
// seq; the end of v's span if there is none.
func (s *Store) Find(v View, seq uint64) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if v.Selection != nil {
		return v.Selection.find(seq)
	}
	key, offset, all := v.key()
	if all {
		return min(max(seq, s.segs[0].first)-1, s.last)
	}
	at := s.segmentOf(seq)
	for i, g := range s.segs[at:] {
		e, ok := g.dir.rows(key)
		if !ok {
			continue
		}
		if i > 0 || seq <= g.first {
			return e.before
		}
		k := chainFrom(g.block, offset, e.tail, int(e.count), int(seq-g.first))
		if k > 0 {
			return e.before + uint64(int(e.count)-k)
		}
	}
	_, end := s.span(v)
	return end
}

// NumConns returns how many connections have a summary. One leaves when it is
// closed and its last row has been evicted; an open one without rows stays
// until summaries take more than an eighth of the memory.
func (s *Store) NumConns() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.connList)
}

// Conns returns up to n connections in the order of their ids, from the given
// place in the list as it is now. Places move when connections leave.
func (s *Store) Conns(from, n int) []ConnSummary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := window(s.connList, from, n)
	conns := make([]ConnSummary, len(list))
	for i, c := range list {
		conns[i] = c.ConnSummary
	}
	return conns
}

// Conn returns one connection, and whether it has a summary.
func (s *Store) Conn(id capture.ConnID) (ConnSummary, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.conns[id]; c != nil {
		return c.ConnSummary, true
	}
	return ConnSummary{}, false
}

// NumStreams returns how many streams of a connection have a summary. Stream
// 0, the connection itself, is not among them. A stream leaves when its last
// frame has been evicted.
func (s *Store) NumStreams(id capture.ConnID) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.conns[id]; c != nil {
		return len(c.streams) - c.head
	}
	return 0
}

// Streams returns up to n streams of a connection in the order of their first
// appearance, from the given place in the list as it is now. Places move when
// streams leave.
func (s *Store) Streams(id capture.ConnID, from, n int) []StreamSummary {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.conns[id]
	if c == nil {
		return nil
	}
	list := window(c.streams[c.head:], from, n)
	streams := make([]StreamSummary, len(list))
	for i, n := range list {
		streams[i] = s.slab.at(n).summary(&s.pool)
	}
	return streams
}

// Stream returns one stream, and whether it has a summary. Stream 0 has one.
func (s *Store) Stream(id capture.ConnID, stream uint32) (StreamSummary, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n, ok := s.streams.get(streamKey(id, stream&^(1<<31))); ok {
		return s.slab.at(n).summary(&s.pool), true
	}
	return StreamSummary{}, false
}

func window[T any](list []T, from, n int) []T {
	from = min(max(from, 0), len(list))
	return list[from:min(from+max(n, 0), len(list))]
}

// Snapshot returns the state of the store at this moment.
func (s *Store) Snapshot() Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Snapshot{
		Generation:   s.generation,
		Rows:         s.last,
		Frames:       s.frames,
		Bytes:        s.octets,
		Conns:        s.connsEver,
		Evicted:      s.segs[0].first - 1,
		LostBytes:    s.lost,
		HistoryUsed:  s.used(),
		HistoryLimit: s.limit,
		Errors:       s.errors,
		Findings:     s.findings,
	}
}
