// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"

	"h2sniff/capture"
)

// maxConns bounds the TCP connections that are followed at once. Beyond it the
// one that was silent for longest is let go of.
const maxConns = 1 << 16

// clientPreface begins what a client sends (RFC 9113, section 3.4).
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// tuple names a TCP connection the same from both of its ends: the lower end
// comes first.
type tuple [2]end

// conn is a TCP connection. Its sides are numbered as in its tuple.
type conn struct {
	tuple  tuple
	halves [2]half // by the side that sends

	id        capture.ConnID // 0 until it opens
	client    int            // side; -1 while not known
	role      capture.Role   // of the client's side, where it is certain
	handshake bool           // the SYN-ACK was seen: both positions 0 are certain
	closed    bool           // what comes is the rest of what is over
	ignored   bool
	reset     bool // it closes when patience is over
	resetTime int64
	patience  waiting
	time      int64 // of the latest event
	later           // what is told when nothing waits behind a hole any more

	newer, older *conn // in the table's order of use
	hole         int   // place in the list of holes plus one
}

// table holds the connections, the least recently used one at the end.
type table struct {
	conns  map[tuple]*conn
	newest *conn
	oldest *conn
}

func newTable() table { return table{conns: make(map[tuple]*conn)} }

// find gives the connection of a segment and the side that sent it; c is nil
// if there is none.
func (t *table) find(s *segment) (c *conn, key tuple, side int) {
	key = tuple(s.ends)
	if bytes.Compare(s.ends[0][:], s.ends[1][:]) > 0 {
		key, side = tuple{s.ends[1], s.ends[0]}, 1
	}
	if t.newest != nil && t.newest.tuple == key {
		return t.newest, key, side
	}
	if c = t.conns[key]; c != nil {
		t.unlink(c)
		t.link(c)
	}
	return c, key, side
}

func (t *table) add(key tuple) *conn {
	c := &conn{tuple: key, client: -1}
	t.conns[key] = c
	t.link(c)
	return c
}

func (t *table) remove(c *conn) {
	delete(t.conns, c.tuple)
	t.unlink(c)
}

func (t *table) link(c *conn) {
	c.older = t.newest
	if t.newest != nil {
		t.newest.newer = c
	}
	t.newest = c
	if t.oldest == nil {
		t.oldest = c
	}
}

func (t *table) unlink(c *conn) {
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		t.newest = c.older
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		t.oldest = c.newer
	}
	c.newer, c.older = nil, nil
}

// waits tells whether something waits behind a hole.
func (c *conn) waits() bool { return len(c.halves[0].held) > 0 || len(c.halves[1].held) > 0 }

// direction is that of what a side sends.
func (c *conn) direction(side int) capture.Direction {
	if side == c.client {
		return capture.Send
	}
	return capture.Recv
}

// over says that nothing more can come.
func (c *conn) over() bool {
	a, b := &c.halves[0], &c.halves[1]
	return a.finished && b.finished && (c.ignored || a.next >= a.finish && b.next >= b.finish)
}

// decideClient finds the client's side of a connection whose handshake was not
// seen, from the first octets that side sends.
func (c *conn) decideClient(side int, first []byte) {
	switch ports := [2]uint16{c.tuple[0].port(), c.tuple[1].port()}; {
	case len(first) >= 3 && bytes.HasPrefix([]byte(clientPreface), first[:min(len(first), len(clientPreface))]):
		c.client, c.role = side, capture.Client
	case ports[0] > ports[1]:
		c.client = 0
	case ports[0] < ports[1]:
		c.client = 1
	default:
		c.client = side
	}
}

// syn takes the sequence numbers of a SYN or SYN-ACK. It returns false where
// they are those of another connection than c.
func (c *conn) syn(side int, s *segment) bool {
	h, rev := &c.halves[side], &c.halves[1-side]
	answer := s.flags&flagACK != 0
	client := side
	if answer {
		client = 1 - side
	}
	// A SYN-ACK can acknowledge payload of the SYN too (RFC 7413).
	const maxEarly = 1 << 16
	// A SYN shortly before where a connection was found is its own, captured
	// behind its first octets: what came in between cannot be told any more.
	const maxLate = 1 << 20
	switch {
	case !c.closed && !c.handshake && h.known && h.base != s.seq && h.base-s.seq <= maxLate:
		return true
	case c.closed || h.known && h.base != s.seq || answer && rev.known && s.ack-rev.base > maxEarly:
		return false
	case h.known && (!answer || rev.known):
		c.handshake = c.handshake || answer
		return true // sent again, or late in the file
	}
	if c.client < 0 {
		c.client, c.role = client, capture.Client
	}
	h.begin(s.seq)
	if answer {
		if !rev.known {
			rev.begin(s.ack)
		}
		c.handshake = true
	}
	return true
}
