// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"strconv"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// Section tells what a field section is (RFC 9113, section 8.1).
type Section uint8

const (
	NoSection Section = iota
	UnknownSection
	Request
	Response // final or interim
	Trailers
	Promise // the request of a PUSH_PROMISE
)

// begin makes the record of a stream.
func (c *Conn) begin(seq uint64, id uint32) *Stream {
	if c.open.n >= MaxOpen {
		// The oldest one is dropped: nothing was heard of its end.
		c.overflowed = true
		c.drop(c.open.first)
	}
	s := c.free
	if s != nil {
		c.free = s.next
	} else {
		s = new(Stream)
	}
	*s = Stream{ID: id, FirstSeq: seq}
	for d := range s.sides {
		s.sides[d].Length = -1
		s.sides[d].DataSure = true
	}
	c.open.push(s)
	c.streams[id] = s
	c.newest = s
	return s
}

func (c *Conn) drop(s *Stream) {
	c.forgotten = true
	c.uncount(s)
	delete(c.streams, s.ID)
	s.unlink()
	if c.newest == s {
		c.newest = nil
	}
	s.next = c.free
	c.free = s
}

func (c *Conn) count(s *Stream) {
	if !s.counted {
		s.counted = true
		c.counts[(s.ID&1)^1]++
	}
}

func (c *Conn) uncount(s *Stream) {
	if s.counted {
		s.counted = false
		c.counts[(s.ID&1)^1]--
	}
}

// close ends a stream.
func (c *Conn) close(s *Stream, t int64) {
	if s.state == Closed {
		return
	}
	c.uncount(s)
	s.state, s.End = Closed, t
	if s.Outcome == Cut {
		if d, ok := c.ClientDirection(); ok {
			if s.ID&1 == 0 {
				d = d.Reverse()
			}
			if s.ID > c.goAway[d.Reverse()] {
				s.Outcome = Refused
			}
		}
	}
	s.unlink()
	c.closed.push(s)
	if c.Done != nil {
		c.Done(s)
	}
	if c.closed.n > MaxClosed {
		c.drop(c.closed.first)
	}
}

// headers takes a HEADERS frame: it begins a stream, or goes on with one.
func (c *Conn) headers(seq uint64, row *decode.Row) *Stream {
	d := row.Direction & 1
	h := &c.halves[d]
	id := row.Header.StreamID
	if id == 0 {
		return nil
	}
	s := c.Stream(id)
	cd, known := c.ClientDirection()
	fromClient := known && cd == d
	switch {
	case s != nil:
		if s.Pushed && known && !fromClient && (s.state == ReservedLocal || s.state == ReservedRemote) {
			c.count(s)
			s.state = HalfClosedLocal
			if d == capture.Send {
				s.state = HalfClosedRemote
			}
		}
	case fromClient && (h.complete || h.highestSure) && id > h.Highest:
		s = c.begin(seq, id)
		s.state = Open
		s.RequestSent = row.Time
		c.count(s)
	case fromClient && id <= h.Highest && h.complete:
		return nil // a stream id that went by
	case c.Idle(id):
		return nil // a response without a request
	case !known || !h.complete || !c.halves[d.Reverse()].complete:
		s = c.begin(seq, id)
		s.state, s.Unseen = Open, true
	}
	if fromClient && id > h.Highest {
		h.Highest = id
	}
	return s
}

// promise takes a PUSH_PROMISE frame: it reserves a stream.
func (c *Conn) promise(seq uint64, row *decode.Row, whole bool) {
	d := row.Direction & 1
	h := &c.halves[d]
	p := row.Payload
	if row.Header.Flags.Has(http2.FlagPushPromisePadded) && len(p) > 0 {
		p = p[1:]
	}
	if !whole || len(p) < 4 {
		h.highestSure = false
		return
	}
	id := binary.BigEndian.Uint32(p) & maxInt31
	h.block.promised = id
	if id == 0 || id&1 == 1 || id <= h.Highest {
		return
	}
	if cd, known := c.ClientDirection(); known && cd == d {
		return // only servers promise
	}
	h.Highest, h.highestSure = id, true
	if c.Stream(id) != nil {
		return
	}
	s := c.begin(seq, id)
	s.Pushed, s.Parent = true, row.Header.StreamID
	s.RequestSent, s.RequestEnd = row.Time, row.TimeEnd
	s.state = ReservedRemote
	if d == capture.Send {
		s.state = ReservedLocal
	}
}

// section ends a field block, if the row does, and its stream in this
// direction if the block began with END_STREAM.
func (c *Conn) section(seq uint64, row *decode.Row, ch *Change) {
	if !row.Header.Flags.Has(http2.FlagHeadersEndHeaders) {
		return
	}
	d := row.Direction & 1
	b := c.halves[d].block
	ch.Wire = b.wire
	c.fields(row, ch, b)
	switch {
	case ch.Stream == nil:
	case b.endStream:
		c.endStream(ch.Stream, row, ch)
	default:
		c.beginEmpty(seq, row, ch)
	}
}

