// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"

	"h2sniff/decode"
)

// memo is what is known of the fields of a segment by their places in the block:
// two bits for each second octet, since a field takes three or more.
type memo struct {
	scope scope
	known []byte
}

const (
	fieldUnjudged byte = iota
	fieldNo
	fieldYes
)

// scope is of which fields a memo knows whether they match.
type scope uint8

const (
	scopeNew   scope = iota // nothing has been looked at since the scan turned to the segment
	scopeSome               // of those that were asked for
	scopeAll                // of all
	scopeNone               // of all: none does
	scopeLarge              // of none: the block is larger than maxMemo
)

// maxMemo is the largest block for which it is remembered which of its fields
// match.
const maxMemo = 8 << 20

// AnyField tells whether match accepts a field of the row. A field stands in the
// store once for many rows, and match is asked once for it: it must depend on
// nothing but the field, and always be used with the same memo.
func (r *Record) AnyField(memo int, match func(*RawField) bool) bool {
	if r.rec[25]&recHasFields == 0 {
		return false
	}
	m := &r.scan.memos[memo]
	if m.scope == scopeNew {
		m.begin(r.block, r.scan.fields, match)
	}
	if m.scope == scopeNone {
		return false
	}
	places := r.places()
	if m.scope == scopeAll { // nearly always
		for ; len(places) >= 4; places = places[4:] {
			if p := binary.LittleEndian.Uint32(places); m.known[p>>3]>>(p&6)&3 == fieldYes {
				return true
			}
		}
		return false
	}
	for ; len(places) >= 4; places = places[4:] {
		if m.accepts(r.block, binary.LittleEndian.Uint32(places), match) {
			return true
		}
	}
	return false
}

// places lists where the fields of the row stand, 4 octets each.
func (r *Record) places() []byte {
	if r.scan.behind != nil && !r.scan.fetchFront(r.block) {
		return nil
	}
	b := r.block[binary.LittleEndian.Uint32(r.rec[8:]):] // see encode
	if b[0]&hasFields == 0 {
		return nil
	}
	n, size := uint64(b[2]), 1
	if n >= 1<<7 {
		n, size = binary.Uvarint(b[2:])
	}
	return b[2+size:][:4*n]
}

// begin judges all fields of the block, where it is known which those are.
func (m *memo) begin(block []byte, fields []uint32, match func(*RawField) bool) {
	if len(block) > maxMemo {
		m.scope = scopeLarge
		return
	}
	if need := len(block)/8 + 1; len(m.known) != need {
		if cap(m.known) < need {
			m.known = make([]byte, need)
		} else {
			m.known = m.known[:need]
			clear(m.known)
		}
	}
	if len(fields) == 0 {
		m.scope = scopeSome
		return
	}
	m.scope = scopeNone
	for _, p := range fields {
		if m.accepts(block, p, match) {
			m.scope = scopeAll
		}
	}
}

// accepts tells whether match accepts the field at a place.
func (m *memo) accepts(block []byte, place uint32, match func(*RawField) bool) bool {
	if m.scope == scopeLarge {
		f := rawFieldAt(block, place)
		return match(&f)
	}
	at, shift := place>>3, place&6
	state := m.known[at] >> shift & 3
	if state == fieldUnjudged {
		state = fieldNo
		if f := rawFieldAt(block, place); match(&f) {
			state = fieldYes
		}
		m.known[at] |= state << shift
	}
	return state == fieldYes
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
