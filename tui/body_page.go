// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode/content"
	"h2sniff/decode/visible"
)

// bodyPage lays out described bodies.
type bodyPage struct {
	page
	octets []hexView
}

// side is the body of one direction.
func (b *bodyPage) side(x *content.Exchange, d capture.Direction, schema *content.Schema, key bodyKey) {
	s := b.sty
	what := "request"
	if d != x.RequestDirection() {
		what = "response"
	}
	title := arrow(s, d).text + " " + what
	side := &x.Sides[d]
	body := &side.Body
	if !side.Seen {
		b.heading(title + ": nothing seen")
		return
	}
	m := x.Message(d)
	part := content.Describe(m, content.Options{Schema: schema})
	if body.Octets == 0 && len(part.Children) == 0 && len(body.Holes) == 0 {
		title += ": no body"
		if !body.Ended {
			title += " so far"
		}
		b.heading(title)
		return
	}
	b.heading(title + " body, " + plural(int(body.Octets), "octet") + " in " + plural(len(body.Frames), "DATA frame"))
	for i, f := range body.Frames {
		if f.Seq != key.seq {
			continue
		}
		end := len(body.Data)
		if i+1 < len(body.Frames) {
			end = body.Frames[i+1].At
		}
		if end > f.At && len(body.Frames) > 1 {
			b.text(s.dim, "this frame has octets "+commas(uint64(f.At))+" to "+commas(uint64(end-1)))
		}
	}
	b.facts(part, 0)
	for _, child := range part.Children {
		b.tree(child, 0)
	}
}

// facts are the attributes of a part and its problems.
func (b *bodyPage) facts(p *content.Part, depth int) {
	if p.Kind == content.KindBody {
		for _, a := range p.Attrs {
			if a.Key != "octets" {
				b.property(a.Key, visible.String(a.Value), b.sty.plain)
			}
		}
	}
	for _, problem := range p.Problems {
		b.indented(depth, "! "+problem, b.sty.warn)
	}
}

// maxIndent is the depth beyond which nothing is indented further.
const maxIndent = 12

func (b *bodyPage) indented(depth int, text string, style sgr) {
	n := 2 * min(depth, maxIndent, b.w/8)
	if n == 0 {
		b.text(style, text)
		return
	}
	b.wrapped([]cell{{}}, []int{n - 1}, text, style, nil)
}

// tree lays out a part and what is in it.
func (b *bodyPage) tree(p *content.Part, depth int) {
	s := b.sty
	defer func(seq uint64) { b.seq = seq }(b.seq)
	// gRPC messages and the like say in which rows they came.
	if first, _, _ := strings.Cut(p.Attr("frames"), ".."); first != "" {
		b.seq, _ = strconv.ParseUint(first, 10, 64)
	}
	title, style := partTitle(p), s.headers
	oneLine := p.Text != "" && !strings.Contains(p.Text, "\n") && p.Kind != content.KindJSON && p.Kind != content.KindText
	if oneLine {
		title += ": " + visible.String(p.Text)
		style = s.plain
	}
	if p.Kind != content.KindText && p.Kind != content.KindJSON && p.Kind != content.KindOctets {
		b.indented(depth, title, style)
	}
	if p.Text != "" && !oneLine {
		for line := range strings.Lines(p.Text) {
			line = strings.TrimRight(line, "\r\n")
			text := strings.TrimLeft(line, " ")
			b.indented(depth+(len(line)-len(text))/2, visible.String(text), s.plain)
		}
	}
	b.dump(p.Data)
	b.facts(p, depth+1)
	for _, c := range p.Children {
		b.tree(c, depth+1)
	}
}

// partTitle is the line of a part: what it is, and what is known of it.
func partTitle(p *content.Part) string {
	var title string
	switch p.Kind {
	case content.KindField:
		title = p.Label
	case content.KindGRPC:
		title = "gRPC"
	case content.KindGRPCMessage:
		title = "message " + p.Label
	case content.KindGRPCStatus:
		title = "gRPC status"
	case content.KindWebSocket:
		title = "WebSocket"
	case content.KindEventStream:
		title = "event stream"
	default:
		title = strings.TrimSpace(string(p.Kind) + " " + p.Label)
	}
	if p.Name != "" {
		title += " " + visible.String(p.Name)
	}
	for i, a := range p.Attrs {
		sep := ", "
		if i == 0 {
			sep = "  "
		}
		title += sep + a.Key + " " + visible.String(a.Value)
	}
	return strings.TrimSpace(title)
}

// dump adds octets that are no text.
func (b *bodyPage) dump(data []byte) {
	if len(data) == 0 {
		return
	}
	shown := data[:min(len(data), maxBodyOctets)]
	v := newHexView(nil, shown, b.w)
	b.octets = append(b.octets, v)
	for i := range v.lines() {
		b.add(detailLine{octets: len(b.octets), octetLine: i})
	}
	if n := len(data) - len(shown); n > 0 {
		b.text(b.sty.warn, ellipsis+" "+plural(n, "octet")+" more")
	}
}
