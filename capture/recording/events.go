// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"math"

	"h2sniff/capture"
)

// describe gives the note of an interface description block, which every
// interface of a recording has.
func (r *Reader) describe(body []byte) (*note, error) {
	if len(body) < 8 || le.Uint16(body) != linkTypeRaw {
		return nil, r.blocks.damaged("an interface that h2sniff does not describe so")
	}
	_, n, err := r.options(body[8:])
	if err == nil && n == nil {
		err = r.blocks.damaged("an interface without its facts")
	}
	return n, err
}

// connection takes a connection's interface description, which is its open
// event if it carries one.
func (r *Reader) connection(body []byte, ev *capture.Event) (done bool, err error) {
	n, err := r.describe(body)
	if err != nil {
		return false, err
	}
	c := &inConn{id: n.Conn, tid: [2]uint32{n.TID, n.TID}}
	r.conns = append(r.conns, c)
	if n.Event != noteOpen {
		return false, nil
	}
	info, err := n.info()
	if err != nil {
		return false, r.blocks.damaged("facts that cannot be read (%v)", err)
	}
	*ev = capture.Event{Kind: capture.Open, Conn: c.id, TID: n.TID, Time: n.unixNano(), Info: info}
	r.count(ev, 0)
	return true, nil
}

// count takes an event into the counters; at is the position that its
// direction had reached before.
func (r *Reader) count(ev *capture.Event, at uint64) {
	r.counters.count(ev, at)
	r.shared.Lock()
	lost, missed := r.shared.stats.LostEvents, r.shared.stats.Missed
	r.shared.stats = r.counters.stats
	r.shared.stats.LostEvents, r.shared.stats.Missed = lost, missed
	r.shared.Unlock()
}

// packet takes an enhanced packet block; done says that it completes an event.
func (r *Reader) packet(body []byte, ev *capture.Event) (done bool, err error) {
	if len(body) < 20 {
		return false, r.blocks.damaged("a short packet block")
	}
	iface := le.Uint32(body)
	captured, original := le.Uint32(body[12:]), le.Uint32(body[16:])
	padded := (uint64(captured) + 3) &^ 3
	if uint64(iface) >= uint64(len(r.conns)) || r.conns[iface] == nil || captured > original || padded > uint64(len(body)-20) {
		return false, r.blocks.damaged("a packet that belongs to no open connection or is longer than its block")
	}
	c := r.conns[iface]
	if r.pending != nil && r.pending != c {
		return false, r.blocks.damaged("a packet in the middle of another connection's event")
	}
	var p packet
	if !parsePacket(body[20:20+captured], &p) {
		return false, r.blocks.damaged("a packet that is not TCP as h2sniff writes it")
	}
	thread, n, err := r.options(body[20+padded:])
	if err != nil {
		return false, err
	}
	if n == nil {
		n = new(note)
	}
	if p.flags&flagSYN != 0 {
		return false, r.handshake(c, &p, n)
	}
	var d capture.Direction
	switch {
	case c.path == nil:
		return false, r.blocks.damaged("a packet before its connection's handshake")
	case p.from(c.path, capture.Send):
		d = capture.Send
	case p.from(c.path, capture.Recv):
		d = capture.Recv
	default:
		return false, r.blocks.damaged("a packet whose addresses are not its connection's")
	}
	if thread != nil {
		c.tid[d] = le.Uint32(thread[4:])
	}
	time := int64(uint64(le.Uint32(body[4:]))<<32 | uint64(le.Uint32(body[8:])))
	if missing := uint64(original - captured); n.Event == noteData || len(p.payload) > 0 || missing > 0 || p.flags&flagPSH != 0 {
		return r.dataPacket(c, d, &p, n, time, missing, ev)
	}
	return r.otherPacket(c, iface, d, n, time, ev)
}

// handshake takes the addresses and initial numbers of SYN and SYN-ACK.
func (r *Reader) handshake(c *inConn, p *packet, n *note) error {
	if n.Event == noteHandshake {
		local, remote, err := n.addresses()
		if err != nil || !usable(local, remote) || local != plain(local) || remote != plain(remote) {
			return r.blocks.damaged("a handshake without its addresses")
		}
		c.path = newPath(local, remote)
	}
	for _, d := range []capture.Direction{capture.Send, capture.Recv} {
		if c.path != nil && p.from(c.path, d) {
			c.isn[d] = p.seq
			return nil
		}
	}
	return r.blocks.damaged("a handshake between other addresses than its connection's")
}

// dataPacket takes a packet of a data event.
func (r *Reader) dataPacket(c *inConn, d capture.Direction, p *packet, n *note, time int64, missing uint64, ev *capture.Event) (done bool, err error) {
	if r.pending == nil {
		*ev = capture.Event{Kind: capture.Data, Direction: d, Conn: c.id, TID: c.tid[d], Time: time}
		ahead := p.seq - c.isn[d] - 1 - uint32(c.next[d])
		switch ev.Offset = c.next[d] + uint64(ahead); {
		case n.Offset != nil:
			ev.Offset = *n.Offset
		case ahead > math.MaxInt32: // RFC 9293, section 3.4: backwards
			return false, r.blocks.damaged("a packet whose sequence number is %d octets behind the end of the one before", -ahead)
		}
		r.data = r.data[:0]
		r.explicit = n.Length
	} else if ev.Direction != d {
		return false, r.blocks.damaged("a packet in the middle of an event of the other direction")
	}
	ev.Length += uint64(len(p.payload)) + missing
	last := p.flags&flagPSH != 0
	if last && len(r.data) == 0 {
		ev.Data = p.payload // the usual event is one packet and needs no copy
	} else {
		if len(r.data)+len(p.payload) > maxEventData {
			return false, r.blocks.damaged("an event of more than %d octets", maxEventData)
		}
		r.data = append(r.data, p.payload...)
		ev.Data = r.data
	}
	r.pending = c
	if !last {
		return false, nil
	}
	r.pending = nil
	if r.explicit != nil {
		if *r.explicit < uint64(len(ev.Data)) {
			return false, r.blocks.damaged("an event that is shorter than its data")
		}
		ev.Length = *r.explicit
	}
	r.count(ev, c.next[d])
	c.next[d] = ev.Offset + ev.Length
	return true, nil
}

// otherPacket takes a packet without payload, which is an event if its note
// says so.
func (r *Reader) otherPacket(c *inConn, iface uint32, d capture.Direction, n *note, time int64, ev *capture.Event) (done bool, err error) {
	if r.pending != nil {
		return false, r.blocks.damaged("an event inside another")
	}
	e := capture.Event{Conn: c.id, TID: c.tid[d], Time: time}
	at := c.next[d]
	switch n.Event {
	case noteBind:
		e.Kind = capture.Bind
		if e.Binding, err = n.binding(); err != nil {
			return false, r.blocks.damaged("addresses that cannot be read (%v)", err)
		}
	case noteLost:
		if n.Offset == nil || n.Length == nil {
			return false, r.blocks.damaged("a loss without its place")
		}
		e.Kind, e.Direction, e.Offset, e.Length = capture.Lost, d, *n.Offset, *n.Length
		c.next[d] = e.Offset + e.Length
	case noteUnsent:
		if n.Offset == nil || n.Length == nil {
			return false, r.blocks.damaged("octets that were not sent, without their place")
		}
		e.Kind, e.Direction, e.Offset, e.Length = capture.Unsent, d, *n.Offset, *n.Length
	case noteClose:
		e.Kind = capture.Close
		r.conns[iface] = nil
	default:
		return false, nil
	}
	*ev = e
	r.count(ev, at)
	return true, nil
}
