// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"h2sniff/decode/visible"
)

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		in, out string
		n       int // octets that are JSON, -1 for all
	}{
		{`{"a":[1,2.5e-3,{"b":null}],"c":{},"d":[ ],"e":"x\"}{"}`,
			"{\n  \"a\": [\n    1,\n    2.5e-3,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": \"x\\\"}{\"\n}", -1},
		{`  true `, "true", -1},
		{"{\"a\":1}\n{\"a\":2}\n", "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}", -1},
		{`{"a":"cut of`, "{\n  \"a\": \"cut of", -1},
		{`{"a":tr`, "{\n  \"a\": tr", -1},
		{`[1,2`, "[\n  1,\n  2", -1},
		{`{"a":1}</html>`, "{\n  \"a\": 1\n}", 7},
		{`)]}',`, "", 0},
		{``, "", -1},
		{`"\`, `"\`, -1},
	} {
		out, n := layout([]byte(c.in), 1<<20)
		want := c.n
		if want < 0 {
			want = len(c.in)
		}
		if string(out) != c.out || n != want {
			t.Errorf("%q: %q, %d octets", c.in, out, n)
		}
	}
	// Deep nesting does not multiply the size.
	deep := strings.Repeat("[", 100_000)
	if out, n := layout([]byte(deep), 1<<20); len(out) > 1<<20+200 || n == 0 {
		t.Errorf("%d octets from %d", len(out), n)
	}
}

func TestJSONHole(t *testing.T) {
	b := whole([]byte(`{"a":"begins ends","b":1}`))
	b.Holes = []Hole{{At: 12, Size: 900, Exact: true, Reason: "lost"}}
	out := string(AppendText(nil, "", Describe(response(b, "content-type", "application/problem+json; charset=utf-8"), Options{})))
	want := `body (type=application/problem+json; charset=utf-8, octets=25)
  JSON
    {
      "a": "begins
  hole
    ! 900 octets missing: lost
  text
     ends","b":1}
`
	if out != want {
		t.Errorf("got\n%s", out)
	}
}

// Nothing of the peer's reaches a terminal as it came.
func TestHostileText(t *testing.T) {
	evil := "\x1b]52;c;\x07\u202e\x9b"
	for _, m := range []*Message{
		response(whole([]byte(evil)), "content-type", evil, "content-encoding", evil),
		response(whole([]byte("event: "+evil+"\nid: "+evil+"\ndata: "+evil+"\n"+evil+"\n\n")), "content-type", "text/event-stream"),
		response(whole([]byte(`{"`+evil+`":1}`)), "content-type", "application/json"),
		response(whole([]byte(grpcMessage(0, "\x0a\x05\x1b[2Jx"))), "content-type", "application/grpc", "grpc-status", evil, "grpc-message", "%1b[2J"),
	} {
		out := AppendText(nil, "", Describe(m, Options{}))
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSuffix(line, "\n"); visible.String(line) != line {
				t.Errorf("%q", line)
			}
		}
	}
}

func TestEvents(t *testing.T) {
	text := "\xef\xbb\xbf: hello\nretry: 10\n\nevent: tick\nid: 7\ndata: one\r\ndata:two\r\n\r\ndata: {\"n\":1}\rnoise\r\rdata: cut"
	part := Describe(response(whole([]byte(text)), "content-type", "text/event-stream"), Options{})
	s := find(part, KindEventStream)
	if len(s.Children) != 4 {
		t.Fatalf("%s", AppendText(nil, "", part))
	}
	if e := s.Children[0]; e.Attr("comment") != "hello" || e.Attr("retry") != "10" {
		t.Errorf("%+v", e)
	}
	if e := s.Children[1]; e.Name != "tick" || e.Attr("id") != "7" || e.Text != "one\ntwo" {
		t.Errorf("%+v", e)
	}
	if e := s.Children[2]; e.Text != "{\n  \"n\": 1\n}" || e.Attr("other line") != "noise" {
		t.Errorf("%+v", e)
	}
	if e := s.Children[3]; e.Text != "cut" || len(e.Problems) != 1 {
		t.Errorf("%+v", e)
	}
	// Behind a hole it goes on with the next event.
	b := whole([]byte("data: a\n\ndata: bc\n\ndata: d\n\n"))
	b.Holes = []Hole{{At: 16, Size: 3, Exact: true, Reason: "lost"}}
	s = find(Describe(response(b, "content-type", "text/event-stream"), Options{}), KindEventStream)
	var texts []string
	for _, e := range s.Children {
		texts = append(texts, string(e.Kind)+":"+e.Text)
	}
	if got := strings.Join(texts, " "); got != "event:a event:b hole: event: event:d" {
		t.Errorf("%s\n%s", got, AppendText(nil, "", s))
	}
}

