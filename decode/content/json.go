// SPDX-License-Identifier: Apache-2.0

package content

import (
	"fmt"
	"unicode/utf8"
)

const (
	// jsonIndentDepth is the depth beyond which lines are indented no
	// further, so that deep nesting cannot multiply the size.
	jsonIndentDepth = 32
	jsonIndent      = "  "
)

// layout writes JSON with line breaks and indentation, up to limit octets. It
// takes the input as it comes, token by token, and does not check the grammar
// beyond what it needs: it goes as far as the input looks like JSON and
// returns how many octets of it that was. Several values in a row are put on
// lines of their own.
func layout(in []byte, limit int) (out []byte, n int) {
	out = make([]byte, 0, min(limit, len(in)+len(in)/4))
	depth := 0
	line := func() {
		out = append(out, '\n')
		for range min(depth, jsonIndentDepth) {
			out = append(out, jsonIndent...)
		}
	}
	fresh := true // nothing on this line but indentation
	for n < len(in) && len(out) < limit {
		c := in[n]
		switch c {
		case ' ', '\t', '\r', '\n':
			n++
			continue
		case '{', '[':
			if !fresh && depth == 0 {
				line()
			}
			out = append(out, c)
			n++
			// An empty one stays on its line.
			rest := n
			for rest < len(in) && isSpace(in[rest]) {
				rest++
			}
			if rest < len(in) && in[rest] == c+2 { // '}' is '{'+2, ']' is '['+2
				out = append(out, c+2)
				n = rest + 1
				fresh = false
				continue
			}
			depth++
			line()
			fresh = true
		case '}', ']':
			if depth == 0 {
				return out, n
			}
			depth--
			line()
			out = append(out, c)
			n++
			fresh = false
		case ',':
			if depth == 0 {
				return out, n
			}
			out = append(out, c)
			n++
			line()
			fresh = true
		case ':':
			if depth == 0 {
				return out, n
			}
			out = append(out, ':', ' ')
			n++
			fresh = true
		default:
			size := token(in[n:])
			if size == 0 {
				return out, n
			}
			if !fresh && depth == 0 {
				line()
			}
			out = append(out, in[n:n+size]...)
			n += size
			fresh = false
		}
	}
	return out, n
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// token gives the length of the string, number or word that s begins with, as
// far as it is there; 0 where it is none.
func token(s []byte) int {
	switch c := s[0]; {
	case c == '"':
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return len(s)
	case c == '-' || c >= '0' && c <= '9':
		i := 1
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || s[i] == 'e' || s[i] == 'E' || s[i] == '+' || s[i] == '-') {
			i++
		}
		return i
	}
	for _, word := range []string{"true", "false", "null"} {
		i := 0
		for i < len(word) && i < len(s) && s[i] == word[i] {
			i++
		}
		if i == len(word) || i > 0 && i == len(s) {
			return i
		}
	}
	return 0
}

// json adds JSON, laid out; what is not JSON in it, or stands behind a hole,
// follows as it is.
func (t *builder) json(parent *Part, b *Body) {
	in := b.Prefix()
	if !utf8.Valid(trimRune(in)) {
		t.raw(parent, b)
		return
	}
	p := t.child(parent, KindJSON)
	if p == nil {
		return
	}
	out, n := layout(in, t.text)
	switch {
	case n < len(in) && len(out) >= t.text:
		p.problem(count(uint64(len(in)-n), "octet") + " left out: more than is shown")
		out = out[:min(len(out), t.text)]
	case n < len(in):
		p.problem(fmt.Sprintf("not JSON from octet %d on", n+1))
	}
	t.setText(p, out)
	if n < len(in) && t.text > 0 {
		t.raw(parent, &Body{Data: in[n:], Ended: true})
	}
	t.afterHole(parent, b)
}

// trimRune leaves out a rune that is cut at the end.
func trimRune(s []byte) []byte {
	for i := 1; i <= utf8.UTFMax-1 && i <= len(s); i++ {
		if c := s[len(s)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(s[len(s)-i:]) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}

// afterHole adds the holes of a body and what stands behind each.
func (t *builder) afterHole(parent *Part, b *Body) {
	for i, h := range b.Holes {
		p := t.child(parent, KindHole)
		if p == nil {
			return
		}
		p.problem(h.String())
		end := len(b.Data)
		if i+1 < len(b.Holes) {
			end = b.Holes[i+1].At
		}
		if end > h.At {
			t.raw(parent, &Body{Data: b.Data[h.At:end], Ended: true})
		}
	}
	if b.Over > 0 && len(b.Holes) == 0 {
		parent.problem(b.Problem())
	}
}

// raw adds octets as text where they are text, else as they are, hole by hole.
func (t *builder) raw(parent *Part, b *Body) {
	if in := b.Prefix(); len(in) > 0 {
		kind := KindOctets
		if isText(trimRune(in)) {
			kind = KindText
		}
		p := t.child(parent, kind)
		if p == nil {
			return
		}
		if kind == KindText {
			t.setText(p, in)
		} else {
			t.setData(p, in)
		}
	}
	t.afterHole(parent, b)
}

// isText tells whether octets are meant to be read: UTF-8 without controls
// other than white space.
func isText(s []byte) bool {
	if !utf8.Valid(s) {
		return false
	}
	for _, c := range s {
		if c < 0x20 && !isSpace(c) && c != '\f' && c != 0x1b && c != '\b' || c == 0x7f {
			return false
		}
	}
	return true
}
