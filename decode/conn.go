// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"math"

	"h2sniff/capture"
)

// Conn decodes both directions of one connection.
//
// Memory is bounded, whatever it is fed: per direction one frame payload, the
// octets among which a frame boundary is sought, one field section and its
// dynamic table, each with a limit of its own. A Conn is used by one goroutine
// at a time.
type Conn struct {
	id       capture.ConnID
	info     *capture.ConnInfo // nil if no Open was seen
	proto    Protocol
	role     capture.Role
	proven   roleProof
	preface  [2]bool // by direction: the client connection preface was seen there
	dirs     [2]direction
	closed   bool
	assumed  bool   // to be HTTP/2, see AssumeHTTP2
	stream   uint32 // of the newest frame that had one
	dropData bool

	row  Row
	emit func(*Row)
}

// roleProof ranks what Conn.role rests on.
type roleProof uint8

const (
	roleTold    roleProof = iota // by ConnInfo, or nothing
	roleFields                   // by who sends requests
	rolePreface                  // by who sends the preface
)

// NewConn returns a Conn that has seen nothing yet.
func NewConn(id capture.ConnID) *Conn {
	c := &Conn{id: id}
	for d := range c.dirs {
		dir := &c.dirs[d]
		dir.conn = c
		dir.dir = capture.Direction(d)
		dir.fields.table.attach()
		dir.fields.sizeLimit = initialTableSize
		dir.maxFrame = defaultMaxFrameSize
	}
	return c
}

// AssumeHTTP2 says that the connection is HTTP/2, whatever its octets look
// like: frames are sought in it until its end, with less evidence than it takes
// to tell that a connection is HTTP/2. It is called before Feed.
func (c *Conn) AssumeHTTP2() { c.proto, c.assumed = HTTP2, true }

// DropData says that nobody needs what DATA frames carry: of their payloads only
// the first octet is kept, which may be the pad length. All else about the rows
// is the same. It is called before Feed.
func (c *Conn) DropData() { c.dropData = true }

// Protocol is what the connection speaks, as far as it has shown.
func (c *Conn) Protocol() Protocol { return c.proto }

// Role is the part that the traced process plays: by the client preface, else
// by who sends requests, else as ConnInfo has it.
func (c *Conn) Role() capture.Role { return c.role }

// InFrame gives the header of the frame that is in progress in a direction, and
// the position of its first octet. It returns false where none is, or its header
// has not come whole.
func (c *Conn) InFrame(dir capture.Direction) (h FrameHeader, offset uint64, ok bool) {
	d := &c.dirs[dir]
	if d.state != dirFrames || d.headerN < frameHeaderSize {
		return FrameHeader{}, 0, false
	}
	return d.h, d.at, true
}

// Feed decodes one event. Events of a connection are fed in the order of the
// Source. emit is called for each row that the event completes; the Row and
// its slices are valid only during that call (the strings in it stay good).
func (c *Conn) Feed(ev *capture.Event, emit func(*Row)) {
	if c.closed {
		return
	}
	c.emit = emit
	switch ev.Kind {
	case capture.Open:
		c.info = ev.Info
		if c.info != nil && c.proven == roleTold {
			c.role = c.info.Role
		}
		c.row = Row{Kind: RowOpen, Conn: c.id, TID: ev.TID, Time: ev.Time, TimeEnd: ev.Time, Info: ev.Info}
		c.out()
	case capture.Bind:
		c.row = Row{Kind: RowBind, Conn: c.id, TID: ev.TID, Time: ev.Time, TimeEnd: ev.Time, Binding: ev.Binding}
		c.out()
	case capture.Data, capture.Lost:
		if c.dropped() || ev.Direction > capture.Recv {
			break
		}
		c.dirs[ev.Direction].event(ev)
		c.tellProtocol(ev)
	case capture.Unsent:
		if c.proto != HTTP2 || ev.Direction > capture.Recv {
			break // of no row yet
		}
		c.row = Row{
			Kind: RowGap, Direction: ev.Direction, Conn: c.id, TID: ev.TID, Time: ev.Time, TimeEnd: ev.Time,
			GapBytes: ev.Length, GapReason: GapNotSent,
		}
		c.out()
	case capture.Close:
		c.end(errConnectionEnded)
		c.row = Row{Kind: RowClose, Conn: c.id, TID: ev.TID, Time: ev.Time, TimeEnd: ev.Time}
		c.out()
	}
	c.emit = nil
	c.row = Row{} // keeps nothing of the event alive
}

