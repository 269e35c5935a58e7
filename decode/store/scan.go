// SPDX-License-Identifier: Apache-2.0

package store

import "h2sniff/capture"

// scan is what the evaluation of a Predicate keeps from row to row.
type scan struct {
	store    *Store
	start    int64
	num      uint32 // segment that memos and findings are of
	first    uint64 // of that segment
	memos    []memo
	fields   []uint32 // of the segment, if all of its rows are looked at
	findings map[uint16][]Finding
	infos    map[capture.ConnID]*capture.ConnInfo
	lastConn capture.ConnID
	lastInfo *capture.ConnInfo

	chain  []uint16 // local indices of rows in a chain
	buf    []byte   // block of a segment that is not in memory
	behind *segment // whose front is not in buf yet
	unread bool     // something could not be read
}

// buffer is room for a block.
func (c *scan) buffer(size int) []byte {
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	return c.buf[:size]
}

// fetchFront reads the front of a block of which the records have been read.
func (c *scan) fetchFront(block []byte) bool {
	if c.unread {
		return false
	}
	if err := c.store.readPart(c.behind, 0, block[:c.behind.stored.front]); err != nil {
		c.unread = true
		return false
	}
	c.behind = nil
	return true
}

// turn makes the scan one of another segment.
func (c *scan) turn(g *segment) {
	c.behind, c.unread, c.fields = nil, false, nil
	same := c.num == g.num && c.first == g.first
	c.num, c.first = g.num, g.first
	for i := range c.memos {
		m := &c.memos[i]
		m.scope = scopeNew
		if !same {
			m.known = m.known[:0]
		}
	}
}

// forget drops what may change between two looks at the store.
func (c *scan) forget() {
	clear(c.infos)
	c.lastInfo = nil
}

func (c *scan) info(id capture.ConnID) *capture.ConnInfo {
	if c.lastInfo != nil && c.lastConn == id {
		return c.lastInfo
	}
	info := c.infos[id]
	if info == nil {
		s, _ := c.store.Conn(id)
		info = &s.Info
		if c.infos == nil || len(c.infos) > 4096 {
			c.infos = make(map[capture.ConnID]*capture.ConnInfo)
		}
		c.infos[id] = info
	}
	c.lastConn, c.lastInfo = id, info
	return info
}
