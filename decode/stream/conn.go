// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// The bounds on what a Conn keeps.
const (
	MaxOpen    = 4096
	MaxClosed  = 256
	MaxPending = 64
)

const maxInt31 = 1<<31 - 1

// Conn follows the streams of one connection.
type Conn struct {
	// Done, where set, is called when a stream is closed or its connection
	// is, with the record in its last state, valid during the call. A stream
	// whose record was dropped for want of room is not told.
	Done func(*Stream)

	role    capture.Role
	halves  [2]Half
	streams map[uint32]*Stream
	open    list // records that are not closed
	closed  list
	free    *Stream
	newest  *Stream // looked up last
	counts  [2]int  // streams that count against the limit, by who began them: 0 the client
	goAway  [2]uint32

	forgotten  bool // a record was dropped
	overflowed bool // one that was not closed
}

// NewConn returns a Conn that has seen nothing yet.
func NewConn() *Conn {
	c := &Conn{streams: make(map[uint32]*Stream), goAway: [2]uint32{maxInt31, maxInt31}}
	c.halves[0].init()
	c.halves[1].init()
	return c
}

// Role is the part of the traced process, as far as the rows have told.
func (c *Conn) Role() capture.Role { return c.role }

// Half is a direction of the connection. It is valid until the next Apply.
func (c *Conn) Half(d capture.Direction) *Half { return &c.halves[d&1] }

// Stream gives the record of a stream, nil where there is none: it is idle, was
// skipped, was closed long ago, or was not seen. It is valid until the next
// Apply.
func (c *Conn) Stream(id uint32) *Stream {
	if s := c.newest; s != nil && s.ID == id && s.list != nil {
		return s
	}
	s := c.streams[id]
	if s != nil {
		c.newest = s
	}
	return s
}

// Each calls f for every stream that is not closed, the oldest first, until it
// returns false.
func (c *Conn) Each(f func(*Stream) bool) {
	for s := c.open.first; s != nil; s = s.next {
		if !f(s) {
			return
		}
	}
}

// NumOpen is the number of streams begun by the client, or else the server,
// that are open or half-closed.
func (c *Conn) NumOpen(client bool) int {
	if client {
		return c.counts[0]
	}
	return c.counts[1]
}

// Forgotten tells whether there is a stream whose record was dropped.
func (c *Conn) Forgotten() bool { return c.forgotten }

// Overflowed tells whether one was dropped that was not closed.
func (c *Conn) Overflowed() bool { return c.overflowed }

// LastStream is the lowest last stream id of the GOAWAY frames in direction d;
// 2^31-1 if there were none.
func (c *Conn) LastStream(d capture.Direction) uint32 { return c.goAway[d&1] }

// ClientDirection is the direction of what the client sends; false while the
// roles are not known.
func (c *Conn) ClientDirection() (capture.Direction, bool) {
	switch c.role {
	case capture.Client:
		return capture.Send, true
	case capture.Server:
		return capture.Recv, true
	}
	return 0, false
}

// Idle tells whether the stream surely was not begun before the row that comes
// next.
func (c *Conn) Idle(id uint32) bool {
	d, ok := c.ClientDirection()
	if !ok {
		return false
	}
	if id&1 == 0 {
		d = d.Reverse()
	}
	h := &c.halves[d]
	return h.highestSure && h.pendingGap == 0 && id > h.Highest
}

// WindowSure tells whether the windows of direction d are known: no
// WINDOW_UPDATE and no setting of the other direction can have been missed.
func (c *Conn) WindowSure(d capture.Direction) bool {
	return c.halves[d.Reverse()].SettingsSure()
}

// Change is what a row came to.
type Change struct {
	Stream  *Stream  // whose record the row changed; nil for none
	Section Section  // of a row with fields
	Wire    uint32   // octets of the field block that ends here
	Content uint64   // octets of DATA without padding that it added to Stream's
	Stalls  [2]Stall // that ended with the row: of a stream, of the connection
	Lowered bool     // the row acknowledges SETTINGS that left streams without a window
	// Acked is the SETTINGS frame that the row acknowledges, if HasAcked.
	Acked    Announced
	HasAcked bool
}

