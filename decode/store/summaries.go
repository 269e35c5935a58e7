// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

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
// 0, the connection itself, is not among them. A stream leaves soon after its last
// frame has been evicted, as rows come, or, while that is in a spill file, when
// summaries take more than half of the memory.
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
		return s.slab.at(uint32(n)).summary(&s.pool), true
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
	snap := Snapshot{
		Generation:   s.generation,
		Rows:         s.last,
		Frames:       s.frames,
		Bytes:        s.octets,
		Conns:        s.connsEver,
		Evicted:      s.segs[0].first - 1,
		LostBytes:    s.lost,
		Last:         s.lastTime,
		HistoryUsed:  s.used() - s.images.spare(), // room kept free is not used
		HistoryLimit: s.limit,
		Errors:       s.errors,
		Findings:     s.findings,
		NotKept:      s.notKept,
	}
	if s.spill != nil {
		snap.SpillUsed, snap.SpillLimit, snap.SpillFull = s.fileBytes, s.spill.limit, s.spillFull
		snap.SpillErr = s.spillErr
		if err := s.readErr.Load(); snap.SpillErr == nil && err != nil {
			snap.SpillErr = *err
		}
	}
	return snap
}
