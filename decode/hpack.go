// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"strings"

	"golang.org/x/net/http2"
)

const (
	// maxSectionSize bounds the field section that is kept, in the octets of
	// SETTINGS_MAX_HEADER_LIST_SIZE (32 a field more than name and value).
	maxSectionSize = 1 << 20
	// maxStringLength bounds one string literal, octets on the wire, and so
	// what is kept of a representation that CONTINUATION frames cut.
	maxStringLength = 1 << 20
	// arenaSize is how much string space is allocated at once.
	arenaSize = 4 << 10
)

var (
	errHpackIndex    = &FrameError{Code: http2.ErrCodeCompression, Reason: "a field refers to a table entry that does not exist"}
	errHpackInteger  = &FrameError{Code: http2.ErrCodeCompression, Reason: "an integer in the field block is too large"}
	errHpackHuffman  = &FrameError{Code: http2.ErrCodeCompression, Reason: "a Huffman-coded string is invalid"}
	errHpackCut      = &FrameError{Code: http2.ErrCodeCompression, Reason: "the field block ends inside a field"}
	errHpackUpdate   = &FrameError{Code: http2.ErrCodeCompression, Reason: "a table size update stands behind a field"}
	errHpackMax      = &FrameError{Code: http2.ErrCodeCompression, Reason: "a table size update is above the peer's SETTINGS_HEADER_TABLE_SIZE"}
	errHpackString   = &FrameError{Code: http2.ErrCodeEnhanceYourCalm, Reason: "a string in the field block is longer than is decoded"}
	errSectionLarge  = &FrameError{Code: http2.ErrCodeEnhanceYourCalm, Reason: "the field section is larger than is decoded; the rest of it is left out"}
	errIncompleteRep = &FrameError{Code: http2.ErrCodeNo, Reason: "more octets are needed"} // never leaves this file
)

// sectionDecoder decodes the field sections of one direction (RFC 7541). It
// works on one representation at a time, so that a field that refers to an
// entry never seen becomes a placeholder, and decoding goes on.
type sectionDecoder struct {
	table table
	// sizeLimit is the largest table size that the peer allows; checked only
	// if limitKnown.
	sizeLimit  uint64
	limitKnown bool

	// The field block being decoded.
	fields  []Field
	size    uint64
	begun   bool // a field was seen in it
	tooBig  bool
	carry   []byte // the beginning of a representation that the next fragment continues
	scratch []byte
	unknown Field
	arena   strings.Builder

	// state is the table after the block, made by end; the others are what
	// the table was when end was called last.
	state    TableState
	inserted int64
	held     int
	epoch    uint32
}

// begin begins a field block.
func (d *sectionDecoder) begin() {
	if cap(d.fields) > 1024 {
		d.fields = nil
	}
	d.fields = d.fields[:0]
	d.size, d.begun, d.tooBig = 0, false, false
	d.carry = d.carry[:0]
}

// gaveUp tells whether the table was given up since end was called last.
func (d *sectionDecoder) gaveUp() bool { return d.table.epoch != d.epoch }

// end sums up what the field block did to the table. The TableState is valid
// until the next call.
func (d *sectionDecoder) end() *TableState {
	t := &d.table
	s := &d.state
	s.Epoch, s.Inserted, s.Held, s.Size = t.epoch, t.inserted, t.n, t.size
	s.Max, s.MaxAssumed, s.Complete, s.Trust = t.max, t.assumed, t.complete, t.trust
	if d.gaveUp() {
		d.inserted, d.held, d.epoch = 0, 0, t.epoch
	}
	s.Added = int(t.inserted - d.inserted)
	s.Evicted = d.held + s.Added - t.n
	d.inserted, d.held = t.inserted, t.n
	return s
}

// abort ends a field block whose rest will not be decoded, because octets are
// missing or it is malformed. The table may now differ from the encoder's.
func (d *sectionDecoder) abort() {
	d.table.demote()
	d.dropCarry()
}

func (d *sectionDecoder) dropCarry() {
	d.carry = d.carry[:0]
	if cap(d.carry) > 64<<10 {
		d.carry = nil
	}
}

