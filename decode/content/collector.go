// SPDX-License-Identifier: Apache-2.0

package content

import (
	"cmp"
	"container/list"
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Collector assembles the exchanges of all connections from their rows, which
// are given in order. Its memory is bounded by its Limits, whatever the rows.
type Collector struct {
	limits Limits
	// message is called when the last frame of a message was added, or it is
	// known that no more will come, with what is there of it; exchange when
	// that is so for both. Either may be nil.
	message  func(x *Exchange, d capture.Direction)
	exchange func(x *Exchange)

	conns map[capture.ConnID]*connection
	open  *list.List // of *following, the oldest first
	held  int        // octets, about
	// missed counts the rows that were not handed to Add.
	missed uint64
}

// connection is what a Collector knows of a connection.
type connection struct {
	info          capture.ConnInfo
	role          capture.Role
	local, remote netip.AddrPort
	streams       map[uint32]*following
	gaps          [2]gapCount
	// A block that goes on in CONTINUATION frames belongs to this stream, by
	// direction: of a promise that is not the frames' stream.
	block [2]uint32
	// over holds streams that ended while frames for them may be on the way.
	over    [64]uint32
	overAll int
}

// gapCount counts the holes in a direction.
type gapCount struct{ n, octets, missed uint64 }

// following is an exchange in progress.
type following struct {
	Exchange
	conn      *connection
	place     *list.Element
	held      int
	delivered [2]bool
}

// NewCollector returns a Collector that calls message for each message that
// ends and exchange for each exchange. Both are called from Add and Flush; the
// exchange belongs to the receiver once exchange was called for it. Either may
// be nil.
func NewCollector(l Limits, message func(*Exchange, capture.Direction), exchange func(*Exchange)) *Collector {
	return &Collector{limits: l.withDefaults(), message: message, exchange: exchange,
		conns: make(map[capture.ConnID]*connection), open: list.New()}
}

// Add takes in the next row. It keeps nothing of the row but strings.
func (c *Collector) Add(seq uint64, row *decode.Row) {
	conn := c.conns[row.Conn]
	if conn == nil {
		conn = &connection{streams: make(map[uint32]*following)}
		c.conns[row.Conn] = conn
	}
	if row.Role != capture.RoleUnknown {
		conn.role = row.Role
	}
	switch row.Kind {
	case decode.RowOpen:
		if row.Info != nil {
			conn.info = *row.Info
		}
	case decode.RowBind:
		conn.local, conn.remote = netip.AddrPort{}, netip.AddrPort{}
		if row.Binding != nil && row.Binding.Evidence != capture.Withdrawn {
			conn.local, conn.remote = row.Binding.Local, row.Binding.Remote
		}
	case decode.RowGap:
		g := &conn.gaps[row.Direction]
		g.n++
		g.octets += row.GapBytes
	case decode.RowFrame:
		c.frame(conn, seq, row)
	case decode.RowPreface:
		// Streams before it were of early data that was rejected.
		c.endAll(conn)
		clear(conn.over[:])
		conn.overAll = 0
	case decode.RowClose:
		c.endAll(conn)
		delete(c.conns, row.Conn)
	}
}

// endAll ends what is followed of a connection.
func (c *Collector) endAll(conn *connection) {
	streams := slices.SortedFunc(maps.Values(conn.streams), func(a, b *following) int {
		return cmp.Compare(a.FirstSeq, b.FirstSeq)
	})
	for _, f := range streams {
		f.Closed = true
		c.end(f)
	}
}

// Missed says that n rows were not handed to Add: what is assembled of streams
// that are open now gets a hole of unknown size.
func (c *Collector) Missed(n uint64) { c.missed += n }

// Flush ends every exchange, in the order in which they began: no more rows
// will come.
func (c *Collector) Flush() {
	for e := c.open.Front(); e != nil; e = c.open.Front() {
		c.end(e.Value.(*following))
	}
}

func (c *Collector) frame(conn *connection, seq uint64, row *decode.Row) {
	h := row.Header
	if h.StreamID == 0 {
		return
	}
	switch h.Type {
	case http2.FrameHeaders:
		if f := c.follow(conn, seq, row, h.StreamID); f != nil {
			s := &f.Sides[row.Direction]
			s.block, s.ending = row.Time, h.Flags.Has(http2.FlagHeadersEndStream)
			s.HeaderOctets += 9 + uint64(h.Length)
			conn.block[row.Direction] = h.StreamID
			c.block(f, row, row.Direction, false)
		}
	case http2.FramePushPromise:
		p, _ := decode.ParsePayload(h, row.Payload)
		if p.PromisedStream == 0 || row.Missing > 0 {
			conn.block[row.Direction] = 0
			return
		}
		if f := c.follow(conn, seq, row, p.PromisedStream); f != nil {
			f.Promised = true
			f.requestDir, f.requestKnown = row.Direction.Reverse(), true
			s := &f.Sides[row.Direction.Reverse()]
			s.push, s.ending = true, true
			s.HeaderOctets += 9 + uint64(h.Length)
			conn.block[row.Direction] = p.PromisedStream
			c.block(f, row, row.Direction.Reverse(), true)
		}
	case http2.FrameContinuation:
		f := conn.streams[conn.block[row.Direction]]
		if f == nil {
			return
		}
		d := row.Direction
		push := f.Sides[d.Reverse()].push
		if push {
			d = d.Reverse()
		}
		s := &f.Sides[d]
		s.HeaderOctets += 9 + uint64(h.Length)
		s.End = max(s.End, row.Time, row.TimeEnd)
		c.block(f, row, d, push)
	case http2.FrameData:
		if f := c.follow(conn, seq, row, h.StreamID); f != nil {
			c.data(f, seq, row)
		}
	case http2.FrameRSTStream:
		f := conn.streams[h.StreamID]
		if f == nil {
			return
		}
		p, _ := decode.ParsePayload(h, row.Payload)
		f.Exchange.Reset = &Reset{Direction: row.Direction, Code: uint32(p.ErrorCode), Time: row.Time,
			CodeKnown: row.Missing == 0 && len(row.Payload) >= 4}
		c.end(f)
	}
}

// follow finds the exchange of a stream, or begins it, and takes in that a
// frame came. It returns nil for a stream that has ended.
func (c *Collector) follow(conn *connection, seq uint64, row *decode.Row, id uint32) *following {
	f := conn.streams[id]
	if f == nil {
		for _, over := range conn.over {
			if over == id {
				return nil
			}
		}
		if c.open.Len() >= c.limits.Streams {
			c.giveUp()
		}
		f = &following{conn: conn, Exchange: Exchange{Conn: row.Conn, Stream: id, FirstSeq: seq, requestDir: row.Direction}}
		for d := range f.Sides {
			f.Sides[d].gaps = conn.gaps[d]
			f.Sides[d].gaps.missed = c.missed
		}
		f.place = c.open.PushBack(f)
		conn.streams[id] = f
	}
	f.Info, f.Role, f.Local, f.Remote = conn.info, conn.role, conn.local, conn.remote
	d := row.Direction
	if row.Header.Type == http2.FramePushPromise {
		d = d.Reverse()
	}
	s := &f.Sides[d]
	if !s.Seen {
		s.Seen, s.Begin = true, row.Time
		if row.Header.Type == http2.FrameData {
			s.Body.hole(Hole{Reason: "the beginning of the message was not seen"})
		}
	}
	s.End = max(s.End, row.Time, row.TimeEnd)
	return f
}

// block takes in what a frame with a part of a field block says.
func (c *Collector) block(f *following, row *decode.Row, d capture.Direction, push bool) {
	s := &f.Sides[d]
	if row.HasFields {
		f.learnRequest(d, row.Fields)
		dropped := s.section(row.Fields)
		if len(s.Body.Frames) == 0 {
			// What was missing before did not belong to the body.
			s.gaps = f.conn.gaps[d]
			s.gaps.missed = c.missed
		}
		c.hold(f, sectionCost(row.Fields)-sectionCost(dropped))
		// Bodies stop where memory ends; for fields the oldest make room.
		for c.held > c.limits.Held && c.open.Front() != f.place {
			c.giveUp()
		}
	}
	if !row.Header.Flags.Has(http2.FlagHeadersEndHeaders) {
		return
	}
	if !row.HasFields {
		s.Undecoded = true
	}
	s.push = false
	if s.ending {
		c.ended(f, d)
	}
}

func (c *Collector) data(f *following, seq uint64, row *decode.Row) {
	s := &f.Sides[row.Direction]
	c.gap(f, row.Direction)
	room := min(c.limits.Body-len(s.Body.Data), c.limits.Held-c.held-frameCost)
	c.hold(f, s.Body.addFrame(seq, row, room))
	if row.Header.Flags.Has(http2.FlagDataEndStream) {
		c.ended(f, row.Direction)
	}
}

// What a field and a DATA frame cost beside their octets, about.
const (
	fieldCost = 80
	frameCost = 64
)

func sectionCost(fields []decode.Field) (n int) {
	for i := range fields {
		n += fieldCost + len(fields[i].Name) + len(fields[i].Value)
	}
	return n
}

// hold counts memory that a stream takes until it ends.
func (c *Collector) hold(f *following, n int) {
	f.held += n
	c.held += n
}

// giveUp ends the exchange that began first.
func (c *Collector) giveUp() {
	oldest := c.open.Front().Value.(*following)
	oldest.GivenUp = true
	c.end(oldest)
}

// gap puts a hole where octets of the connection were missing since the last
// frame: frames of this stream may have been among them.
func (c *Collector) gap(f *following, d capture.Direction) {
	s := &f.Sides[d]
	now := f.conn.gaps[d]
	now.missed = c.missed
	if now.missed != s.gaps.missed {
		s.Body.hole(Hole{Reason: "frames left the history before they were read, this stream's could be among them"})
	}
	if now.n != s.gaps.n {
		s.Body.hole(Hole{Size: now.octets - s.gaps.octets, Reason: "octets of the connection are missing, this stream's could be among them"})
	}
	s.gaps = now
}

// ended says that a message came to its end.
func (c *Collector) ended(f *following, d capture.Direction) {
	s := &f.Sides[d]
	if s.Fields != nil || len(s.Body.Frames) > 0 {
		c.gap(f, d)
	}
	s.Body.Ended = true
	if length, ok := contentLength(s.Fields); ok {
		s.Body.settle(length)
	}
	c.deliver(f, d)
	if f.Sides[d.Reverse()].Body.Ended {
		c.end(f)
	}
}

func (c *Collector) deliver(f *following, d capture.Direction) {
	if f.delivered[d] || !f.Sides[d].Seen {
		return
	}
	f.delivered[d] = true
	if c.message != nil {
		c.message(&f.Exchange, d)
	}
}

// end delivers an exchange and forgets it.
func (c *Collector) end(f *following) {
	for _, d := range [2]capture.Direction{f.RequestDirection(), f.RequestDirection().Reverse()} {
		if !f.Sides[d].Body.Ended && f.Sides[d].Seen {
			c.gap(f, d)
		}
		c.deliver(f, d)
	}
	if c.exchange != nil {
		c.exchange(&f.Exchange)
	}
	c.open.Remove(f.place)
	c.held -= f.held
	delete(f.conn.streams, f.Stream)
	f.conn.over[f.conn.overAll%len(f.conn.over)] = f.Stream
	f.conn.overAll++
}
