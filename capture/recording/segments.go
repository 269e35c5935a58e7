// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"math"

	"h2sniff/capture"
)

// initialSequence gives a direction's initial sequence number. Interfaces
// differ in it, because tshark tells a new connection between the same
// addresses from the old one by its number.
func initialSequence(iface uint32, d capture.Direction) uint32 {
	n := iface * 2654435761 // Knuth's multiplicative hash spreads neighbours
	if d == capture.Recv {
		n = ^n
	}
	return n
}

// seq is the sequence number of the next octet in direction d.
func (c *outConn) seq(d capture.Direction) uint32 {
	return initialSequence(c.iface, d) + 1 + uint32(c.next[d])
}

// handshake chooses the connection's addresses and appends SYN, SYN-ACK and
// ACK. first is the event that the packets are due for; if it is a bind, the
// ACK carries it.
func (w *Writer) handshake(c *outConn, first *capture.Event) {
	role := roleOf(c.info, c.binding, first)
	local, remote, why := w.addresses.assign(c.binding, role)
	c.path = newPath(local, remote)

	n := note{Event: noteHandshake, Conn: c.id, Local: local.String(), Remote: remote.String(), Address: "made up", Why: why}
	if c.info != nil {
		n.setProcess(c.info)
	}
	if why == "" {
		n.Address = c.binding.Evidence.String()
	}
	client := capture.Send
	if role == capture.Server {
		client = capture.Recv
	}
	server := client.Reverse()
	w.packet(c, first.Time, &segment{direction: client, flags: flagSYN, seq: c.seq(client) - 1, options: synOptions}, nil, n.comment())
	w.packet(c, first.Time, &segment{direction: server, flags: flagSYN | flagACK, seq: c.seq(server) - 1, options: synOptions}, nil, nil)
	if first.Kind == capture.Bind {
		w.bind(c, client, first)
	} else {
		w.packet(c, first.Time, &segment{direction: client, flags: flagACK, seq: c.seq(client)}, nil, nil)
	}
}

// packets appends the packets of an event other than open.
func (w *Writer) packets(c *outConn, ev *capture.Event) {
	w.counters.count(ev, c.next[ev.Direction])
	if ev.Kind == capture.Bind {
		c.binding = ev.Binding
	}
	begun := c.path != nil
	if !begun {
		w.handshake(c, ev)
	}
	d := ev.Direction
	switch ev.Kind {
	case capture.Data:
		w.data(c, ev)
	case capture.Lost:
		c.next[d] = ev.Offset
		w.empty(c, d, flagACK, ev, &note{Event: noteLost, Offset: new(ev.Offset), Length: new(ev.Length)})
		c.next[d] = ev.Offset + ev.Length
	case capture.Unsent:
		w.empty(c, d, flagACK, ev, &note{Event: noteUnsent, Offset: new(ev.Offset), Length: new(ev.Length)})
	case capture.Bind:
		if begun {
			w.bind(c, capture.Send, ev)
		}
	case capture.Close:
		// The end that has no note comes first: with the event its interface
		// is done with.
		w.packet(c, ev.Time, &segment{direction: capture.Recv, flags: flagFIN | flagACK, seq: c.seq(capture.Recv)}, nil, nil)
		c.next[capture.Recv]++ // a FIN has a sequence number of its own
		w.empty(c, capture.Send, flagFIN|flagACK, ev, &note{Event: noteClose})
		w.forget(c)
	}
}

func (w *Writer) bind(c *outConn, d capture.Direction, ev *capture.Event) {
	n := note{Event: noteBind}
	n.setBinding(ev.Binding)
	w.empty(c, d, flagACK, ev, &n)
}

// empty appends a packet that carries an event by its note alone.
func (w *Writer) empty(c *outConn, d capture.Direction, flags byte, ev *capture.Event, n *note) {
	w.packet(c, ev.Time, &segment{direction: d, flags: flags, seq: c.seq(d)}, c.thread(d, ev.TID), n.comment())
}

// thread gives the value of the thread option, nil where it need not be
// stated.
func (c *outConn) thread(d capture.Direction, tid uint32) []byte {
	if c.tid[d] == tid {
		return nil
	}
	c.tid[d] = tid
	var pid uint32
	if c.info != nil {
		pid = c.info.PID
	}
	return le.AppendUint32(le.AppendUint32(nil, pid), tid)
}

// data appends the packets of a data event: those with what was copied, then
// those that stand for what was not. One packet may have both. The last one has
// PSH.
func (w *Writer) data(c *outConn, ev *capture.Event) {
	d := ev.Direction
	most := c.path.maxPayload()
	tail := ev.Length - uint64(len(ev.Data))
	// What the packets cannot tell: a position backwards, or so far ahead that
	// the sequence number is taken for one backwards, and a tail of too many packets.
	var comment []byte
	unclear, long := ev.Offset-c.next[d] > math.MaxInt32, tail > uint64(maxTailPackets*most)
	if unclear || long {
		comment = dataNote(ev, unclear, long)
	}
	if long {
		tail = uint64(maxTailPackets * most)
	}
	thread := c.thread(d, ev.TID)
	c.next[d] = ev.Offset
	data := ev.Data
	for {
		s := segment{direction: d, flags: flagACK, seq: c.seq(d)}
		s.payload = data[:min(len(data), most)]
		data = data[len(s.payload):]
		if len(data) == 0 {
			// In one packet with what was copied: Wireshark shows a frame
			// that was cut where a part of it is behind its header.
			s.missing = int(min(tail, uint64(most-len(s.payload))))
			tail -= uint64(s.missing)
		}
		c.next[d] += uint64(len(s.payload) + s.missing)
		last := len(data) == 0 && tail == 0
		if last {
			s.flags |= flagPSH
		}
		w.packet(c, ev.Time, &s, thread, comment)
		if last {
			break
		}
		thread, comment = nil, nil
	}
	c.next[d] = ev.Offset + ev.Length
}

func dataNote(ev *capture.Event, offset, length bool) []byte {
	n := note{Event: noteData}
	if offset {
		n.Offset = new(ev.Offset)
	}
	if length {
		n.Length = new(ev.Length)
	}
	return n.comment()
}

// packet appends an enhanced packet block. thread and comment may be nil.
func (w *Writer) packet(c *outConn, time int64, s *segment, thread, comment []byte) {
	if s.flags != flagSYN {
		s.ack = c.seq(s.direction.Reverse())
	}
	captured, original := c.path.size(s)
	b, start := beginBlock(w.buf, blockPacket)
	b = le.AppendUint32(b, c.iface)
	b = appendTime(b, time)
	b = le.AppendUint32(b, uint32(captured))
	b = le.AppendUint32(b, uint32(original))
	b = c.path.appendPacket(b, s)
	if thread != nil || comment != nil {
		b = pad(b, start)
		if thread != nil {
			b = appendOption(b, optPacketThread, thread)
		}
		if comment != nil {
			b = appendOption(b, optComment, comment)
		}
		b = appendEndOfOptions(b)
	}
	w.end(b, start)
}

// appendTime appends nanoseconds since the Unix epoch, high half first.
func appendTime(b []byte, ns int64) []byte {
	b = le.AppendUint32(b, uint32(uint64(ns)>>32))
	return le.AppendUint32(b, uint32(ns))
}
