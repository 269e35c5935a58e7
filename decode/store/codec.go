// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// The variable part of a row: 16 bits that say what is there, then each in the
// order of the bits. Numbers are varints, signed ones zigzag.
//
// The fields come first, because filters ask for them.
const (
	hasFields    = 1 << iota // number, the place of each in the block (4 octets), the Encoding of each
	hasTable                 // Table
	hasTimeEnd               // TimeEnd - Time, where not 0
	hasTID                   // TID
	wholePayload             // payload of Header.Length octets
	hasPayload               // payload of another length: length, octets
	hasMissing               // Missing
	hasErr                   // code and, as its lowest bit, Unfinished; length of reason, reason
	hasBlock                 // Seq - BlockSeq
	hasGap                   // GapBytes, GapReason
	hasInfo                  // PID, TID, Role, Fresh, Comm, Library, Container
	hasBinding               // Local, Remote, Evidence
	hasProtocol              // Protocol

	roleShift = 14 // the upper two bits are Role
)

// A field in the block: flags, length of name, length of value, Unknown and
// Epoch where fieldUnknown is set, name, value.
const (
	fieldTrust      = 1<<2 - 1
	fieldName       = 1 << 2
	fieldValue      = 1 << 3
	fieldSensitive  = 1 << 4
	fieldUnknown    = 1 << 5
	maxFieldFixed   = 1 + 3*5 + binary.MaxVarintLen64
	maxRowFixed     = 2 + maxTableState + 6*binary.MaxVarintLen64 + 8*5 + 2*64
	maxFieldListing = 4 + maxEncoding
)

// bound is at least what row will take in a block, its record included. It
// supposes that no field has been interned.
func bound(row *decode.Row) int {
	n := recSize + maxRowFixed + len(row.Payload)
	for i := range row.Fields {
		n += fieldBound(&row.Fields[i])
	}
	if row.Err != nil {
		n += len(row.Err.Reason)
	}
	if row.Info != nil {
		n += len(row.Info.Comm) + len(row.Info.Library) + len(row.Info.Container)
	}
	if row.Binding != nil {
		n += len(row.Binding.Local.Addr().Zone()) + len(row.Binding.Remote.Addr().Zone())
	}
	return n
}

func fieldBound(f *decode.Field) int {
	return maxFieldListing + maxFieldFixed + len(f.Name) + len(f.Value)
}

// exactBound is bound with every distinct field counted once. It is for field
// sections that refer to the same large table entries thousands of times.
func exactBound(row *decode.Row) int {
	n := bound(row)
	seen := make(map[decode.Field]struct{})
	for i := range row.Fields {
		f := row.Fields[i]
		n -= maxEncoding - encodingSize(f.Encoding)
		f.Encoding = 0 // not interned with the field
		if _, dup := seen[f]; dup {
			n -= fieldBound(&f) - maxFieldListing
		}
		seen[f] = struct{}{}
	}
	return n
}

