// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protoDepth is how deep messages in messages are shown.
const protoDepth = 32

// proto adds the fields of a protobuf message, in the order of the wire. With
// a type they have names and the values of their types; fields that the type
// does not have, or has with another wire type, are shown by number as without
// one. Unlike an unmarshaller it goes as far as what is there allows.
func (t *builder) proto(p *Part, b *Body, typ protoreflect.MessageDescriptor) {
	if typ != nil {
		p.Name = string(typ.FullName())
	}
	in := b.Prefix()
	n := t.protoFields(p, in, typ, 0, 0)
	if t.spent {
		return
	}
	if !b.whole() {
		p.problem(fmt.Sprintf("fields up to octet %d, then incomplete: %s", n, b.Problem()))
	} else if n < len(in) {
		p.problem(fmt.Sprintf("not protobuf from octet %d on", n+1))
	}
	if n < len(in) {
		t.raw(p, &Body{Data: in[n:], Ended: true})
	}
	if len(b.Holes) > 0 && b.Holes[0].At < len(b.Data) {
		t.afterHole(p, b)
	}
}

// protoFields adds the fields in in and returns how many octets of it they
// are. With a group number it stops behind the end of that group, and returns
// -1 where the group has none.
func (t *builder) protoFields(parent *Part, in []byte, typ protoreflect.MessageDescriptor, group protowire.Number, depth int) int {
	anyType := ""
	n := 0
	for n < len(in) {
		number, wire, head := protowire.ConsumeTag(in[n:])
		if head < 0 {
			break
		}
		if wire == protowire.EndGroupType {
			if number == group && group != 0 {
				return n + head
			}
			break
		}
		size := protowire.ConsumeFieldValue(number, wire, in[n+head:])
		if size < 0 {
			break
		}
		value := in[n+head : n+head+size]
		n += head + size
		fd := t.schema.fieldFor(typ, number)
		if typ != nil && typ.FullName() == "google.protobuf.Any" {
			if number == 1 && wire == protowire.BytesType {
				url, _ := protowire.ConsumeBytes(value)
				anyType = string(url[strings.LastIndexByte(string(url), '/')+1:])
			}
			if number == 2 && wire == protowire.BytesType {
				if inner := t.schema.message(anyType); inner != nil {
					content, _ := protowire.ConsumeBytes(value)
					if f := t.protoField(parent, number, fd, "message"); f != nil {
						t.embedded(f, content, inner, depth)
					}
					continue
				}
			}
		}
		if !t.protoValue(parent, number, wire, value, fd, depth) {
			return n
		}
	}
	if group != 0 {
		return -1
	}
	return n
}

// fieldFor is field of a Schema that may be nil.
func (s *Schema) fieldFor(m protoreflect.MessageDescriptor, n protowire.Number) protoreflect.FieldDescriptor {
	if s == nil {
		return nil
	}
	return s.field(m, n)
}

// protoField adds a field without its value, nil where there is no room.
func (t *builder) protoField(parent *Part, number protowire.Number, fd protoreflect.FieldDescriptor, typ string) *Part {
	p := t.child(parent, KindField)
	if p == nil {
		return nil
	}
	p.Label = strconv.Itoa(int(number))
	if fd != nil {
		p.Name = string(fd.Name())
		if fd.IsExtension() {
			p.Name = "[" + string(fd.FullName()) + "]"
		}
	}
	p.attr("type", typ)
	return p
}

// protoValue adds one field. It returns false where there is no room for it.
func (t *builder) protoValue(parent *Part, number protowire.Number, wire protowire.Type, value []byte, fd protoreflect.FieldDescriptor, depth int) bool {
	if fd != nil && wire == protowire.BytesType && fd.IsList() && packable(fd.Kind()) {
		content, _ := protowire.ConsumeBytes(value)
		return t.packed(parent, number, content, fd)
	}
	if fd != nil && wireType(fd.Kind()) != wire {
		fd = nil // another wire type than the schema has: raw
	}
	typ := rawTypes[wire]
	if fd != nil {
		typ = fd.Kind().String()
	}
	if wire == protowire.BytesType && fd == nil {
		content, _ := protowire.ConsumeBytes(value)
		return t.guess(parent, number, content, depth)
	}
	p := t.protoField(parent, number, fd, typ)
	if p == nil {
		return false
	}
	switch wire {
	case protowire.BytesType:
		content, _ := protowire.ConsumeBytes(value)
		switch fd.Kind() {
		case protoreflect.MessageKind:
			t.embedded(p, content, named(fd.Message()), depth)
		case protoreflect.StringKind:
			if !utf8.Valid(content) {
				p.problem("not UTF-8")
			}
			t.setText(p, content)
		default:
			t.setData(p, content)
		}
	case protowire.StartGroupType:
		var inner protoreflect.MessageDescriptor
		if fd != nil {
			inner = named(fd.Message())
		}
		if depth >= protoDepth {
			p.problem("nested deeper than is shown")
			break
		}
		t.protoFields(p, value, inner, number, depth+1)
	default:
		p.Text = scalar(wire, value, fd)
	}
	return true
}