// fields takes the field section that ends with the row.
func (c *Conn) fields(row *decode.Row, ch *Change, b block) {
	if !row.HasFields {
		if ch.Stream != nil {
			ch.Stream.Unseen = true // what it was is not known
		}
		return
	}
	d := row.Direction & 1
	h := &c.halves[d]
	method, status := pseudo(row.Fields)
	s := ch.Stream
	ch.Section = c.kind(d, b.push, s, method != "", status != "")
	cd, known := c.ClientDirection()
	if ch.Section == Request && method != "" && known && cd == d && b.stream >= h.Highest && h.doubt == 0 {
		h.Highest, h.highestSure = b.stream, true
	}
	if b.push {
		s = c.Stream(b.promised)
	}
	if s == nil {
		return
	}
	sd := &s.sides[d]
	switch ch.Section {
	case Request, Promise:
		if s.Method == "" {
			s.Method = method
		}
		if ch.Section == Request {
			if s.RequestSent == 0 {
				s.RequestSent = b.start
			}
			sd.Headers = true
			sd.Length = contentLength(row.Fields)
		}
	case Response:
		if status == unknownValue || status == "" {
			s.Unseen = true // whether another response follows is not known
		}
		code, err := strconv.Atoi(status)
		if err == nil && code >= 100 && code < 200 {
			sd.Interim++
			break
		}
		if err == nil && len(status) == 3 {
			s.Status = code
		}
		if !sd.Headers {
			s.ResponseStart = b.start
			sd.Length = contentLength(row.Fields)
		}
		sd.Headers = true
	case Trailers:
		sd.Trailers = true
	}
}

// kind tells what a field section is.
func (c *Conn) kind(d capture.Direction, push bool, s *Stream, method, status bool) Section {
	if push {
		return Promise
	}
	cd, known := c.ClientDirection()
	if s == nil || !c.Whole(s, d) || !known {
		switch {
		case method:
			return Request
		case status:
			return Response
		}
		if s != nil && s.sides[d].Headers {
			return Trailers
		}
		return UnknownSection
	}
	switch {
	case s.sides[d].Headers:
		return Trailers
	case cd == d:
		return Request
	}
	return Response
}

// pseudo finds :method and :status, where their values are known.
func pseudo(fields []decode.Field) (method, status string) {
	for i := range fields {
		f := &fields[i]
		if !f.NameKnown {
			continue
		}
		if len(f.Name) == 0 || f.Name[0] != ':' {
			break
		}
		switch {
		case !f.ValueKnown && f.Name == ":method":
			method = unknownValue
		case !f.ValueKnown && f.Name == ":status":
			status = unknownValue
		case f.Name == ":method":
			method = f.Value
		case f.Name == ":status":
			status = f.Value
		}
	}
	return method, status
}

// unknownValue stands for the value of a field that is there.
const unknownValue = "?"

func contentLength(fields []decode.Field) int64 {
	for i := range fields {
		if f := &fields[i]; f.Name == "content-length" && f.ValueKnown {
			if n, err := strconv.ParseUint(f.Value, 10, 63); err == nil {
				return int64(n)
			}
			break
		}
	}
	return -1
}

// endStream takes an END_STREAM flag.
func (c *Conn) endStream(s *Stream, row *decode.Row, ch *Change) {
	d, t := row.Direction&1, row.TimeEnd
	s.sides[d].EndStream = true
	if s.sides[d].Window.EmptySeq != 0 {
		ch.Stalls[0] = c.streamStall(s, d, row.Time)
		ch.Stalls[0].Ended = true
	}
	if cd, ok := c.ClientDirection(); ok && cd == d && s.RequestEnd == 0 {
		s.RequestEnd = t
	}
	switch {
	case s.state == Closed:
	case s.sides[d.Reverse()].EndStream || s.Pushed:
		s.Outcome = Complete
		c.close(s, t)
	case d == capture.Send:
		s.state = HalfClosedLocal
	default:
		s.state = HalfClosedRemote
	}
}

// reset takes an RST_STREAM frame.
func (c *Conn) reset(s *Stream, row *decode.Row, whole bool, ch *Change) {
	d := row.Direction & 1
	sd := &s.sides[d]
	if !sd.Reset {
		sd.Reset = true
		if whole && len(row.Payload) == 4 {
			sd.ResetCode, sd.ResetKnown = http2.ErrCode(binary.BigEndian.Uint32(row.Payload)), true
		}
	}
	for e := range s.sides {
		if s.sides[e].Window.EmptySeq != 0 {
			ch.Stalls[0] = c.streamStall(s, capture.Direction(e), row.TimeEnd)
		}
	}
	if s.state == Closed {
		return
	}
	s.Outcome = Reset
	cd, known := c.ClientDirection()
	switch {
	case known && cd != d && sd.ResetCode == http2.ErrCodeRefusedStream && sd.ResetKnown:
		s.Outcome = Refused
	case known && cd != d && sd.EndStream && sd.ResetCode == http2.ErrCodeNo && sd.ResetKnown:
		s.Outcome = Complete // RFC 9113, section 8.1: the request is not needed any more
	}
	c.close(s, row.TimeEnd)
}