// encode appends the variable part of row to b, which has room for it.
// places are those of the row's interned fields.
func encode(b []byte, row *decode.Row, places []uint32, blockBack uint64) []byte {
	at := len(b)
	b = append(b, 0, 0)
	mask := int(row.Role) << roleShift
	if len(places) > 0 {
		mask |= hasFields
		b = binary.AppendUvarint(b, uint64(len(places)))
		for _, p := range places {
			b = binary.LittleEndian.AppendUint32(b, p)
		}
		for i := range row.Fields {
			b = appendEncoding(b, row.Fields[i].Encoding)
		}
	}
	if row.Table != nil {
		mask |= hasTable
		b = appendTable(b, row.Table)
	}
	if row.TimeEnd != row.Time {
		mask |= hasTimeEnd
		b = binary.AppendVarint(b, row.TimeEnd-row.Time)
	}
	if row.TID != 0 {
		mask |= hasTID
		b = binary.AppendUvarint(b, uint64(row.TID))
	}
	if n := len(row.Payload); n > 0 {
		if n == int(row.Header.Length&(1<<24-1)) {
			mask |= wholePayload
		} else {
			mask |= hasPayload
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = append(b, row.Payload...)
	}
	if row.Missing != 0 {
		mask |= hasMissing
		b = binary.AppendUvarint(b, uint64(row.Missing))
	}
	if row.Err != nil {
		mask |= hasErr
		code := uint64(row.Err.Code) << 1
		if row.Err.Unfinished {
			code |= 1
		}
		b = binary.AppendUvarint(b, code)
		b = appendString(b, row.Err.Reason)
	}
	if blockBack != 0 {
		mask |= hasBlock
		b = binary.AppendUvarint(b, blockBack)
	}
	if row.GapBytes != 0 || row.GapReason != 0 {
		mask |= hasGap
		b = binary.AppendUvarint(b, row.GapBytes)
		b = append(b, byte(row.GapReason))
	}
	if i := row.Info; i != nil {
		mask |= hasInfo
		b = binary.AppendUvarint(b, uint64(i.PID))
		b = binary.AppendUvarint(b, uint64(i.TID))
		b = append(b, byte(i.Role), boolByte(i.Fresh))
		b = appendString(b, i.Comm)
		b = appendString(b, i.Library)
		b = appendString(b, i.Container)
	}
	if bd := row.Binding; bd != nil {
		mask |= hasBinding
		b = appendAddrPort(b, bd.Local)
		b = appendAddrPort(b, bd.Remote)
		b = append(b, byte(bd.Evidence))
	}
	if row.Protocol != decode.Undecided {
		mask |= hasProtocol
		b = append(b, byte(row.Protocol)|boolByte(row.OneWay)<<7)
	}
	binary.LittleEndian.PutUint16(b[at:], uint16(mask))
	return b
}

// readRow decodes the row with the given local index. It copies everything.
func readRow(block []byte, first uint64, local int) Entry {
	e := Entry{Seq: first + uint64(local)}
	place, extra := getRecord(record(block, local), &e)
	e.HasFields = extra&recHasFields != 0
	if extra&recOwnBlock != 0 {
		e.BlockSeq = e.Seq
	}
	r := reader{block[place:]}
	mask := int(binary.LittleEndian.Uint16(r.bytes(2)))
	e.Role = capture.Role(mask >> roleShift)
	if mask&hasFields != 0 {
		n := int(r.uvarint())
		e.Fields = readFields(block, r.bytes(4*n), n)
		for i := range e.Fields {
			e.Fields[i].Encoding = r.encoding()
		}
	}
	if mask&hasTable != 0 {
		e.Table = new(decode.TableState)
		r.table(e.Table)
	}
	e.TimeEnd = e.Time
	if mask&hasTimeEnd != 0 {
		e.TimeEnd += r.varint()
	}
	if mask&hasTID != 0 {
		e.TID = uint32(r.uvarint())
	}
	switch {
	case mask&wholePayload != 0:
		e.Payload = append([]byte(nil), r.bytes(int(e.Header.Length))...)
	case mask&hasPayload != 0:
		e.Payload = append([]byte(nil), r.bytes(int(r.uvarint()))...)
	}
	if mask&hasMissing != 0 {
		e.Missing = uint32(r.uvarint())
	}
	if mask&hasErr != 0 {
		code := r.uvarint()
		e.Err = &decode.FrameError{Code: http2.ErrCode(code >> 1), Unfinished: code&1 != 0, Reason: r.string()}
	}
	if mask&hasBlock != 0 {
		e.BlockSeq = e.Seq - r.uvarint()
	}
	if mask&hasGap != 0 {
		e.GapBytes = r.uvarint()
		e.GapReason = decode.GapReason(r.byte())
	}
	if mask&hasInfo != 0 {
		e.Info = &capture.ConnInfo{
			PID:   uint32(r.uvarint()),
			TID:   uint32(r.uvarint()),
			Role:  capture.Role(r.byte()),
			Fresh: r.byte() != 0,
			Comm:  r.string(), Library: r.string(), Container: r.string(),
		}
	}
	if mask&hasBinding != 0 {
		e.Binding = &capture.Binding{
			Local:    r.addrPort(),
			Remote:   r.addrPort(),
			Evidence: capture.Evidence(r.byte()),
		}
	}
	if mask&hasProtocol != 0 {
		p := r.byte()
		e.Protocol, e.OneWay = decode.Protocol(p&0x7f), p>>7 != 0
	}
	return e
}

// appendField appends f as it stands in a block.
func appendField(b []byte, f *decode.Field) []byte {
	flags := fieldFlags(f)
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(len(f.Name)))
	b = binary.AppendUvarint(b, uint64(len(f.Value)))
	if flags&fieldUnknown != 0 {
		b = binary.AppendVarint(b, f.Unknown)
		b = binary.AppendUvarint(b, uint64(f.Epoch))
	}
	b = append(b, f.Name...)
	return append(b, f.Value...)
}

