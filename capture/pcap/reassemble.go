// SPDX-License-Identifier: Apache-2.0

package pcap

import "h2sniff/capture"

// segment takes a TCP segment into its connection.
func (r *Reader) segment(s *segment, time int64) {
	c, key, side := r.table.find(s)
	if s.flags&flagSYN != 0 && s.flags&flagRST == 0 {
		if c != nil && !c.syn(side, s) {
			r.forget(c, time) // its addresses are used anew
			c = nil
		}
		if c == nil {
			c = r.follow(key, time)
			c.syn(side, s)
		}
	}
	if c == nil {
		if s.length == 0 {
			return // nothing to tell of
		}
		c = r.follow(key, time)
	}
	if c.closed {
		return
	}
	h, rev := &c.halves[side], &c.halves[1-side]
	h.seen = true
	if !h.known && (s.length > 0 || s.flags&flagFIN != 0) {
		h.begin(s.seq)
	}
	if s.flags&flagACK != 0 && rev.known {
		if at, ok := rev.position(s.ack); ok {
			rev.acked = max(rev.acked, at)
		}
	}
	if at, ok := h.position(s.seq); ok && h.known {
		if s.length > 0 {
			r.payload(c, side, at, s, time)
		}
		if s.flags&flagFIN != 0 {
			r.finish(c, side, at+uint64(s.length), time)
		}
	} else if ok = h.known && s.length > 0; ok && s.seq-h.base-uint32(h.next)+uint32(s.length) < maxWindow {
		// It begins before position 0 and reaches beyond what was seen.
		r.before(c, side, s, time)
	}
	if s.flags&flagRST != 0 && !c.reset {
		c.reset, c.resetTime = true, time
		c.patience = waiting{since: r.clock}
		r.list(c)
	}
	if c.hole > 0 {
		r.watch(c, 1)
	}
	if c.over() {
		r.close(c, time)
	}
}

// finish says that a direction ends at a position. What is missing before it is
// waited for like any hole.
func (r *Reader) finish(c *conn, side int, at uint64, time int64) {
	h := &c.halves[side]
	if h.finished {
		return
	}
	h.finished, h.finish = true, max(at, h.next)
	if at > h.next && !c.ignored {
		r.wait(c, side, at, nil, 0, time)
	}
}

// before takes a segment that begins before position 0, cutting that off.
func (r *Reader) before(c *conn, side int, s *segment, time int64) {
	cut := int(c.halves[side].base - s.seq)
	if cut <= 0 || cut >= s.length {
		return
	}
	rest := *s
	rest.seq += uint32(cut)
	rest.length -= cut
	rest.payload = s.payload[min(cut, len(s.payload)):]
	if at, ok := c.halves[side].position(rest.seq); ok {
		r.payload(c, side, at, &rest, time)
	}
}

// follow begins to follow a connection.
func (r *Reader) follow(key tuple, time int64) *conn {
	if len(r.table.conns) >= maxConns {
		r.forget(r.table.oldest, time)
	}
	return r.table.add(key)
}

// forget lets go of a connection, closing it.
func (r *Reader) forget(c *conn, time int64) {
	r.close(c, time)
	r.table.remove(c)
}

// close ends a connection. It stays in the table, so that what is sent again
// is known for what it is.
func (r *Reader) close(c *conn, time int64) {
	if c.closed {
		return
	}
	r.giveUpAll(c)
	c.closed, c.reset = true, false
	r.check(c)
	if c.id != 0 {
		r.emit(c, capture.Event{Kind: capture.Close, Conn: c.id, Time: time})
		delete(r.byID, c.id)
	}
}

// payload takes the payload of a segment at a position.
func (r *Reader) payload(c *conn, side int, at uint64, s *segment, time int64) {
	h := &c.halves[side]
	switch {
	case c.ignored:
		h.next = max(h.next, at+uint64(s.length))
	case at <= h.next:
		r.deliver(c, side, at, s.payload, s.length, time)
		r.fill(c, side, time)
	default:
		r.wait(c, side, at, s.payload, s.length, time)
	}
}

// wait keeps what lies behind a hole.
func (r *Reader) wait(c *conn, side int, at uint64, data []byte, length int, time int64) {
	h := &c.halves[side]
	if len(h.held) == 0 {
		h.waiting, h.sure = waiting{since: r.clock}, false
	}
	r.octets += h.hold(at, data, length, time)
	r.list(c)
	for h.full() || r.octets > maxOctets && len(h.held) > 0 {
		r.giveUp(c, side)
	}
}

