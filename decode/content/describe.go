// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"strconv"
	"strings"

	"h2sniff/decode"
)

// Message is the body of one direction of a stream, with what describes it.
type Message struct {
	Request    []decode.Field // field section of the request
	Response   []decode.Field // final field section of the response
	Trailers   []decode.Field // of this direction; nil where there are none
	FromServer bool
	Body       *Body
}

// Options of Describe.
type Options struct {
	Limits Limits
	Schema *Schema // may be nil
}

// Describe takes the body of a message apart. It never returns nil. The tree
// shares memory with the body.
func Describe(m *Message, o Options) *Part {
	t := &builder{limits: o.Limits.withDefaults(), schema: o.Schema}
	t.parts, t.text = t.limits.Parts, t.limits.Text
	root := &Part{Kind: KindBody}
	body := m.Body
	contentType, presence := Lookup(m.own(), "content-type")
	switch {
	case presence == Present:
		root.attr("type", contentType)
	case presence == Unknown:
		root.problem("the content-type is not known")
	case presence == Possible && m.own() == nil:
		root.problem("the header fields are not known, so the body is shown as it is")
	case presence == Possible:
		root.problem("the content-type could be among the fields whose names are not known")
	}
	if length, ok := contentLength(m.own()); ok && length != body.Octets && body.Ended && len(body.Holes) == 0 {
		if !(m.FromServer && bodiless(m)) {
			root.problem(fmt.Sprintf("content-length is %d", length))
		}
	}
	root.number("octets", body.Octets)
	defer func() {
		if !body.Ended && body.Over == 0 && len(body.Holes) == 0 {
			root.problem(body.Problem())
		}
	}()
	if isWebSocket(m) {
		t.webSocket(root, m, body)
		return root
	}
	inner, ok := t.codings(root, m, body)
	if !ok {
		t.raw(root, body)
		return root
	}
	media := mediaType(contentType)
	if presence != Present {
		media = ""
	}
	if format, ok := grpcFormat(media); ok {
		t.grpc(root, m, format, inner)
		return root
	}
	if len(inner.Data) == 0 && len(inner.Holes) == 0 {
		return root
	}
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json") ||
		media == "application/x-ndjson" || media == "application/jsonl" || media == "text/json":
		t.json(root, inner)
	case media == "text/event-stream":
		t.events(root, inner)
	case isProtobuf(media):
		p := t.child(root, KindGRPCMessage)
		t.proto(p, inner, t.schema.message(messageParameter(contentType)))
	default:
		if !t.image(root, media, inner) {
			t.raw(root, inner)
		}
	}
	return root
}

// isProtobuf tells whether a media type is one of those in use for a bare
// protobuf message.
func isProtobuf(media string) bool {
	switch media {
	case "application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf", "application/proto":
		return true
	}
	return false
}

// messageParameter gives the message type that a media type can name in its
// parameter proto or messageType.
func messageParameter(contentType string) string {
	for param := range strings.SplitSeq(contentType, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(key, "messagetype") || strings.EqualFold(key, "proto") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// Decoded undoes the content codings of the body of a message. The result is
// the body itself where there are none; problem says why they could not be
// undone, and then it is the body too.
func Decoded(m *Message, l Limits) (b *Body, problem string) {
	value, presence := Lookup(m.own(), "content-encoding")
	switch presence {
	case Absent:
		return m.Body, ""
	case Possible:
		return m.Body, "a content-encoding could be among the fields that are not known"
	case Unknown:
		return m.Body, "the content-encoding is not known"
	}
	l = l.withDefaults()
	list := codings(value)
	if len(list) > maxCodings {
		return m.Body, "more content codings on top of each other than are undone"
	}
	b = m.Body
	for i := len(list) - 1; i >= 0; i-- {
		out, err := decoded(list[i], b, l)
		if err != nil {
			return m.Body, "the content-encoding is " + err.Error()
		}
		b = &out
	}
	return b, ""
}

// codings undoes the content codings and tells the root about it. It returns
// false where the body must not be taken for the content.
func (t *builder) codings(root *Part, m *Message, body *Body) (*Body, bool) {
	value, presence := Lookup(m.own(), "content-encoding")
	if presence == Present {
		root.attr("encoding", value)
	}
	if len(body.Data) == 0 && body.whole() {
		return body, true
	}
	b, problem := Decoded(m, t.limits)
	if m.own() != nil {
		root.problem(problem)
	}
	if b != m.Body {
		root.number("decoded", uint64(len(b.Data)))
	}
	return b, problem == "" || presence == Possible
}

// contentLength gives the announced size of a body, where it is known.
func contentLength(fields []decode.Field) (uint64, bool) {
	value, presence := Lookup(fields, "content-length")
	if presence != Present {
		return 0, false
	}
	n, err := strconv.ParseUint(value, 10, 63)
	return n, err == nil
}

// bodiless tells whether a response has no body whatever its content-length
// says (RFC 9110, section 6.4.1).
func bodiless(m *Message) bool {
	method, p := Lookup(m.Request, ":method")
	status, q := Lookup(m.Response, ":status")
	return p != Present || method == "HEAD" || q == Present && (status == "304" || status == "204")
}