// write decodes the next fragment of the block, the last one if last is set.
// After an error other than errSectionLarge the rest of the block must not be
// written: call abort. d.fields holds what was decoded so far, valid until
// begin.
func (d *sectionDecoder) write(p []byte, last bool) *FrameError {
	carried := len(d.carry) > 0
	if carried {
		d.carry = append(d.carry, p...)
		p = d.carry
	}
	for len(p) > 0 {
		n, err := d.next(p)
		if err == errIncompleteRep {
			if last {
				return errHpackCut
			}
			break
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	if carried {
		d.carry = d.carry[:copy(d.carry, p)]
	} else {
		d.carry = append(d.carry, p...)
	}
	if len(p) == 0 {
		d.dropCarry()
	}
	if last && d.tooBig {
		return errSectionLarge
	}
	return nil
}

// next decodes the representation at the beginning of p, which is not empty,
// and gives its length.
func (d *sectionDecoder) next(p []byte) (int, *FrameError) {
	b := p[0]
	switch {
	case b&0x80 != 0: // indexed field
		i, n, err := hpackInteger(p, 7)
		if err != nil {
			return 0, err
		}
		f, ok := d.entry(i)
		if !ok {
			return 0, errHpackIndex
		}
		d.add(f, NewEncoding(FormIndexed, uint32(i), false, false, n))
		return n, nil
	case b&0x40 != 0: // literal with incremental indexing
		return d.literal(p, 6, FormIncremental)
	case b&0x20 != 0: // dynamic table size update
		size, n, err := hpackInteger(p, 5)
		if err != nil {
			return 0, err
		}
		if d.begun {
			return 0, errHpackUpdate
		}
		if d.limitKnown && size > d.sizeLimit {
			return 0, errHpackMax
		}
		d.table.setMax(size)
		return n, nil
	case b&0x10 != 0:
		return d.literal(p, 4, FormNever)
	default:
		return d.literal(p, 4, FormLiteral)
	}
}

// entry gives the table entry with an index into both tables.
func (d *sectionDecoder) entry(i uint64) (*Field, bool) {
	if i < uint64(len(staticTable)) {
		return &staticTable[i], i != 0
	}
	return d.table.lookup(i-uint64(len(staticTable))+1, &d.unknown)
}

func (d *sectionDecoder) literal(p []byte, prefix uint, form Form) (int, *FrameError) {
	index := form == FormIncremental
	i, at, err := hpackInteger(p, prefix)
	if err != nil {
		return 0, err
	}
	var name, value []byte
	var nameHuff, valueHuff bool
	if i == 0 {
		if name, nameHuff, at, err = hpackString(p, at); err != nil {
			return 0, err
		}
	}
	if value, valueHuff, at, err = hpackString(p, at); err != nil {
		return 0, err
	}

	var f Field
	if i != 0 {
		named, ok := d.entry(i)
		if !ok {
			return 0, errHpackIndex
		}
		f = *named
		if !f.NameKnown {
			// The value that the entry may have is not this field's.
			f.Value = ""
		}
	} else {
		f.NameKnown = true
	}
	f.ValueKnown, f.Sensitive = true, form == FormNever
	if f.NameKnown {
		f.Trust, f.Unknown, f.Epoch = TrustExact, 0, 0
	}

	b, nameLen := value, 0
	if i == 0 || valueHuff {
		// Both strings are decoded into one before it is allocated.
		ok := true
		d.scratch = d.scratch[:0]
		if nameHuff {
			d.scratch, ok = appendHuffman(d.scratch, name)
		} else {
			d.scratch = append(d.scratch, name...)
		}
		nameLen = len(d.scratch)
		if ok && valueHuff {
			d.scratch, ok = appendHuffman(d.scratch, value)
		} else {
			d.scratch = append(d.scratch, value...)
		}
		if !ok {
			return 0, errHpackHuffman
		}
		b = d.scratch
	}
	var s string
	if index {
		// On its own, so that a table entry keeps nothing else alive.
		s = string(b)
	} else if d.tooBig {
		d.begun = true
		return at, nil
	} else {
		s = d.hold(b)
	}
	if i == 0 {
		f.Name = s[:nameLen]
	}
	f.Value = s[nameLen:]
	if cap(d.scratch) > 64<<10 {
		d.scratch = nil
	}
	d.add(&f, NewEncoding(form, uint32(i), nameHuff, valueHuff, at))
	if index {
		d.table.insert(&f)
	}
	return at, nil
}

// add appends a field to the section.
func (d *sectionDecoder) add(f *Field, e Encoding) {
	d.begun = true
	if d.size += entrySize(f); d.size > maxSectionSize {
		d.tooBig = true
	}
	if !d.tooBig {
		d.fields = append(d.fields, *f)
		d.fields[len(d.fields)-1].Encoding = e
	}
}

// hold gives b as a string. Small ones share an allocation.
func (d *sectionDecoder) hold(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > arenaSize/4 {
		return string(b)
	}
	if d.arena.Cap()-d.arena.Len() < len(b) {
		d.arena.Reset() // leaves the strings given out alone
		d.arena.Grow(arenaSize)
	}
	from := d.arena.Len()
	d.arena.Write(b)
	return d.arena.String()[from:]
}

// hpackInteger decodes an integer with a prefix of that many bits (RFC 7541,
// section 5.1) at the beginning of p, which is not empty.
func hpackInteger(p []byte, prefix uint) (v uint64, n int, err *FrameError) {
	most := uint64(1)<<prefix - 1
	v = uint64(p[0]) & most
	if v < most {
		return v, 1, nil
	}
	for shift, i := uint(0), 1; i < len(p); i++ {
		if shift > 28 {
			return 0, 0, errHpackInteger
		}
		v += uint64(p[i]&0x7f) << shift
		if p[i] < 0x80 {
			if v > 1<<32-1 {
				return 0, 0, errHpackInteger
			}
			return v, i + 1, nil
		}
		shift += 7
	}
	return 0, 0, errIncompleteRep
}

// hpackString finds the string literal at p[at:] (RFC 7541, section 5.2) and
// the position behind it.
func hpackString(p []byte, at int) (s []byte, huff bool, next int, err *FrameError) {
	if at >= len(p) {
		return nil, false, 0, errIncompleteRep
	}
	length, n, err := hpackInteger(p[at:], 7)
	if err != nil {
		return nil, false, 0, err
	}
	if length > maxStringLength {
		return nil, false, 0, errHpackString
	}
	huff = p[at]&0x80 != 0
	at += n
	if uint64(len(p)-at) < length {
		return nil, false, 0, errIncompleteRep
	}
	return p[at : at+int(length)], huff, at + int(length), nil
}