func webSocketMessage(fromServer bool, b *Body, extensions string) *Message {
	m := &Message{Request: fields(":method", "CONNECT", ":protocol", "websocket"), Response: fields(":status", "200"), FromServer: fromServer, Body: b}
	if extensions != "" {
		m.Response = append(m.Response, fields("sec-websocket-extensions", extensions)...)
	}
	return m
}

func wsFrame(head byte, mask string, payload string) string {
	n := len(payload)
	var b []byte
	bit := byte(0)
	if mask != "" {
		bit = 0x80
	}
	switch {
	case n < 126:
		b = []byte{head, bit | byte(n)}
	default:
		b = []byte{head, bit | 126, byte(n >> 8), byte(n)}
	}
	b = append(b, mask...)
	for i := range payload {
		c := payload[i]
		if mask != "" {
			c ^= mask[i%4]
		}
		b = append(b, c)
	}
	return string(b)
}

func TestWebSocket(t *testing.T) {
	// The masked Hello of RFC 6455, section 5.7, and more.
	text := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" + wsFrame(0x01, "abcd", strings.Repeat("x", 300)) +
		wsFrame(0x89, "abcd", "ping") + wsFrame(0x80, "abcd", "end") + wsFrame(0x88, "abcd", "\x03\xe8bye")
	b := whole([]byte(text))
	b.Frames = []Frame{{At: 0, Seq: 5}, {At: 100, Seq: 8}}
	w := find(Describe(webSocketMessage(false, b, ""), Options{}), KindWebSocket)
	if len(w.Children) != 5 || len(w.Problems) > 0 {
		t.Fatalf("%s", AppendText(nil, "", w))
	}
	payload := func(i int) string {
		if c := w.Children[i].Children; len(c) > 0 {
			return c[0].Text + string(c[0].Data)
		}
		return w.Children[i].Text
	}
	for i, want := range []struct{ opcode, fin, payload, frames string }{
		{"text", "true", "Hello", "5"}, {"text", "false", strings.Repeat("x", 300), "5..8"}, {"ping", "true", "ping", "8"},
		{"continuation", "true", "end", "8"}, {"close", "true", "bye", "8"},
	} {
		p := w.Children[i]
		if p.Attr("opcode") != want.opcode || p.Attr("fin") != want.fin || payload(i) != want.payload || p.Attr("frames") != want.frames {
			t.Errorf("frame %d: %+v, %q", i+1, p.Attrs, payload(i))
		}
	}
	if w.Children[4].Attr("code") != "1000" {
		t.Errorf("%+v", w.Children[4])
	}
	// A hole within a payload does not shift the mask.
	b = whole([]byte(text[:8] + text[10:]))
	b.Holes = []Hole{{At: 8, Size: 2, Exact: true, Reason: "lost"}}
	w = find(Describe(webSocketMessage(false, b, ""), Options{}), KindWebSocket)
	if len(w.Children) != 5 || w.Children[0].Children[0].Text != "He" || w.Children[0].Children[2].Text != "o" || payload(2) != "ping" {
		t.Errorf("%s", AppendText(nil, "", w))
	}
	// Cut anywhere it ends with words.
	for n := 1; n < len(text); n++ {
		out := string(AppendText(nil, "", Describe(webSocketMessage(false, &Body{Data: []byte(text[:n]), Octets: uint64(n)}, ""), Options{})))
		if !strings.Contains(out, "the end was not seen") {
			t.Fatalf("cut at %d:\n%s", n, out)
		}
	}
}

