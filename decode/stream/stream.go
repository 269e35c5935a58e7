// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// State is the state of a stream as the traced process sees it, whose side is
// the local one (RFC 9113, section 5.1).
type State uint8

const (
	Idle State = iota
	ReservedLocal
	ReservedRemote
	Open
	HalfClosedLocal
	HalfClosedRemote
	Closed
)

func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case ReservedLocal:
		return "reserved (local)"
	case ReservedRemote:
		return "reserved (remote)"
	case Open:
		return "open"
	case HalfClosedLocal:
		return "half-closed (local)"
	case HalfClosedRemote:
		return "half-closed (remote)"
	case Closed:
		return "closed"
	}
	return "invalid"
}

// Outcome tells how an exchange of request and response ended.
type Outcome uint8

const (
	InProgress Outcome = iota
	Complete           // both sides ended the stream
	Reset              // either side reset it
	Refused            // the server said that it did not process it: GOAWAY, REFUSED_STREAM
	Cut                // the connection ended before the stream did
)

func (o Outcome) String() string {
	switch o {
	case InProgress:
		return "in progress"
	case Complete:
		return "complete"
	case Reset:
		return "reset"
	case Refused:
		return "refused"
	case Cut:
		return "cut"
	}
	return "invalid"
}

// Window is a flow-control window, of the octets that one direction may carry
// (RFC 9113, section 5.2).
type Window struct {
	Consumed uint64 // octets of DATA payload, padding included
	Granted  uint64 // octets given by WINDOW_UPDATE
	// EmptySeq is the row with which nothing was left of the window, EmptySince
	// its time; 0 while there is some left. EmptyBy says what row it is.
	EmptySeq   uint64
	EmptySince int64
	EmptyBy    EmptyBy

	opened int64 // when a window that was empty BeforeData had octets; 0: not yet
}

func (w *Window) empty(seq uint64, t int64, by EmptyBy) {
	w.EmptySeq, w.EmptySince, w.EmptyBy, w.opened = seq, t, by, 0
}

// Left is what the window holds when it began with initial octets.
func (w *Window) Left(initial uint32) int64 {
	return int64(initial) + int64(w.Granted) - int64(w.Consumed)
}

// Side is what one direction of a stream has carried.
type Side struct {
	Headers   bool   // the request, or the final response
	Trailers  bool   // a field section after that
	Interim   uint32 // responses with a 1xx status
	EndStream bool
	Reset     bool // RST_STREAM
	ResetCode http2.ErrCode
	// ResetKnown is false where the octets of the code were not captured.
	ResetKnown bool
	Data       uint64 // octets of DATA without padding
	DataSure   bool   // Data is exact
	Length     int64  // the content-length field; -1 for none that was seen
	Window     Window // for what this direction carries
}

// Stream is the record of one stream.
type Stream struct {
	ID     uint32
	Parent uint32 // of a pushed stream: the one its PUSH_PROMISE was on
	Pushed bool
	// Unseen says that the stream began before it was seen.
	Unseen   bool
	FirstSeq uint64
	Method   string // empty while unknown
	Status   int    // of the final response; 0 while unknown

	// Times in Unix nanoseconds, 0 while not seen: first octet of the request,
	// end of the request, first octet of the final response, end of the
	// stream.
	RequestSent, RequestEnd, ResponseStart, End int64

	Outcome Outcome

	state   State
	counted bool // in Conn.open
	sides   [2]Side
	list    *list
	prev    *Stream
	next    *Stream
}

// State is the state as of the row applied last.
func (s *Stream) State() State { return s.state }

// Side is what direction d of the stream has carried.
func (s *Stream) Side(d capture.Direction) *Side { return &s.sides[d&1] }

// Whole tells whether no frame of the stream can have been missed in direction
// d.
func (c *Conn) Whole(s *Stream, d capture.Direction) bool {
	h := &c.halves[d]
	return !s.Unseen && s.FirstSeq > h.damagedAt && h.pendingGap == 0
}

// list is a doubly linked list of streams, oldest first.
type list struct {
	first, last *Stream
	n           int
}

func (l *list) push(s *Stream) {
	s.list, s.prev, s.next = l, l.last, nil
	if l.last != nil {
		l.last.next = s
	} else {
		l.first = s
	}
	l.last = s
	l.n++
}

func (s *Stream) unlink() {
	l := s.list
	if l == nil {
		return
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		l.last = s.prev
	}
	s.list, s.prev, s.next = nil, nil, nil
	l.n--
}
