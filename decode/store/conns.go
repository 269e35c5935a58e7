// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"unsafe"

	"h2sniff/capture"
	"h2sniff/decode"
)

// connState is what the store knows about a connection beside its rows.
type connState struct {
	ConnSummary
	next    uint64 // ordinal of its next row
	held    uint64 // rows held
	seg     uint32 // segment that entry belongs to
	entry   int32  // in the directory of seg; -1: none yet
	blocks  Blocks
	streams []uint32 // in the slab, in order of first appearance, stream 0 left out
	head    int      // streams[:head] have left
	last    uint32   // place in the slab of the last frame's stream, + 1
	lastID  uint32   // and its stream
	lastEnt int32    // and its directory entry in seg
	gone    uint32   // above all streams that have left
	dead    int      // streams in the list that wait to leave it
	stalls  []Stall  // the newest
}

// connCost is what a connection costs beside its strings and its stream list:
// the state, its places in the map (at most 7/8 full), in the list and in Ends.
const connCost = int64(unsafe.Sizeof(connState{})) + 2*16 + 2*8 + endCost

func (c *connState) bytes() int64 {
	return connCost + int64(len(c.Info.Comm)+len(c.Info.Library)+len(c.Info.Container)) + int64(cap(c.streams))*4 + int64(cap(c.stalls))*stallCost
}

// addRow takes a row into the summary. The frame's part of a stream is not
// here.
func (c *connState) addRow(row *decode.Row) {
	c.Last = max(c.Last, row.Time, row.TimeEnd)
	switch row.Kind {
	case decode.RowOpen:
		c.Opened = row.Time
		if row.Info != nil {
			c.Info = *row.Info
			if c.Role == capture.RoleUnknown {
				c.Role = row.Info.Role
			}
		}
	case decode.RowBind:
		if b := row.Binding; b != nil {
			c.Evidence = b.Evidence
			c.Local, c.Remote = b.Local, b.Remote
			if b.Evidence == capture.Withdrawn {
				c.Local, c.Remote = noAddr, noAddr
			}
		}
	case decode.RowClose:
		c.Closed = row.Time
	case decode.RowGap:
		c.Gaps++
		if row.GapReason == decode.GapLost {
			c.LostBytes += row.GapBytes
		}
	case decode.RowFrame:
		c.Frames++
		if row.Err != nil {
			c.Errors++
		}
		if row.Direction == capture.Send {
			c.SentB += frameOctets(row)
		} else {
			c.RecvB += frameOctets(row)
		}
	}
}

// frameOctets is the length of a frame with its header.
func frameOctets(row *decode.Row) uint64 { return 9 + uint64(row.Header.Length) }

// conn returns the state of a connection, which it makes if there is none.
func (s *Store) conn(id capture.ConnID) *connState {
	if c := s.lastConn; c != nil && c.ID == id {
		return c
	}
	c := s.conns[id]
	if c == nil {
		c = &connState{ConnSummary: ConnSummary{ID: id}, entry: -1}
		if id <= s.goneConn {
			// See Span: ordinals never go back.
			c.next, c.gone = s.last, 1<<31
		}
		s.conns[id] = c
		if n := len(s.connList); n == 0 || s.connList[n-1].ID < id {
			s.connList = append(s.connList, c)
		} else {
			i, _ := slices.BinarySearchFunc(s.connList, id, func(c *connState, id capture.ConnID) int {
				return int(int64(c.ID) - int64(id))
			})
			s.connList = slices.Insert(s.connList, i, c)
		}
		s.connBytes += c.bytes()
		s.connsEver++
	}
	s.lastConn = c
	return c
}

// stream returns the place in the slab of a stream's record, which it makes if
// there is none.
func (s *Store) stream(c *connState, id uint32, seq uint64) uint32 {
	key := streamKey(c.ID, id)
	if n, ok := s.streams.get(key); ok {
		return uint32(n)
	}
	next, known := s.past.get(key)
	n := s.slab.alloc()
	s.streams.put(key, uint64(n))
	r := s.slab.at(n)
	*r = streamRec{conn: uint32(c.ID), id: id, firstSeq: seq}
	switch {
	case known:
		r.next = next
		s.past.del(key)
	case id < c.gone:
		r.next = seq - 1 // see Span: ordinals never go back
	}
	if id != 0 {
		if !known {
			c.Streams++
		}
		before := cap(c.streams)
		if len(c.streams) == before && c.head > before/2 {
			c.streams = c.streams[:copy(c.streams, c.streams[c.head:])]
			c.head = 0
		}
		c.streams = append(c.streams, n)
		s.connBytes += int64(cap(c.streams)-before) * 4
	}
	return n
}

// leave takes the streams that died with a segment out of c's list. None of
// them appeared after lastSeq, the segment's last row.
func (s *Store) leave(c *connState, lastSeq uint64) {
	list := c.streams[c.head:]
	n := 0
	for dead := 0; dead < c.dead && n < len(list); n++ {
		r := s.slab.at(list[n])
		if r.firstSeq > lastSeq {
			break
		}
		if r.dead {
			dead++
		}
	}
	// Those that stay move up against the rest, so that a pass costs no more
	// than the streams up to the last that leaves.
	to := n
	for i := n - 1; i >= 0; i-- {
		r := s.slab.at(list[i])
		if r.dead {
			c.dead--
			s.freeStream(list[i])
			continue
		}
		to--
		list[to] = list[i]
	}
	c.head += to
	if c.head == len(c.streams) || c.head > 1024 && c.head > cap(c.streams)*3/4 {
		before := cap(c.streams)
		c.streams = append([]uint32(nil), c.streams[c.head:]...)
		c.head = 0
		s.connBytes += int64(cap(c.streams)-before) * 4
	}
}

func (s *Store) freeStream(n uint32) {
	s.slab.at(n).dropStrings(&s.pool)
	s.slab.release(n)
}
