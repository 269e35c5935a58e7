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
// and what came before it, and it is called from one goroutine at a time for
// each [Selection]. Without Findings it is called once for each row, in their
// order.
type Predicate struct {
	Match func(*Record) bool
	// Memos is how many memos Match uses in AnyField: 0 to Memos-1.
	Memos int
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
	return http2.ErrCode(b.uvarint()), ok
}

// Gap is the reason and the length of a gap; 0 and 0 of other rows.
func (r *Record) Gap() (decode.GapReason, uint64) {
	if r.Kind() != decode.RowGap {
		return 0, 0
	}
	b, ok := r.part(hasGap)
	if !ok {
		return 0, 0
	}
	n := b.uvarint()
	return decode.GapReason(b.byte()), n
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

// maxMemo is the largest block for which it is remembered which of its fields
// match.
const maxMemo = 8 << 20

// AnyField tells whether match accepts a field of the row. A field stands in the
// store once for many rows, and match is asked once for it: it must depend on
// nothing but the field, and always be used with the same memo.
func (r *Record) AnyField(memo int, match func(*RawField) bool) bool {
	if r.rec[25]&recHasFields == 0 || r.scan.noneMatches(memo, r.block, match) {
		return false
	}
	b, ok := r.part(hasFields)
	if !ok {
		return false
	}
	places := b.bytes(4 * int(b.uvarint()))
	if len(r.block) > maxMemo {
		for ; len(places) > 0; places = places[4:] {
			if f := rawFieldAt(r.block, binary.LittleEndian.Uint32(places)); match(&f) {
				return true
			}
		}
		return false
	}
	known := r.scan.memo(memo, len(r.block))
	for ; len(places) > 0; places = places[4:] {
		p := binary.LittleEndian.Uint32(places)
		at, shift := p>>3, p&6
		state := known[at] >> shift & 3
		if state == memoUnknown {
			state = memoNo
			if f := rawFieldAt(r.block, p); match(&f) {
				state = memoYes
			}
			known[at] |= state << shift
		}
		if state == memoYes {
			return true
		}
	}
	return false
}

func rawFieldAt(block []byte, place uint32) RawField {
	f := parseField(block[place:])
	return RawField{
		Name: f.name, Value: f.value,
		NameKnown:  f.flags&fieldName != 0,
		ValueKnown: f.flags&fieldValue != 0,
		Sensitive:  f.flags&fieldSensitive != 0,
		Trust:      decode.Trust(f.flags & fieldTrust),
	}
}

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

// noneMatches tells whether match accepts no field of the whole segment, where
// that can be told.
func (c *scan) noneMatches(memo int, block []byte, match func(*RawField) bool) bool {
	if c.none[memo] == memoUnknown {
		c.none[memo] = memoNo
		if len(c.fields) > 0 && len(block) <= maxMemo {
			c.none[memo] = memoYes
			known := c.memo(memo, len(block))
			for _, p := range c.fields {
				state := memoNo
				if f := rawFieldAt(block, p); match(&f) {
					state, c.none[memo] = memoYes, memoNo
				}
				known[p>>3] = known[p>>3]&^(3<<(p&6)) | state<<(p&6)
			}
		}
	}
	return c.none[memo] == memoYes
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

// scan is what the evaluation of a Predicate keeps from row to row.
type scan struct {
	store    *Store
	start    int64
	num      uint32 // segment that memos and findings are of
	first    uint64 // of that segment
	memos    [][]byte
	fields   []uint32 // of the segment, if all of its rows are looked at
	none     []byte   // by memo: whether no field of the segment matches
	findings map[uint16][]Finding
	infos    map[capture.ConnID]*capture.ConnInfo
	lastConn capture.ConnID
	lastInfo *capture.ConnInfo

	chain  []uint16 // local indices of rows in a chain
	buf    []byte   // block of a segment that is not in memory
	behind *segment // whose front is not in buf yet
	unread bool     // something could not be read
}

// buffer is room for a block.
func (c *scan) buffer(size int) []byte {
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	return c.buf[:size]
}

// fetchFront reads the front of a block of which the records have been read.
func (c *scan) fetchFront(block []byte) bool {
	if c.unread {
		return false
	}
	if err := c.store.readPart(c.behind, 0, block[:c.behind.stored.front]); err != nil {
		c.unread = true
		return false
	}
	c.behind = nil
	return true
}

// What is known of a field, two bits for each second octet of the block: a
// field takes three or more.
const (
	memoUnknown byte = iota
	memoNo
	memoYes
)

// turn makes the scan one of another segment.
func (c *scan) turn(g *segment) {
	c.behind, c.unread, c.fields = nil, false, nil
	clear(c.none)
	if c.num == g.num && c.first == g.first {
		return
	}
	c.num, c.first = g.num, g.first
	for i := range c.memos {
		c.memos[i] = c.memos[i][:0]
	}
}

// memo is what is known of the fields by their places in the block, which has
// size octets.
func (c *scan) memo(n int, size int) []byte {
	m, need := c.memos[n], size/8+1
	if len(m) == need {
		return m
	}
	if cap(m) < need {
		m = make([]byte, need)
	} else {
		m = m[:need]
		clear(m)
	}
	c.memos[n] = m
	return m
}

// forget drops what may change between two looks at the store.
func (c *scan) forget() {
	clear(c.infos)
	c.lastInfo = nil
}

func (c *scan) info(id capture.ConnID) *capture.ConnInfo {
	if c.lastInfo != nil && c.lastConn == id {
		return c.lastInfo
	}
	info := c.infos[id]
	if info == nil {
		s, _ := c.store.Conn(id)
		info = &s.Info
		if c.infos == nil || len(c.infos) > 4096 {
			c.infos = make(map[capture.ConnID]*capture.ConnInfo)
		}
		c.infos[id] = info
	}
	c.lastConn, c.lastInfo = id, info
	return info
}