// permessage-deflate, with the example of RFC 7692, section 7.2.3, and a
// window that goes on from message to message.
func TestWebSocketDeflate(t *testing.T) {
	hello := "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00" + "\xc1\x05\xf2\x00\x11\x00\x00"
	fragments := "\x41\x03\xf2\x48\xcd" + "\x80\x04\xc9\xc9\x07\x00"
	for _, in := range []string{hello, fragments} {
		w := find(Describe(webSocketMessage(true, whole([]byte(in)), "permessage-deflate"), Options{}), KindWebSocket)
		last := w.Children[len(w.Children)-1]
		if len(last.Children) != 1 || last.Children[0].Text != "Hello" {
			t.Errorf("%s", AppendText(nil, "", w))
		}
	}
	var z bytes.Buffer
	f, _ := flate.NewWriter(&z, 9)
	var text string
	var want []string
	for i := range 5 {
		message := strings.Repeat("message that comes again ", i+1) + "."
		want = append(want, message)
		z.Reset()
		f.Write([]byte(message))
		f.Flush()
		text += wsFrame(0xc1, "", strings.TrimSuffix(z.String(), "\x00\x00\xff\xff"))
	}
	w := find(Describe(webSocketMessage(true, whole([]byte(text)), "permessage-deflate; client_no_context_takeover"), Options{}), KindWebSocket)
	for i, p := range w.Children {
		if len(p.Children) != 1 || p.Children[0].Text != want[i] {
			t.Errorf("message %d: %s", i+1, AppendText(nil, "", p))
		}
	}
	out := string(AppendText(nil, "", Describe(webSocketMessage(true, whole([]byte(hello)), ""), Options{})))
	if !strings.Contains(out, "not seen to be agreed on") {
		t.Errorf("%s", out)
	}
}

// A tree stays within its limits and says so.
func TestTreeBounds(t *testing.T) {
	many := strings.Repeat("\x08\x01", 100_000)
	nested := ""
	for range 60 {
		nested = string(append([]byte{0x0a, byte(len(nested))}, nested...))
	}
	for name, m := range map[string]*Message{
		"fields": response(whole([]byte(many)), "content-type", "application/protobuf"),
		"nested": response(whole([]byte(nested)), "content-type", "application/protobuf"),
		"events": response(whole([]byte(strings.Repeat("data: x\n\n", 50_000))), "content-type", "text/event-stream"),
		"json":   response(whole([]byte("["+strings.Repeat(`"aaaaaaaaaaaaaaaa",`, 50_000))), "content-type", "application/json"),
		"frames": webSocketMessage(true, whole([]byte(strings.Repeat("\x81\x00", 50_000))), ""),
		"octets": response(whole(make([]byte, 1<<20))),
		"calls":  response(whole([]byte(strings.Repeat("\x00\x00\x00\x00\x00", 50_000))), "content-type", "application/grpc"),
	} {
		part := Describe(m, Options{Limits: Limits{Parts: 100, Text: 10_000}})
		parts, octets := measure(part)
		if parts > 101 || octets > 10_000 {
			t.Errorf("%s: %d parts, %d octets", name, parts, octets)
		}
		out := string(AppendText(nil, "", part))
		if name != "nested" && !strings.Contains(out, "left out") {
			t.Errorf("%s: nothing says that there is more: %.300s", name, out)
		}
		if _, err := json.Marshal(part); err != nil {
			t.Error(err)
		}
	}
}

// measure counts the parts of a tree and the peer's octets in it.
func measure(p *Part) (parts, octets int) {
	parts, octets = 1, len(p.Text)+len(p.Data)
	for _, c := range p.Children {
		n, m := measure(c)
		parts += n
		octets += m
	}
	return parts, octets
}