var rawTypes = map[protowire.Type]string{
	protowire.VarintType: "varint", protowire.Fixed32Type: "fixed32", protowire.Fixed64Type: "fixed64",
	protowire.BytesType: "bytes", protowire.StartGroupType: "group",
}

// embedded adds the fields of a message within a message.
func (t *builder) embedded(p *Part, content []byte, typ protoreflect.MessageDescriptor, depth int) {
	if depth >= protoDepth {
		p.problem("nested deeper than is shown")
		t.setData(p, content)
		return
	}
	if typ != nil {
		p.attr("message", string(typ.FullName()))
	}
	if n := t.protoFields(p, content, typ, 0, depth+1); n < len(content) && !t.spent {
		p.problem(fmt.Sprintf("not protobuf from octet %d on", n+1))
		t.setData(p, content[n:])
	}
}

// guess adds a length-delimited field of unknown type as what it looks like:
// readable text, else a message, else octets. The type says that it is a guess.
func (t *builder) guess(parent *Part, number protowire.Number, content []byte, depth int) bool {
	typ := "bytes"
	switch {
	case len(content) == 0:
	case readable(content):
		typ = "bytes, read as string"
	case depth < protoDepth && looksLikeMessage(content):
		typ = "bytes, read as message"
	}
	p := t.protoField(parent, number, nil, typ)
	if p == nil {
		return false
	}
	switch typ {
	case "bytes, read as string":
		t.setText(p, content)
	case "bytes, read as message":
		t.protoFields(p, content, nil, 0, depth+1)
	default:
		t.setData(p, content)
	}
	return true
}

// readable is stricter than isText, since every short message of protobuf is
// made of few octets too.
func readable(s []byte) bool {
	for _, c := range s {
		if c < 0x20 && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(s)
}

// looksLikeMessage tells whether octets are fields from end to end.
func looksLikeMessage(s []byte) bool {
	for len(s) > 0 {
		_, _, n := protowire.ConsumeField(s)
		if n < 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// packed adds the elements of a packed repeated field.
func (t *builder) packed(parent *Part, number protowire.Number, content []byte, fd protoreflect.FieldDescriptor) bool {
	wire := wireType(fd.Kind())
	for len(content) > 0 {
		p := t.protoField(parent, number, fd, fd.Kind().String())
		if p == nil {
			return false
		}
		n := protowire.ConsumeFieldValue(number, wire, content)
		if n < 0 {
			p.problem("the packed list is damaged here")
			t.setData(p, content)
			return true
		}
		p.Text = scalar(wire, content[:n], fd)
		content = content[n:]
	}
	return true
}

func packable(k protoreflect.Kind) bool {
	switch k {
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind, protoreflect.GroupKind:
		return false
	}
	return true
}

// wireType is the wire type of a kind that is not packed.
func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// scalar writes a number. Without a type it is unsigned, and of fixed size as
// hexadecimal with the floating-point number that it could be.
func scalar(wire protowire.Type, value []byte, fd protoreflect.FieldDescriptor) string {
	var v uint64
	switch wire {
	case protowire.VarintType:
		v, _ = protowire.ConsumeVarint(value)
	case protowire.Fixed32Type:
		v = uint64(binary.LittleEndian.Uint32(value))
	case protowire.Fixed64Type:
		v = binary.LittleEndian.Uint64(value)
	}
	if fd == nil {
		switch wire {
		case protowire.Fixed32Type:
			return fmt.Sprintf("0x%08x (float %v)", v, math.Float32frombits(uint32(v)))
		case protowire.Fixed64Type:
			return fmt.Sprintf("0x%016x (double %v)", v, math.Float64frombits(v))
		}
		return strconv.FormatUint(v, 10)
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return strconv.FormatBool(v != 0)
	case protoreflect.EnumKind:
		n := protoreflect.EnumNumber(int32(v))
		if e := fd.Enum().Values().ByNumber(n); e != nil {
			return string(e.Name())
		}
		return strconv.Itoa(int(n))
	case protoreflect.Int32Kind:
		return strconv.Itoa(int(int32(v)))
	case protoreflect.Sint32Kind:
		return strconv.FormatInt(int64(int32(protowire.DecodeZigZag(v&math.MaxUint32))), 10)
	case protoreflect.Sint64Kind:
		return strconv.FormatInt(protowire.DecodeZigZag(v), 10)
	case protoreflect.Uint32Kind:
		return strconv.FormatUint(uint64(uint32(v)), 10)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return strconv.FormatInt(int64(v), 10)
	case protoreflect.Sfixed32Kind:
		return strconv.Itoa(int(int32(v)))
	case protoreflect.FloatKind:
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(v))), 'g', -1, 32)
	case protoreflect.DoubleKind:
		return strconv.FormatFloat(math.Float64frombits(v), 'g', -1, 64)
	}
	return strconv.FormatUint(v, 10)
}
