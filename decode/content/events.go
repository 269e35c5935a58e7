// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// events adds server-sent events (WHATWG HTML, section 9.2.6). Behind a hole
// they go on with the next event that surely begins there.
func (t *builder) events(parent *Part, b *Body) {
	s := t.child(parent, KindEventStream)
	if s == nil {
		return
	}
	from := 0
	for i := 0; i <= len(b.Holes); i++ {
		to := len(b.Data)
		if i < len(b.Holes) {
			to = b.Holes[i].At
		}
		piece := b.Data[from:to]
		if i == 0 {
			piece = bytes.TrimPrefix(piece, []byte("\xef\xbb\xbf"))
		} else {
			// The rest of an event whose beginning is missing.
			skip := eventEnd(piece)
			if skip > 0 && !t.event(s, piece[:skip], "its beginning is missing") {
				return
			}
			piece = piece[skip:]
		}
		for len(piece) > 0 {
			n := eventEnd(piece)
			whole := n < len(piece) || endsEvent(piece)
			if !whole {
				why := "its end is missing"
				if i == len(b.Holes) && b.whole() {
					why = "no empty line ends it, so a client drops it"
				}
				if !t.event(s, piece, why) {
					return
				}
				break
			}
			if !t.event(s, piece[:n], "") {
				return
			}
			piece = piece[n:]
		}
		if i < len(b.Holes) {
			p := t.child(s, KindHole)
			if p == nil {
				return
			}
			p.problem(b.Holes[i].String())
		}
		from = to
	}
	if b.Over > 0 && len(b.Holes) == 0 {
		s.problem(b.Problem())
	}
}

// nextLine gives the length of the first line and of its end, 0 where it has
// none.
func nextLine(s []byte) (line, end int) {
	i := bytes.IndexAny(s, "\r\n")
	switch {
	case i < 0:
		return len(s), 0
	case s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n':
		return i, 2
	}
	return i, 1
}

// eventEnd gives the length of the first event with the empty line that ends
// it, or all of s.
func eventEnd(s []byte) int {
	for n := 0; n < len(s); {
		line, end := nextLine(s[n:])
		n += line + end
		if line == 0 && end > 0 {
			return n
		}
	}
	return len(s)
}

// endsEvent tells whether s ends with an empty line.
func endsEvent(s []byte) bool {
	for n := 0; n < len(s); {
		line, end := nextLine(s[n:])
		n += line + end
		if line == 0 && end > 0 && n == len(s) {
			return true
		}
	}
	return false
}

// event adds an event, unless it is nothing but an empty line.
func (t *builder) event(s *Part, lines []byte, problem string) bool {
	var p Part
	var data []byte
	fields := 0
	for len(lines) > 0 {
		n, end := nextLine(lines)
		line := lines[:n]
		lines = lines[n+end:]
		if n == 0 {
			continue
		}
		fields++
		name, value, colon := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case colon && len(name) == 0:
			if len(p.Attrs) < 16 {
				p.attr("comment", string(value[:min(len(value), 256)]))
			}
		case string(name) == "data":
			if data != nil {
				data = append(data, '\n')
			}
			data = append(data, value...)
			if data == nil {
				data = []byte{}
			}
		case string(name) == "event":
			p.Name = string(value[:min(len(value), 256)])
		case string(name) == "id" || string(name) == "retry":
			if len(p.Attrs) < 16 {
				p.attr(string(name), string(value[:min(len(value), 256)]))
			}
		default:
			if len(p.Attrs) < 16 {
				p.attr("other line", string(line[:min(len(line), 256)]))
			}
		}
	}
	if fields == 0 {
		return true
	}
	c := t.child(s, KindEvent)
	if c == nil {
		return false
	}
	c.Label, c.Name, c.Attrs = strconv.Itoa(len(s.Children)), p.Name, p.Attrs
	c.problem(problem)
	if trimmed := strings.TrimSpace(string(data[:min(len(data), 1)])); trimmed == "{" || trimmed == "[" {
		if out, n := layout(data, t.text); n == len(data) && utf8.Valid(out) {
			c.attr("data", "json")
			t.setText(c, out)
			return true
		}
	}
	t.setText(c, data)
	return true
}