// Apply takes the next row of the connection; seq is its number among all rows.
func (c *Conn) Apply(seq uint64, row *decode.Row) (ch Change) {
	if row.Role != capture.RoleUnknown {
		c.role = row.Role
	}
	d := row.Direction & 1
	h := &c.halves[d]
	switch row.Kind {
	case decode.RowOpen:
		if row.Info != nil && row.Info.Fresh {
			c.halves[0].started()
			c.halves[1].started()
		}
	case decode.RowPreface:
		if h.Frames == 0 && h.damagedAt == 0 {
			h.started()
		}
		if rev := &c.halves[d.Reverse()]; rev.settingsFirst && rev.damagedAt == 0 {
			rev.started()
		}
		h.settingsFirst = false
	case decode.RowGap:
		h.pendingGap += row.GapBytes
	case decode.RowFrame:
		c.frame(seq, row, &ch)
	case decode.RowClose:
		for s := c.open.first; s != nil; s = c.open.first {
			s.Outcome = Cut
			c.close(s, row.Time)
		}
	}
	return ch
}

func (c *Conn) frame(seq uint64, row *decode.Row, ch *Change) {
	d := row.Direction & 1
	h, rev := &c.halves[d], &c.halves[d.Reverse()]
	hd := row.Header
	if h.pendingGap > 0 {
		// A hole inside the frame is accounted for by what the frame lacks.
		if uint64(row.Missing) < h.pendingGap {
			h.damaged(seq)
		}
		h.pendingGap = 0
	}
	h.Frames++
	if h.Frames == 1 && h.damagedAt == 0 && hd.Type == http2.FrameSettings && !hd.Flags.Has(http2.FlagSettingsAck) {
		h.settingsFirst, h.doubt = true, 0 // nothing else looks like it
		if cd, ok := c.ClientDirection(); ok && cd != d && rev.complete && rev.Frames == 0 && !h.complete {
			h.started() // the client's preface was just seen
		}
	}
	doubted := h.doubt > 0
	if doubted {
		h.doubt--
	}
	whole := row.Missing == 0 && uint32(len(row.Payload)) >= hd.Length
	switch hd.Type {
	case http2.FrameData:
		c.data(seq, row, ch)
	case http2.FrameHeaders:
		h.block = block{stream: hd.StreamID, endStream: hd.Flags.Has(http2.FlagHeadersEndStream), start: row.Time}
		h.block.wire = hd.Length
		if !doubted {
			ch.Stream = c.headers(seq, row)
		} else {
			ch.Stream = c.Stream(hd.StreamID)
		}
		c.section(seq, row, ch)
	case http2.FrameContinuation:
		if h.block.stream != hd.StreamID {
			break
		}
		h.block.wire += min(hd.Length, maxInt31-h.block.wire)
		ch.Stream = c.Stream(hd.StreamID)
		c.section(seq, row, ch)
	case http2.FramePushPromise:
		h.block = block{stream: hd.StreamID, push: true, start: row.Time}
		h.block.wire = hd.Length
		if !doubted {
			c.promise(seq, row, whole)
		}
		ch.Stream = c.Stream(hd.StreamID)
		c.section(seq, row, ch)
	case http2.FrameRSTStream:
		if s := c.Stream(hd.StreamID); s != nil && !doubted {
			ch.Stream = s
			c.reset(s, row, whole, ch)
		}
	case http2.FrameSettings:
		if hd.StreamID != 0 || doubted {
			break
		}
		if !hd.Flags.Has(http2.FlagSettingsAck) {
			h.announce(seq, row)
			break
		}
		before := rev.Acked.InitialWindowSize
		ch.Acked, ch.HasAcked = rev.acknowledge(row.TimeEnd)
		if rev.Acked.InitialWindowSize < before {
			ch.Lowered = c.lowered(seq, row)
		}
	case http2.FrameGoAway:
		if whole && len(row.Payload) >= 8 && !doubted {
			c.goAway[d] = min(c.goAway[d], binary.BigEndian.Uint32(row.Payload)&maxInt31)
		}
	case http2.FrameWindowUpdate:
		if doubted {
			break
		}
		if !whole {
			h.settingsLost = true // an increment is unknown, as a setting may be
			break
		}
		if len(row.Payload) == 4 {
			c.grant(row, ch)
		}
	}
}