// End says that there will be no more events, though the connection was not seen
// to close: what is unfinished is told, as when it closes. It does nothing after
// Close.
func (c *Conn) End(emit func(*Row)) {
	if c.closed {
		return
	}
	c.emit = emit
	c.end(errCaptureEnded)
	c.emit = nil
	c.row = Row{}
}

// end ends both directions.
func (c *Conn) end(why *FrameError) {
	if !c.dropped() {
		c.dirs[capture.Send].searchLast()
		c.dirs[capture.Recv].searchLast()
		c.dirs[capture.Send].close(why)
		c.dirs[capture.Recv].close(why)
	}
	c.drop()
	c.closed = true
}

// out emits the row that is made, with what is known of its connection by now.
func (c *Conn) out() {
	c.row.Role = c.role
	c.emit(&c.row)
}

// fresh tells whether position 0 is the start of the connection.
func (c *Conn) fresh() bool { return c.info != nil && c.info.Fresh }

// dropped tells whether the plaintext is of no interest.
func (c *Conn) dropped() bool { return c.proto == HTTP1 || c.proto == OtherProtocol }

// drop frees what the directions hold.
func (c *Conn) drop() {
	for d := range c.dirs {
		c.dirs[d] = direction{conn: c, dir: capture.Direction(d)}
	}
}

// tellProtocol says, once, that the connection is none of HTTP/2.
func (c *Conn) tellProtocol(ev *capture.Event) {
	if c.dropped() {
		c.row = Row{Kind: RowProtocol, Conn: c.id, TID: ev.TID, Time: ev.Time, TimeEnd: ev.Time, Protocol: c.proto}
		c.out()
	}
}

// giveUp decides that the connection is none of HTTP/2.
func (c *Conn) giveUp(p Protocol) {
	c.proto = p
	c.drop()
}

func (c *Conn) setRole(r capture.Role, proof roleProof) {
	if proof > c.proven {
		c.role, c.proven = r, proof
	}
}

// sender is the role of the traced process if the octets of direction d come
// from the client.
func sender(d capture.Direction) capture.Role {
	if d == capture.Send {
		return capture.Client
	}
	return capture.Server
}

// event takes a Data or Lost event of this direction.
func (d *direction) event(ev *capture.Event) {
	end := ev.Offset + ev.Length
	if end < ev.Offset {
		end = math.MaxUint64
	}
	if end < d.pos || (end == d.pos && ev.Length > 0) {
		return // nothing new
	}
	if ev.Offset > d.pos {
		d.hole(ev.Offset-d.pos, GapLost, ev.Time)
		d.pos = ev.Offset
	}
	if ev.Kind == capture.Lost {
		if end > d.pos {
			d.hole(end-d.pos, GapLost, ev.Time)
			d.pos = end
		}
		return
	}
	data := ev.Data
	if uint64(len(data)) > ev.Length {
		data = data[:ev.Length]
	}
	seen := d.pos - ev.Offset // octets that an earlier event brought
	if seen < uint64(len(data)) {
		data = data[seen:]
		whole := uint64(len(data)) == end-d.pos
		d.data(data, mark{time: ev.Time, tid: ev.TID}, seen == 0, whole)
	}
	if d.conn.dropped() {
		return
	}
	if end > d.pos {
		d.hole(end-d.pos, GapNotCopied, ev.Time)
		d.pos = end
	}
}
