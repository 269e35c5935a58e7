// SPDX-License-Identifier: Apache-2.0

package content

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"h2sniff/decode"
)

// grpcPrefix is the size of the prefix of a message: a flag and a length.
const grpcPrefix = 5

const (
	grpcCompressed = 0x01
	grpcTrailers   = 0x80 // of gRPC-Web
)

// grpcFormat tells whether a media type is gRPC's, and how its messages are
// encoded: "proto" where it does not say.
func grpcFormat(media string) (format string, ok bool) {
	rest, ok := strings.CutPrefix(media, "application/grpc")
	if !ok {
		return "", false
	}
	if web, isWeb := strings.CutPrefix(rest, "-web"); isWeb {
		rest = web
	}
	if rest == "" {
		return "proto", true
	}
	return strings.CutPrefix(rest, "+")
}

// grpc adds the messages of a body and, for a response, its status.
func (t *builder) grpc(parent *Part, m *Message, format string, b *Body) {
	g := t.child(parent, KindGRPC)
	if g == nil {
		return
	}
	coding, presence := Lookup(m.own(), "grpc-encoding")
	if presence == Unknown {
		g.problem("the grpc-encoding is not known")
	}
	var typ protoreflect.MessageDescriptor
	if path, p := Lookup(m.Request, ":path"); p == Present && format == "proto" {
		typ = t.schema.method(path, m.FromServer)
		if typ == nil && t.schema != nil {
			g.problem("the schema does not have this method")
		}
	}
	c := cursor{b: b}
	for i := 1; !c.done(); i++ {
		start := c
		prefix := c.cut(grpcPrefix)
		if !prefix.Ended || len(prefix.Holes) > 0 {
			t.unplaced(g, start, "the boundary of message "+strconv.Itoa(i)+" is not known")
			break
		}
		flag, size := prefix.Data[0], binary.BigEndian.Uint32(prefix.Data[1:])
		body := c.cut(uint64(size))
		p := t.child(g, KindGRPCMessage)
		if p == nil {
			break
		}
		p.Label = strconv.Itoa(i)
		p.number("octets", uint64(size))
		if first, last := b.frames(start.pos, c.pos); first > 0 {
			p.attr("frames", seqs(first, last))
		}
		if flag&^(grpcCompressed|grpcTrailers) != 0 {
			p.problem(fmt.Sprintf("the flags are 0x%02x, which has no meaning", flag))
		}
		if !body.Ended {
			if why := b.Problem(); why != "" && len(body.Holes) == 0 {
				body.Holes = []Hole{{At: len(body.Data), Reason: why}}
			}
			p.problem(fmt.Sprintf("cut: %d of its %d octets", body.Octets, size))
		}
		content := &body
		if flag&grpcCompressed != 0 {
			p.attr("compressed", "yes")
			content = t.grpcDecoded(p, &body, coding, presence)
		}
		switch {
		case content == nil:
		case flag&grpcTrailers != 0:
			p.Name = "trailers"
			t.raw(p, content)
		case format == "proto":
			t.proto(p, content, typ)
		case format == "json":
			t.json(p, content)
		default:
			t.raw(p, content)
		}
	}
	if b.Over > 0 {
		g.problem(b.Problem())
	}
	t.grpcStatus(g, m)
}

// grpcDecoded undoes the compression of a message. It returns nil where that
// was not possible.
func (t *builder) grpcDecoded(p *Part, b *Body, coding string, presence Presence) *Body {
	coding = strings.ToLower(coding)
	switch {
	case presence == Unknown || presence == Possible:
		p.problem("compressed in a way that is not known")
	case presence == Absent || coding == "identity":
		p.problem("marked as compressed, but grpc-encoding names no compression")
	default:
		out, err := decoded(coding, b, t.limits)
		if err == nil {
			p.number("decoded", uint64(len(out.Data)))
			return &out
		}
		p.problem("compressed with what h2sniff does not undo")
	}
	t.raw(p, b)
	return nil
}

// grpcStatus adds the status of a call, from the trailers or, where the
// response has nothing else, from its only field section.
func (t *builder) grpcStatus(g *Part, m *Message) {
	if !m.FromServer {
		return
	}
	fields := m.Trailers
	if fields == nil {
		fields = m.Response
		if _, p := Lookup(fields, "grpc-status"); p != Present && p != Unknown {
			if m.Body.Ended {
				g.problem("the stream ended without a grpc-status")
			}
			return
		}
	}
	p := t.child(g, KindGRPCStatus)
	if p == nil {
		return
	}
	status, presence := Lookup(fields, "grpc-status")
	switch presence {
	case Present:
		p.attr("status", status)
		names := decode.GRPCStatusNames()
		if n, err := strconv.ParseUint(status, 10, 32); err == nil && n < uint64(len(names)) {
			p.attr("name", names[n])
		}
	case Absent:
		p.problem("the trailers have no grpc-status")
	default:
		p.problem("the grpc-status is not known")
	}
	switch message, presence := Lookup(fields, "grpc-message"); presence {
	case Present:
		t.setText(p, percentDecode(message))
	case Unknown:
		p.problem("the grpc-message is not known")
	}
	if details, presence := Lookup(fields, "grpc-status-details-bin"); presence == Present {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(details, "="))
		if err != nil {
			p.problem("grpc-status-details-bin is not base64")
			return
		}
		if d := t.child(p, KindGRPCMessage); d != nil {
			d.Label = "details"
			d.number("octets", uint64(len(raw)))
			t.proto(d, &Body{Data: raw, Ended: true}, t.schema.message("google.rpc.Status"))
		}
	}
}

// percentDecode undoes the encoding of grpc-message. What is not a valid
// escape is left as it is, as the protocol demands.
func percentDecode(s string) []byte {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(v))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}

// unplaced adds what stands from a place on at which the boundaries were lost.
func (t *builder) unplaced(parent *Part, from cursor, why string) {
	if p := from.b.Problem(); p != "" {
		why += ": " + p
	} else {
		why += ": the body ends within it"
	}
	parent.problem(why)
	rest := from.rest()
	rest.Ended = true
	t.raw(parent, &rest)
}

// seqs writes a range of rows.
func seqs(first, last uint64) string {
	if first == last {
		return strconv.FormatUint(first, 10)
	}
	return fmt.Sprintf("%d..%d", first, last)
}

// own is the field section that describes the body of the message.
func (m *Message) own() []decode.Field {
	if m.FromServer {
		return m.Response
	}
	return m.Request
}