func fieldFlags(f *decode.Field) byte {
	flags := byte(f.Trust) & fieldTrust
	if f.NameKnown {
		flags |= fieldName
	}
	if f.ValueKnown {
		flags |= fieldValue
	}
	if f.Sensitive {
		flags |= fieldSensitive
	}
	if f.Unknown != 0 || f.Epoch != 0 {
		flags |= fieldUnknown
	}
	return flags
}

// rawField is a field in a block, not copied.
type rawField struct {
	flags       byte
	unknown     int64
	epoch       uint32
	name, value []byte
}

func parseField(b []byte) rawField {
	r := reader{b}
	f := rawField{flags: r.byte()}
	name, value := int(r.uvarint()), int(r.uvarint())
	if f.flags&fieldUnknown != 0 {
		f.unknown = r.varint()
		f.epoch = uint32(r.uvarint())
	}
	f.name, f.value = r.bytes(name), r.bytes(value)
	return f
}

// fieldIs tells whether the field that b begins with is f.
func fieldIs(b []byte, f *decode.Field) bool {
	flags, name, value := fieldFlags(f), len(f.Name), len(f.Value)
	if b[0] != flags {
		return false
	}
	if flags&fieldUnknown == 0 && name|value < 1<<7 {
		// Each length is one octet: nearly every field.
		return b[1] == byte(name) && b[2] == byte(value) &&
			string(b[3:3+name]) == f.Name && string(b[3+name:3+name+value]) == f.Value
	}
	raw := parseField(b)
	return raw.unknown == f.Unknown && raw.epoch == f.Epoch &&
		string(raw.name) == f.Name && string(raw.value) == f.Value
}

// readFields copies n fields; each distinct place's text once, so that a short
// list of places cannot grow into much memory.
func readFields(block, places []byte, n int) []decode.Field {
	fields := make([]decode.Field, n)
	size := 0
	var seen map[uint32]int
	if n > 64 {
		seen = make(map[uint32]int)
	}
	for i := range fields {
		p := binary.LittleEndian.Uint32(places[4*i:])
		if _, dup := seen[p]; dup {
			continue
		}
		if seen != nil {
			seen[p] = i
		}
		raw := parseField(block[p:])
		size += len(raw.name) + len(raw.value)
	}
	var text strings.Builder
	text.Grow(size)
	for i := range fields {
		p := binary.LittleEndian.Uint32(places[4*i:])
		if at, dup := seen[p]; dup && at < i {
			fields[i] = fields[at]
			continue
		}
		raw := parseField(block[p:])
		at := text.Len()
		text.Write(raw.name)
		text.Write(raw.value)
		s := text.String()[at:] // never moves: Grow made room for all
		fields[i] = decode.Field{
			Name: s[:len(raw.name)], Value: s[len(raw.name):],
			NameKnown:  raw.flags&fieldName != 0,
			ValueKnown: raw.flags&fieldValue != 0,
			Sensitive:  raw.flags&fieldSensitive != 0,
			Trust:      decode.Trust(raw.flags & fieldTrust),
			Unknown:    raw.unknown, Epoch: raw.epoch,
		}
	}
	return fields
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	bin, _ := a.MarshalBinary() // never fails
	return append(binary.AppendUvarint(b, uint64(len(bin))), bin...)
}

// reader reads what this package wrote; it trusts it.
type reader struct{ b []byte }

func (r *reader) bytes(n int) []byte {
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte { return r.bytes(1)[0] }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes(int(r.uvarint()))) }

func (r *reader) addrPort() netip.AddrPort {
	var a netip.AddrPort
	if err := a.UnmarshalBinary(r.bytes(int(r.uvarint()))); err != nil {
		return netip.AddrPort{}
	}
	return a
}
