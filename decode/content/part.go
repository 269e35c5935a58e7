// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"unicode/utf8"
)

// Kind is the kind of a Part. It is stable: programs may switch on it.
type Kind string

const (
	KindBody        Kind = "body"         // the root: Attrs say type, codings and sizes
	KindText        Kind = "text"         // Text
	KindJSON        Kind = "json"         // Text is the JSON laid out
	KindOctets      Kind = "octets"       // Data
	KindImage       Kind = "image"        // Attrs: format, pixels; Data
	KindHole        Kind = "hole"         // octets missing here; Problems say how many and why
	KindGRPC        Kind = "grpc"         // a gRPC stream: its children are messages and the status
	KindGRPCMessage Kind = "grpc_message" // Name is the message type where a schema gives it
	KindGRPCStatus  Kind = "grpc_status"  // Attrs: status, name; Text: the message
	KindField       Kind = "field"        // of a protobuf message: Label is its number, Name its name
	KindWebSocket   Kind = "websocket"    // its children are frames
	KindFrame       Kind = "frame"        // of WebSocket
	KindEventStream Kind = "event_stream" // its children are events
	KindEvent       Kind = "event"        // Name is its type, Text its data
)

// Attr is a fact about a Part. Key is h2sniff's, Value can hold the peer's
// octets.
type Attr struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Part is a node of a described body. Strings can hold any octets: see the
// package's documentation for which of them are a peer's.
type Part struct {
	Kind     Kind     `json:"kind"`
	Label    string   `json:"label,omitempty"`
	Name     string   `json:"name,omitempty"`
	Attrs    []Attr   `json:"attrs,omitempty"`
	Text     string   `json:"text,omitempty"`
	Data     []byte   `json:"data,omitempty"`
	Problems []string `json:"problems,omitempty"`
	Children []*Part  `json:"children,omitempty"`
}

// Attr gives the value of an attribute, "" where there is none.
func (p *Part) Attr(key string) string {
	for _, a := range p.Attrs {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

func (p *Part) attr(key, value string) { p.Attrs = append(p.Attrs, Attr{key, value}) }

func (p *Part) number(key string, n uint64) { p.attr(key, fmt.Sprint(n)) }

func (p *Part) problem(s string) {
	if s != "" {
		p.Problems = append(p.Problems, s)
	}
}

// builder makes a tree within its limits.
type builder struct {
	limits Limits
	schema *Schema
	parts  int // that may still be made
	text   int // octets that may still be held
	spent  bool
}

// child adds a part under parent, or returns nil where there is room for no
// more; parent then says so.
func (t *builder) child(parent *Part, kind Kind) *Part {
	if t.parts <= 0 {
		if !t.spent {
			t.spent = true
			parent.problem(fmt.Sprintf("more than %s: the rest is left out", count(uint64(t.limits.Parts), "part")))
		}
		return nil
	}
	t.parts--
	p := &Part{Kind: kind}
	parent.Children = append(parent.Children, p)
	return p
}

// room takes up to n octets from what a tree may hold; p says when that is
// less than n.
func (t *builder) room(p *Part, n int) int {
	got := min(n, t.text)
	t.text -= got
	if got < n {
		p.problem(count(uint64(n-got), "octet") + " left out: more than is shown")
	}
	return got
}

// setText gives p a text, as far as there is room.
func (t *builder) setText(p *Part, text []byte) {
	n := t.room(p, len(text))
	if n < len(text) {
		for n > 0 && !utf8.RuneStart(text[n]) {
			n--
		}
	}
	p.Text = string(text[:n])
}

// setData gives p octets, as far as there is room.
func (t *builder) setData(p *Part, data []byte) {
	p.Data = data[:t.room(p, len(data))]
}

// count gives a number with its unit in the right number.
func count(n uint64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
