// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"sort"

	"h2sniff/decode"
	"h2sniff/decode/store"
)

const hexDigits = "0123456789abcdef"

// hexView lays octets out as lines of hex and ASCII, each made when it is
// drawn: a payload of 16 MiB has a million of them.
type hexView struct {
	head    []byte // before data: a frame header
	data    []byte
	parts   []octetPart // in the order of their places; those that are secret are not shown
	perLine int
	digits  int // of an offset
}

// newHexView chooses the most octets a line that w cells have room for.
func newHexView(head, data []byte, w int) hexView {
	v := hexView{head: head, data: data, perLine: 1, digits: 4}
	if v.len() > 1<<16 {
		v.digits = 6
	}
	for _, n := range []int{32, 16, 8, 4, 2} {
		if v.digits+hexWidth(n) <= w {
			v.perLine = n
			break
		}
	}
	return v
}

// frameHex is the view of a frame's octets. Its header is made again from what
// is known of it, so the reserved bit is always 0.
func frameHex(e *store.Entry, parts []octetPart, w int) hexView {
	if e.Kind != decode.RowFrame {
		return hexView{}
	}
	h := &e.Header
	head := []byte{byte(h.Length >> 16), byte(h.Length >> 8), byte(h.Length), byte(h.Type), byte(h.Flags),
		byte(h.StreamID >> 24), byte(h.StreamID >> 16), byte(h.StreamID >> 8), byte(h.StreamID)}
	v := newHexView(head, e.Payload, w)
	v.parts = parts
	return v
}

// hexWidth is the cells of a line of n octets behind the offset: hex with a
// space more after each eighth, ASCII.
func hexWidth(n int) int { return 1 + 3*n + (n-1)/8 + 2 + n }

// width is the cells of a line.
func (v *hexView) width() int { return v.digits + hexWidth(v.perLine) }

func (v *hexView) len() int { return len(v.head) + len(v.data) }

func (v *hexView) at(i int) byte {
	if i < len(v.head) {
		return v.head[i]
	}
	return v.data[i-len(v.head)]
}

func (v *hexView) lines() int {
	if v.perLine == 0 {
		return 0
	}
	return (v.len() + v.perLine - 1) / v.perLine
}

// partAt is the place in parts of the one that holds octet i; -1 for none.
func (v *hexView) partAt(i int) int {
	n := sort.Search(len(v.parts), func(n int) bool { return v.parts[n].to > i })
	if n < len(v.parts) && v.parts[n].from <= i {
		return n
	}
	return -1
}

// octetAt is the octet that is drawn in cell x of line i; -1 for none.
func (v *hexView) octetAt(i, x int) int {
	for j := range v.perLine {
		hex := v.digits + 2 + 3*j + j/8
		ascii := v.digits + hexWidth(v.perLine) - v.perLine + j
		if x == hex || x == hex+1 || x == ascii {
			if at := i*v.perLine + j; at < v.len() {
				return at
			}
		}
	}
	return -1
}

// hexLook says how the octets of a view are drawn.
type hexLook struct {
	sty      *styles
	from, to int // are lit
	cursor   int // one of them; -1: none
}

// style is that of octet i.
func (l *hexLook) style(i int) sgr {
	switch {
	case i == l.cursor:
		return l.sty.selected
	case i >= l.from && i < l.to:
		return l.sty.unselected
	}
	return l.sty.plain
}

// gap is what stands between octet i and the one before it: where there are
// no colours, a bracket shows what is lit.
func (l *hexLook) gap(i int) byte {
	switch {
	case l.sty.colour:
	case l.cursor >= 0 && i == l.cursor:
		return '>'
	case l.cursor >= 0 && i-1 == l.cursor:
		return '<'
	case i == l.from && l.from < l.to:
		return '['
	case i == l.to && l.from < l.to:
		return ']'
	}
	return ' '
}

const masked = "·"

// appendLine appends line i, exactly as wide as width says.
func (v *hexView) appendLine(dst []byte, i int, look *hexLook) []byte {
	at := i * v.perLine
	if i < 0 || at >= v.len() {
		return appendSpaces(dst, v.width())
	}
	n := min(v.perLine, v.len()-at)
	for shift := 4 * (v.digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[at>>shift&15])
	}
	dst = append(dst, ' ')
	part := v.partAt(at)
	hidden := make([]bool, n)
	for j := range n {
		if part < 0 || v.parts[part].to <= at+j {
			part = v.partAt(at + j)
		}
		hidden[j] = part >= 0 && v.parts[part].secret
	}
	for j := range v.perLine {
		if j > 0 && j%8 == 0 {
			dst = append(dst, ' ')
		}
		if j > n {
			dst = append(dst, "   "...)
			continue
		}
		dst = append(dst, look.gap(at+j))
		if j == n {
			dst = append(dst, "  "...)
			continue
		}
		s := look.style(at + j)
		dst = append(dst, s.on...)
		if hidden[j] {
			dst = append(dst, masked+masked...)
		} else {
			c := v.at(at + j)
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
		dst = append(dst, s.off...)
	}
	last := byte(' ')
	if n == v.perLine {
		last = look.gap(at + n)
	}
	dst = append(dst, last, ' ')
	for j := range v.perLine {
		if j >= n {
			dst = append(dst, ' ')
			continue
		}
		s := look.style(at + j)
		dst = append(dst, s.on...)
		switch c := v.at(at + j); {
		case hidden[j]:
			dst = append(dst, masked...)
		case c < 0x20 || c > 0x7e:
			dst = append(dst, '.')
		default:
			dst = append(dst, c)
		}
		dst = append(dst, s.off...)
	}
	return dst
}
