// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"

	"h2sniff/decode"
)

// An Encoding in a row: Form and what is there, then index and octets as
// varints. The octets of an index are those that it needs unless they are
// there. An index changes with each insertion, so Encodings are not interned
// with their fields.
const (
	encForm      = 1<<3 - 1
	encNameHuff  = 1 << 3
	encValueHuff = 1 << 4
	encIndex     = 1 << 5
	encOctets    = 1 << 6

	maxEncoding   = 1 + 5 + 4
	maxTableState = 1 + 7*binary.MaxVarintLen64
)

// usualOctets is what the representation takes on the wire, where that follows
// from the rest (RFC 7541, section 5.1), else 0.
func usualOctets(form decode.Form, index uint32) int {
	if form != decode.FormIndexed {
		return 0
	}
	n := 1
	if index >= 1<<7-1 {
		n += uvarintSize(uint64(index - (1<<7 - 1)))
	}
	return n
}

func uvarintSize(v uint64) int {
	n := 1
	for ; v >= 1<<7; v >>= 7 {
		n++
	}
	return n
}

func encodingSize(e decode.Encoding) int {
	n := 1
	if e.Index() != 0 {
		n += uvarintSize(uint64(e.Index()))
	}
	if e.Octets() != usualOctets(e.Form(), e.Index()) {
		n += uvarintSize(uint64(e.Octets()))
	}
	return n
}

func appendEncoding(b []byte, e decode.Encoding) []byte {
	at := len(b)
	flags := byte(e.Form())
	b = append(b, 0)
	if e.NameHuffman() {
		flags |= encNameHuff
	}
	if e.ValueHuffman() {
		flags |= encValueHuff
	}
	if e.Index() != 0 {
		flags |= encIndex
		b = binary.AppendUvarint(b, uint64(e.Index()))
	}
	if e.Octets() != usualOctets(e.Form(), e.Index()) {
		flags |= encOctets
		b = binary.AppendUvarint(b, uint64(e.Octets()))
	}
	b[at] = flags
	return b
}

func (r *reader) encoding() decode.Encoding {
	flags := r.byte()
	form := decode.Form(flags & encForm)
	var index uint32
	if flags&encIndex != 0 {
		index = uint32(r.uvarint())
	}
	octets := usualOctets(form, index)
	if flags&encOctets != 0 {
		octets = int(r.uvarint())
	}
	return decode.NewEncoding(form, index, flags&encNameHuff != 0, flags&encValueHuff != 0, octets)
}

// A TableState in a row: flags and Trust, then the numbers as varints.
const (
	tableTrust    = 1<<2 - 1
	tableAssumed  = 1 << 2
	tableComplete = 1 << 3
)

func appendTable(b []byte, t *decode.TableState) []byte {
	flags := byte(t.Trust) & tableTrust
	if t.MaxAssumed {
		flags |= tableAssumed
	}
	if t.Complete {
		flags |= tableComplete
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(t.Epoch))
	b = binary.AppendUvarint(b, uint64(t.Inserted))
	b = binary.AppendUvarint(b, uint64(t.Held))
	b = binary.AppendUvarint(b, uint64(t.Added))
	b = binary.AppendUvarint(b, uint64(t.Evicted))
	b = binary.AppendUvarint(b, t.Size)
	return binary.AppendUvarint(b, t.Max)
}

func (r *reader) table(t *decode.TableState) {
	flags := r.byte()
	t.Trust = decode.Trust(flags & tableTrust)
	t.MaxAssumed, t.Complete = flags&tableAssumed != 0, flags&tableComplete != 0
	t.Epoch = uint32(r.uvarint())
	t.Inserted = int64(r.uvarint())
	t.Held = int(r.uvarint())
	t.Added = int(r.uvarint())
	t.Evicted = int(r.uvarint())
	t.Size = r.uvarint()
	t.Max = r.uvarint()
}