// fill hands over what has waited for the position that was reached. time is
// that of the packet which completed it, 0 for that of each packet itself.
func (r *Reader) fill(c *conn, side int, time int64) {
	h := &c.halves[side]
	n := 0
	for n < len(h.held) && h.held[n].at <= h.next {
		s := &h.held[n]
		r.octets -= len(s.data) + heldCost
		h.octets -= len(s.data) + heldCost
		r.deliver(c, side, s.at, s.data, s.length, max(s.time, time))
		n++
	}
	if n == 0 {
		return
	}
	rest := copy(h.held, h.held[n:])
	clear(h.held[rest:])
	h.held = h.held[:rest]
	h.waiting, h.sure = waiting{since: r.clock}, false // of the next hole
	r.check(c)
}

// deliver hands over what of a segment is new. It reaches up to the position
// or lies across it.
func (r *Reader) deliver(c *conn, side int, at uint64, data []byte, length int, time int64) {
	h := &c.halves[side]
	old := h.next - at
	if old >= uint64(length) {
		return
	}
	data, length = data[min(int(old), len(data)):], length-int(old)
	r.open(c, side, data, time)
	h.time = max(h.time, time)
	r.emit(c, capture.Event{
		Kind: capture.Data, Direction: c.direction(side), Conn: c.id, Time: h.time,
		Offset: h.next, Length: uint64(length), Data: data,
	})
	h.next += uint64(length)
}

// open tells of the connection, when there is something to tell.
func (r *Reader) open(c *conn, side int, first []byte, time int64) {
	if c.id != 0 {
		return
	}
	if c.client < 0 {
		c.decideClient(side, first)
	}
	r.opened++
	c.id = r.opened
	r.byID[c.id] = c
	r.emit(c, capture.Event{Kind: capture.Open, Conn: c.id, Time: time, Info: &capture.ConnInfo{
		Role: c.role, Fresh: c.handshake,
	}})
	r.emit(c, capture.Event{Kind: capture.Bind, Conn: c.id, Time: time, Binding: &capture.Binding{
		Local: c.tuple[c.client].addrPort(), Remote: c.tuple[1-c.client].addrPort(), Evidence: capture.Exact,
	}})
}

// watch gives up the holes of a connection that have been open for too long;
// packets of it have come.
func (r *Reader) watch(c *conn, packets uint32) {
	for side := range c.halves {
		if h := &c.halves[side]; len(h.held) > 0 && h.watch(r.clock, packets, c.halves[1-side].seen) {
			r.giveUp(c, side)
		}
	}
	switch {
	case c.reset && c.patience.over(acknowledged, r.clock, packets):
		r.close(c, c.resetTime)
	case c.over():
		r.close(c, r.clock)
	}
}

// giveUp takes the first hole of a direction for lost.
func (r *Reader) giveUp(c *conn, side int) {
	h := &c.halves[side]
	first := &h.held[0]
	r.open(c, side, first.data, first.time)
	h.time = max(h.time, first.time)
	r.emit(c, capture.Event{
		Kind: capture.Lost, Direction: c.direction(side), Conn: c.id, Time: h.time,
		Offset: h.next, Length: first.at - h.next,
	})
	h.next = first.at
	r.fill(c, side, 0)
}

// giveUpAll takes all holes of a connection for lost.
func (r *Reader) giveUpAll(c *conn) {
	for side := range c.halves {
		for len(c.halves[side].held) > 0 {
			r.giveUp(c, side)
		}
	}
}

// drop forgets what waits in a direction.
func (r *Reader) drop(c *conn, side int) {
	h := &c.halves[side]
	r.octets -= h.octets
	h.held, h.octets = nil, 0
	r.forgetLater(c)
	r.check(c)
}

// flush ends what a connection waits for.
func (r *Reader) flush(c *conn) {
	if c.reset {
		r.close(c, c.resetTime)
		return
	}
	r.giveUpAll(c)
}

// list puts a connection on the list of holes.
func (r *Reader) list(c *conn) {
	if c.hole == 0 {
		r.holes = append(r.holes, c)
		c.hole = len(r.holes)
	}
}

// check takes a connection off the list of holes when it waits for nothing.
func (r *Reader) check(c *conn) {
	if c.waits() {
		return
	}
	r.tellLater(c)
	if c.hole == 0 || c.reset {
		return
	}
	last := r.holes[len(r.holes)-1]
	r.holes[c.hole-1] = last
	last.hole = c.hole
	c.hole = 0
	r.holes = r.holes[:len(r.holes)-1]
}
