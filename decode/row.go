// SPDX-License-Identifier: Apache-2.0

// Package decode turns the octets of a connection's two directions into rows:
// frames with their decoded field sections, and what else happened between
// them. It observes; it is not an endpoint: a malformed frame is a row with
// its error and its raw payload, never an end of decoding.
//
// The package has no goroutine, no I/O and no clock. A [Conn] is fed
// [capture.Event] values in order and hands rows to a callback.
package decode

import (
	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// RowKind is the kind of a Row.
type RowKind uint8

const (
	RowOpen     RowKind = iota + 1 // a connection was first seen; Info is set
	RowBind                        // its addresses became known or were withdrawn; Binding is set
	RowPreface                     // the client connection preface (RFC 9113, section 3.4), whole
	RowFrame                       // a frame
	RowGap                         // GapBytes octets are missing or were skipped to get back in step; GapReason is set
	RowClose                       // the connection ended
	RowProtocol                    // the connection, or one direction of it, does not speak HTTP/2: no frames will come; Protocol is set
)

func (k RowKind) String() string {
	switch k {
	case RowOpen:
		return "open"
	case RowBind:
		return "bind"
	case RowPreface:
		return "preface"
	case RowFrame:
		return "frame"
	case RowGap:
		return "gap"
	case RowClose:
		return "close"
	case RowProtocol:
		return "protocol"
	}
	return "invalid"
}

// GapReason tells why octets are missing from the frames, or from the wire.
type GapReason uint8

const (
	GapLost      GapReason = iota + 1 // dropped before they reached h2sniff
	GapNotCopied                      // known of, but not copied
	GapSkipped                        // seen, but no frame boundary could be found in them
	GapNotSent                        // of octets before: the program's call failed, and they were not sent
	GapNotKept                        // a row that was decoded and is lost: never of a decoder, see decode/store
)

func (g GapReason) String() string {
	switch g {
	case GapLost:
		return "lost"
	case GapNotCopied:
		return "not copied"
	case GapSkipped:
		return "skipped"
	case GapNotSent:
		return "not sent"
	case GapNotKept:
		return "not kept in the history"
	}
	return "none"
}

// FrameHeader is the 9-octet header of RFC 9113, section 4.1.
type FrameHeader struct {
	Length   uint32 // octets of payload
	Type     http2.FrameType
	Flags    http2.Flags
	StreamID uint32 // without the reserved bit
}

// Trust tells how far a field can be believed.
type Trust uint8

const (
	// TrustExact: the octets on the wire, and table entries seen on the wire,
	// give this value.
	TrustExact Trust = iota
	// UnknownSinceAttach: it refers to a dynamic table entry that was
	// inserted before h2sniff attached.
	UnknownSinceAttach
	// UnknownSinceGap: it refers to a dynamic table entry that octets lost
	// since may have inserted, changed or evicted.
	UnknownSinceGap
)

func (t Trust) String() string {
	switch t {
	case TrustExact:
		return "exact"
	case UnknownSinceAttach:
		return "unknown since attach"
	case UnknownSinceGap:
		return "unknown since gap"
	}
	return "invalid"
}

// Field is one field line of a field section (RFC 9110, section 6.3).
//
// Name and Value are what the peer sent, unsanitised. Where Trust is not
// TrustExact the Value is empty; NameKnown says whether at least the name is
// exact (a literal value with an indexed, unknown name has the reverse:
// ValueKnown and not NameKnown).
type Field struct {
	Name, Value string
	Encoding    Encoding // how it was represented on the wire
	NameKnown   bool
	ValueKnown  bool
	Sensitive   bool // never-indexed representation (RFC 7541, section 6.2.3)
	Trust       Trust
	// Unknown is the absolute insert index of the unknown table entry that
	// the field refers to: the newest entry at the attach (or after the gap)
	// is 0, older ones are negative. The same number is the same entry within
	// one direction of a connection and one Epoch (each gap begins a new one).
	// Meaningful only where Trust is not TrustExact.
	Epoch   uint32
	Unknown int64
}

// FrameError tells what is malformed about a frame.
type FrameError struct {
	Code   http2.ErrCode // what RFC 9113 or RFC 7541 would have an endpoint answer
	Reason string        // one sentence without the peer's bytes in it
	// Unfinished: the frame was cut by the end of its connection or of the
	// capture, so that what it lacks was never sent, or never seen.
	Unfinished bool
}

func (e *FrameError) Error() string { return e.Code.String() + ": " + e.Reason }

// Row is one row of the ordered frame store.
type Row struct {
	Kind      RowKind
	Direction capture.Direction // frames, prefaces, gaps, and protocol rows with OneWay
	Conn      capture.ConnID
	TID       uint32
	Role      capture.Role // of the traced process, as far as known with this row
	Time      int64        // of its first octet, nanoseconds since the Unix epoch
	TimeEnd   int64        // of its last octet
	// Offset is the position of the first octet of a frame or preface in its
	// direction, as events count them. A store does not keep it.
	Offset uint64

	// Frames only. Payload may be shorter than Header.Length: Missing of its
	// octets were lost or not copied (zeroes stand in their places), and what
	// is then still lacking at the end was never sent, is content of DATA that
	// was left out on purpose or exceeds the limit on kept payload.
	Header  FrameHeader
	Payload []byte
	Missing uint32
	// Fields is the field section, on the frame that carries END_HEADERS.
	Fields    []Field
	HasFields bool // a field block ended with this frame (Fields may be empty)
	// Table is the dynamic table of the frame's direction behind this frame:
	// on frames that end a field block and where the table was given up. On
	// other frames it is nil, and the table as it was.
	Table *TableState
	Err   *FrameError
	// Overtaken is set on a frame if octets of the other direction came behind
	// its header, with none missing before them: nothing that the other side
	// sent before the frame is still to come. A store does not keep it.
	Overtaken bool

	GapBytes  uint64    // RowGap
	GapReason GapReason // RowGap

	Info    *capture.ConnInfo // RowOpen
	Binding *capture.Binding  // RowBind

	Protocol Protocol // RowProtocol
	// OneWay is set on a RowProtocol of Direction alone: the other side speaks
	// HTTP/2, and this is no answer to it. Of the direction nothing more is told.
	OneWay bool
}

// Protocol is what a connection speaks, as far as its plaintext has shown.
type Protocol uint8

const (
	Undecided Protocol = iota // too little seen
	HTTP2
	HTTP1
	OtherProtocol // neither
	TLS           // records of TLS where plaintext is due: in rows with OneWay only
)

func (p Protocol) String() string {
	switch p {
	case HTTP2:
		return "HTTP/2"
	case HTTP1:
		return "HTTP/1.1"
	case OtherProtocol:
		return "not HTTP"
	case TLS:
		return "TLS"
	}
	return "undecided"
}