// data takes a DATA frame.
func (c *Conn) data(seq uint64, row *decode.Row, ch *Change) {
	d := row.Direction & 1
	h, rev := &c.halves[d], &c.halves[d.Reverse()]
	hd := row.Header
	if hd.StreamID == 0 {
		return
	}
	h.Window.Consumed += uint64(hd.Length)
	s := c.Stream(hd.StreamID)
	if s == nil && h.doubt == 0 && !h.complete && !c.Idle(hd.StreamID) {
		s = c.begin(seq, hd.StreamID)
		s.Unseen, s.state = true, Open
	}
	end := hd.Flags.Has(http2.FlagDataEndStream)
	if h.Window.EmptySeq == 0 && hd.Length > 0 && h.Window.Left(1<<16-1) <= 0 && (!end || c.open.n > 1) && c.WindowSure(d) {
		h.Window.empty(seq, row.TimeEnd, UsedUp)
	}
	if s == nil {
		return
	}
	ch.Stream = s
	sd := &s.sides[d]
	if w := &sd.Window; w.EmptySeq != 0 && w.Left(rev.Acked.InitialWindowSize) > 0 && (w.EmptyBy != BeforeData || hd.Length > 0) {
		ch.Stalls[0] = c.streamStall(s, d, row.Time) // a setting ended it, or now it shows
		ch.Stalls[0].Next = row.Time
	}
	sd.Window.Consumed += uint64(hd.Length)
	n := uint64(hd.Length)
	if hd.Flags.Has(http2.FlagDataPadded) {
		if row.Missing > 0 || len(row.Payload) == 0 || uint32(row.Payload[0])+1 > hd.Length {
			sd.DataSure = false
		} else {
			n -= uint64(row.Payload[0]) + 1
		}
	}
	sd.Data += n
	ch.Content = n
	if !end && hd.Length > 0 && sd.Window.EmptySeq == 0 && sd.Window.Left(rev.Acked.InitialWindowSize) <= 0 &&
		!s.Unseen && s.state != Closed && c.WindowSure(d) {
		sd.Window.empty(seq, row.TimeEnd, UsedUp)
	}
	if end {
		c.endStream(s, row, ch)
	}
}

// grant takes a WINDOW_UPDATE frame.
func (c *Conn) grant(row *decode.Row, ch *Change) {
	d := row.Direction & 1
	carries := d.Reverse() // the direction whose window grows
	inc := uint64(binary.BigEndian.Uint32(row.Payload) & maxInt31)
	if row.Header.StreamID == 0 {
		w := &c.halves[carries].Window
		w.Granted += inc
		if w.EmptySeq != 0 && w.Left(1<<16-1) > 0 {
			ch.Stalls[1] = stall(w, carries, row.TimeEnd)
		}
		return
	}
	s := c.Stream(row.Header.StreamID)
	if s == nil {
		return
	}
	ch.Stream = s
	w := &s.sides[carries].Window
	w.Granted += inc
	switch {
	case w.EmptySeq == 0 || w.Left(c.halves[d].Acked.InitialWindowSize) <= 0:
	case w.EmptyBy == BeforeData:
		if w.opened == 0 {
			w.opened = row.TimeEnd // DATA may tell that it was waited for
		}
	default:
		ch.Stalls[0] = c.streamStall(s, carries, row.TimeEnd)
	}
}

// SetRole says which part the traced process plays, before a row that tells.
func (c *Conn) SetRole(r capture.Role) { c.role = r }
