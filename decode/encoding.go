// SPDX-License-Identifier: Apache-2.0

package decode

// Form is a kind of field line representation (RFC 7541, section 6).
type Form uint8

const (
	FormUnknown     Form = iota // not decoded from a field block
	FormIndexed                 // section 6.1
	FormIncremental             // literal with incremental indexing, section 6.2.1
	FormLiteral                 // literal without indexing, section 6.2.2
	FormNever                   // literal never indexed, section 6.2.3
)

func (f Form) String() string {
	switch f {
	case FormIndexed:
		return "indexed"
	case FormIncremental:
		return "incremental indexing"
	case FormLiteral:
		return "without indexing"
	case FormNever:
		return "never indexed"
	}
	return "unknown"
}

// Encoding tells how a field line was represented on the wire (RFC 7541,
// section 6). It is a small value, comparable, and zero where nothing is known.
type Encoding uint64

// From the lowest bit: octets on the wire (24 bits; a representation is at most
// two strings of maxStringLength and a few octets more), Form (3 bits), the
// Huffman flags, index (32 bits).
const (
	encodingForm      = 24
	encodingNameHuff  = 1 << 27
	encodingValueHuff = 1 << 28
	encodingIndex     = 32
	encodingOctets    = 1<<encodingForm - 1
)

// NewEncoding makes an Encoding. index is that of the field or, in the literal
// forms, of its name: 0 where the name is a literal too.
func NewEncoding(form Form, index uint32, nameHuffman, valueHuffman bool, octets int) Encoding {
	e := Encoding(index)<<encodingIndex | Encoding(form&7)<<encodingForm | Encoding(min(octets, encodingOctets))
	if nameHuffman {
		e |= encodingNameHuff
	}
	if valueHuffman {
		e |= encodingValueHuff
	}
	return e
}

// Form is the kind of representation.
func (e Encoding) Form() Form { return Form(e >> encodingForm & 7) }

// Index is the index as it stands on the wire, into the static and the dynamic
// table together: of the field where Form is FormIndexed, else of its name. It
// is 0 where the name is a literal.
func (e Encoding) Index() uint32 { return uint32(e >> encodingIndex) }

// Static tells whether Index is one of the static table (RFC 7541,
// appendix A).
func (e Encoding) Static() bool { return e.Index() != 0 && e.Index() <= StaticEntries }

// NameHuffman and ValueHuffman tell whether a literal is Huffman-coded.
func (e Encoding) NameHuffman() bool  { return e&encodingNameHuff != 0 }
func (e Encoding) ValueHuffman() bool { return e&encodingValueHuff != 0 }

// Octets is the length of the representation on the wire.
func (e Encoding) Octets() int { return int(e & encodingOctets) }

// ValueLiteral finds the string that is the value in a literal representation
// (RFC 7541, section 6.2): its octets are rep[from:to]. It returns false where
// rep is not such a representation, whole.
func ValueLiteral(rep []byte) (from, to int, huffman, ok bool) {
	if len(rep) == 0 {
		return 0, 0, false, false
	}
	prefix := uint(4)
	switch b := rep[0]; {
	case b&0x80 != 0, b&0xe0 == 0x20: // indexed, table size update
		return 0, 0, false, false
	case b&0x40 != 0:
		prefix = 6
	}
	index, at, err := hpackInteger(rep, prefix)
	if err == nil && index == 0 {
		_, _, at, err = hpackString(rep, at)
	}
	if err != nil {
		return 0, 0, false, false
	}
	value, huffman, next, err := hpackString(rep, at)
	return next - len(value), next, huffman, err == nil && next == len(rep)
}

// StaticEntries is the number of entries of the static table. The newest entry
// of the dynamic table has the next index.
const StaticEntries = 61

// TableSize is what the field takes in a dynamic table, in the octets of
// RFC 7541, section 4.1. A name or value that is not known counts as empty.
func (f *Field) TableSize() uint64 { return entrySize(f) }

// TableState is what is known of the dynamic table of one direction (RFC 7541,
// section 2.3.2) behind a frame.
//
// Entries are numbered by insert index: the first one that was inserted since
// the attach or the last gap is 1; Epoch counts the gaps. Field.Unknown goes on
// with the same numbers, backwards.
type TableState struct {
	Epoch    uint32
	Inserted int64 // entries inserted in this epoch: the insert index of the newest
	Held     int   // of them, those that are still in the table
	// Added and Evicted count the entries that the field block which ended
	// with this frame inserted and those that left during it.
	Added, Evicted int

	Size uint64 // of the entries held, octets of section 4.1
	// Max is the capacity that the encoder uses, in the same octets. With
	// MaxAssumed it is not known, and Max only bounds what is held.
	Max        uint64
	MaxAssumed bool
	// Complete is set when the encoder's table has no other entries than
	// those held. Otherwise there may be more, from before the attach or the
	// gap, as Trust has it.
	Complete bool
	Trust    Trust
}
