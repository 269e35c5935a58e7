// SPDX-License-Identifier: Apache-2.0

package content

import (
	"net/netip"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Side is one direction of a stream.
type Side struct {
	// Fields is the field section that begins the message; nil while none
	// was decoded. Trust is in each field.
	Fields        []decode.Field
	Informational [][]decode.Field // 1xx responses before it, at most maxInformational
	Trailers      []decode.Field   // nil where there are none
	Body          Body
	// Seen says that a frame of the message was seen at all.
	Seen bool
	// Undecoded says that a field block was there whose fields are not known.
	Undecoded bool
	// Begin is the time of the first octet of the first frame, Unix ns, that of
	// an interim response only while no other was seen.
	Begin int64
	End   int64 // time of the last octet of the last frame so far
	// HeaderOctets is the size of the frames that carry field blocks, frame
	// headers included.
	HeaderOctets uint64

	block  int64 // time of the HEADERS frame of the block in progress
	ending bool  // END_STREAM was on a HEADERS frame whose block goes on
	push   bool  // the block in progress is a promise's
	gaps   gapCount
}

const maxInformational = 8

// Reset is an RST_STREAM frame.
type Reset struct {
	Direction capture.Direction
	Code      uint32
	CodeKnown bool // false where its octets were not captured
	Time      int64
}

// Exchange is what happened on a stream: a request and its response.
type Exchange struct {
	Conn          capture.ConnID
	Stream        uint32
	Info          capture.ConnInfo // of the connection
	Role          capture.Role     // of the traced process
	Local, Remote netip.AddrPort   // the zero AddrPort where not known
	Sides         [2]Side          // by capture.Direction
	// Promised is set where the request is a server's promise; it came on the
	// response's direction then and its side is Sides[request], without body.
	Promised bool
	Reset    *Reset
	// Closed: the connection was closed before the exchange was complete.
	Closed bool
	// GivenUp: it began first of more streams than Limits.Streams.
	GivenUp bool
	// FirstSeq is the Seq of its first frame.
	FirstSeq uint64

	requestKnown bool
	requestDir   capture.Direction
}

// RequestDirection is the direction of the request: by the role of the traced
// process, else by the pseudo-header fields, else, where neither is known, the
// direction of the first frame.
func (x *Exchange) RequestDirection() capture.Direction {
	switch x.Role {
	case capture.Client:
		return capture.Send
	case capture.Server:
		return capture.Recv
	}
	return x.requestDir
}

// Request and Response are the two sides.
func (x *Exchange) Request() *Side  { return &x.Sides[x.RequestDirection()] }
func (x *Exchange) Response() *Side { return &x.Sides[x.RequestDirection().Reverse()] }

// Complete tells whether both messages were seen to their end.
func (x *Exchange) Complete() bool {
	return x.Sides[0].Body.Ended && x.Sides[1].Body.Ended
}

// Begin is the time of the first frame of the stream.
func (x *Exchange) Begin() int64 {
	a, b := &x.Sides[0], &x.Sides[1]
	if !a.Seen || b.Seen && b.Begin < a.Begin {
		return b.Begin
	}
	return a.Begin
}

// Message gives one direction in the form that Describe takes.
func (x *Exchange) Message(d capture.Direction) *Message {
	s := &x.Sides[d]
	return &Message{
		Request: x.Request().Fields, Response: x.Response().Fields, Trailers: s.Trailers,
		FromServer: d != x.RequestDirection(), Body: &s.Body,
	}
}

// learnRequest learns the direction of the request from a field section.
func (x *Exchange) learnRequest(d capture.Direction, fields []decode.Field) {
	if x.requestKnown {
		return
	}
	if _, p := Lookup(fields, ":method"); p == Present || p == Unknown {
		x.requestDir, x.requestKnown = d, true
	} else if _, p := Lookup(fields, ":status"); p == Present || p == Unknown {
		x.requestDir, x.requestKnown = d.Reverse(), true
	}
}

// section takes in a decoded field section. It returns the one that it takes the
// place of, if one is not kept for it.
func (s *Side) section(fields []decode.Field) (dropped []decode.Field) {
	// The decoder owns the slice; the strings stay good.
	fields = append(make([]decode.Field, 0, len(fields)), fields...)
	switch {
	case s.Fields == nil && !s.Undecoded && len(s.Body.Frames) == 0:
		s.Fields = fields
	case s.Fields != nil && !isFinal(s.Fields) && isStatus(fields) && len(s.Body.Frames) == 0:
		if len(s.Informational) < maxInformational {
			s.Informational = append(s.Informational, s.Fields)
		} else {
			dropped = s.Fields
		}
		s.Fields, s.Begin = fields, s.block
	default:
		dropped, s.Trailers = s.Trailers, fields
	}
	return dropped
}

// isFinal tells whether a field section is known to be no interim response (RFC
// 9110, section 15.2).
func isFinal(fields []decode.Field) bool {
	status, p := Lookup(fields, ":status")
	return p == Absent || p == Present && !strings.HasPrefix(status, "1")
}

// isStatus tells whether a field section is that of a response.
func isStatus(fields []decode.Field) bool {
	_, p := Lookup(fields, ":status")
	return p == Present || p == Unknown
}
