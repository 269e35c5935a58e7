// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Record is a row as it lies in the store: what its fixed part tells costs a
// load, the rest is read in place and never copied. A Record and all slices
// that it gives are valid only during the call of [Predicate.Match] that it was
// handed to.
type Record struct {
	rec   *[recSize]byte
	block []byte
	seq   uint64
	scan  *scan
}

// Predicate is a condition on rows. It must depend on nothing but the record
// and what came before it. Unless it is Stateless, it is called from one goroutine
// at a time for each [Selection], and without Findings once for each row, in their
// order.
type Predicate struct {
	Match func(*Record) bool
	// Memos is how many memos Match uses in AnyField: 0 to Memos-1.
	Memos int
	// Stateless says that Match depends on nothing but the record: it is then
	// called from several goroutines, for rows in any order.
	Stateless bool
	// Findings says that Match asks for findings, which may come after their
	// row.
	Findings bool
	// Once says that a row counts as what it was when it was examined, whatever
	// findings come later.
	Once bool
	// Within is a View that holds every row which Match accepts, as far as the
	// predicate's maker can tell: it spares the others. Its Selection counts
	// for nothing.
	Within View
}

// RawField is a field line in the store. Name and Value are parts of it.
type RawField struct {
	Name, Value           []byte
	NameKnown, ValueKnown bool
	Sensitive             bool
	Trust                 decode.Trust
}

// Seq is the number of the row among all rows, from 1.
func (r *Record) Seq() uint64 { return r.seq }

// Kind is the row's kind.
func (r *Record) Kind() decode.RowKind { return decode.RowKind(r.rec[25] & recKindMask) }

// IsFrame tells whether the row is a frame. Only then do stream, type, flags
// and length mean anything.
func (r *Record) IsFrame() bool { return decode.RowKind(r.rec[25]&recKindMask) == decode.RowFrame }

// HasDirection tells whether the row belongs to one direction: frames, prefaces
// and gaps do.
func (r *Record) HasDirection() bool {
	k := r.Kind()
	return k == decode.RowFrame || k == decode.RowPreface || k == decode.RowGap
}

// Time is that of the row's first octet, nanoseconds since the Unix epoch.
func (r *Record) Time() int64 { return int64(binary.LittleEndian.Uint64(r.rec[0:])) }

// Start is the time of the first row that the store ever had.
func (r *Record) Start() int64 { return r.scan.start }

// Conn is the row's connection.
func (r *Record) Conn() capture.ConnID {
	return capture.ConnID(binary.LittleEndian.Uint32(r.rec[12:]))
}

// Role is the part that the traced process plays in the connection, as far as
// known with this row.
func (r *Record) Role() capture.Role {
	place := binary.LittleEndian.Uint32(r.rec[8:])
	return capture.Role(binary.LittleEndian.Uint16(r.block[place:]) >> roleShift)
}

// StreamID is the frame's stream, without the reserved bit.
func (r *Record) StreamID() uint32 { return binary.LittleEndian.Uint32(r.rec[16:]) &^ (1 << 31) }

// Direction is the way that the octets went.
func (r *Record) Direction() capture.Direction { return capture.Direction(r.rec[19] >> 7) }

// Length is that of the frame's payload on the wire, octets.
func (r *Record) Length() uint32 { return binary.LittleEndian.Uint32(r.rec[20:]) & (1<<24 - 1) }

// Type and Flags are those of the frame header.
func (r *Record) Type() http2.FrameType { return http2.FrameType(r.rec[23]) }
func (r *Record) Flags() http2.Flags    { return http2.Flags(r.rec[24]) }

// HasFields tells whether a field block ended with this frame.
func (r *Record) HasFields() bool { return r.rec[25]&recHasFields != 0 }

// Malformed is the code of Row.Err, and whether there is one.
func (r *Record) Malformed() (http2.ErrCode, bool) {
	if r.rec[25]&recHasErr == 0 {
		return 0, false
	}
	b, ok := r.part(hasErr)
	return http2.ErrCode(b.uvarint() >> 1), ok // see hasErr
}

// Payload is what is kept of the frame's payload.
func (r *Record) Payload() []byte {
	if b, ok := r.part(wholePayload); ok {
		return b.bytes(int(r.Length()))
	}
	if b, ok := r.part(hasPayload); ok {
		return b.bytes(int(b.uvarint()))
	}
	return nil
}

// Missing is how many octets of the payload were lost (see decode.Row).
func (r *Record) Missing() uint32 {
	b, ok := r.part(hasMissing)
	if !ok {
		return 0
	}
	return uint32(b.uvarint())
}

// Findings are the findings on the row as they are known now, if the Predicate
// asks for them.
func (r *Record) Findings() []Finding { return r.scan.findings[uint16(r.seq-r.scan.first)] }

// Info is what is known of the process at the traced end of the connection.
func (r *Record) Info() *capture.ConnInfo { return r.scan.info(r.Conn()) }

func (r *Record) part(bit int) (reader, bool) {
	if r.scan.behind != nil && !r.scan.fetchFront(r.block) {
		return reader{}, false
	}
	return locate(r.block, r.rec[:], bit)
}

// locate goes to what bit stands for in the variable part of a row (see
// encode), and tells whether it is there.
func locate(block, rec []byte, bit int) (reader, bool) {
	b := reader{block[binary.LittleEndian.Uint32(rec[8:]):]}
	mask := int(binary.LittleEndian.Uint16(b.bytes(2)))
	if mask&bit == 0 {
		return reader{}, false
	}
	before := mask & (bit - 1)
	if before&hasFields != 0 {
		n := int(b.uvarint())
		b.bytes(4 * n)
		for range n {
			b.encoding()
		}
	}
	if before&hasTable != 0 {
		b.byte()
		b.skip(7)
	}
	if before&hasTimeEnd != 0 {
		b.skip(1)
	}
	if before&hasTID != 0 {
		b.skip(1)
	}
	switch {
	case before&wholePayload != 0:
		b.bytes(int(binary.LittleEndian.Uint32(rec[20:]) & (1<<24 - 1)))
	case before&hasPayload != 0:
		b.bytes(int(b.uvarint()))
	}
	if before&hasMissing != 0 {
		b.skip(1)
	}
	if before&hasErr != 0 {
		b.skip(1)
		b.bytes(int(b.uvarint()))
	}
	if before&hasBlock != 0 {
		b.skip(1)
	}
	return b, true
}

// skip passes over n varints.
func (r *reader) skip(n int) {
	i := 0
	for ; n > 0; n-- {
		for r.b[i] >= 1<<7 {
			i++
		}
		i++
	}
	r.b = r.b[i:]
}
