// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"unicode/utf8"

	"h2sniff/decode/store"
)

// maxShownValue is how much of one value the detail shows, in octets; maxShown
// of all values of a page together. What is left out is said.
const (
	maxShownValue = 16 << 10
	maxShown      = 64 << 10
	// maxItems is how many fields, settings or origins it lists.
	maxItems = 4096
)

// detailLine is a line of cells, each to be cut at its column's width; the
// last one takes the rest.
type detailLine struct {
	cells  []cell
	widths []int // of all cells but the last
	// part is the place in the parts of the frame, plus one, that the line
	// tells of; 0: none.
	part  int
	field int    // the place of the field that it is of, plus one; 0: none
	seq   uint64 // the row that enter goes to; 0: none
	// octets is the place, plus one, of the view that the line is a line of.
	octets, octetLine int
}

// page is what a tab of the detail shows: lines, w cells wide.
type page struct {
	sty   *styles
	w     int
	lines []detailLine
	shown int // octets of values so far
	part  int // that the lines to come tell of
	field int
	seq   uint64
}

func (p *page) add(l detailLine) {
	if l.part == 0 {
		l.part = p.part
	}
	if l.seq == 0 {
		l.seq = p.seq
	}
	l.field = p.field
	p.lines = append(p.lines, l)
}

func (p *page) line(style sgr, text string) {
	p.add(detailLine{cells: []cell{{text, style}}})
}

// text is a sentence, wrapped between words where it is too long.
func (p *page) text(style sgr, text string) { p.prose(nil, nil, text, style) }

// prose is wrapped for sentences: it is broken between words.
func (p *page) prose(before []cell, widths []int, text string, style sgr) {
	room := p.w
	for _, n := range widths {
		room -= n + 1
	}
	for i, line := range wrapWords(text, max(room, 1)) {
		cells := make([]cell, len(before), len(before)+1)
		if i == 0 {
			copy(cells, before)
		}
		p.add(detailLine{cells: append(cells, cell{line, style}), widths: widths})
	}
}

// wrapWords splits s into lines of at most w cells, between words where there
// are any short enough.
func wrapWords(s string, w int) (lines []string) {
	line, used := "", 0
	for word := range strings.FieldsSeq(s) {
		n := width(word)
		if used > 0 && used+1+n <= w {
			line, used = line+" "+word, used+1+n
			continue
		}
		if used > 0 {
			lines = append(lines, line)
		}
		line, used = word, n
		if n > w {
			parts := wrap(word, w)
			lines = append(lines, parts[:len(parts)-1]...)
			line = parts[len(parts)-1]
			used = width(line)
		}
	}
	return append(lines, line)
}

func (p *page) heading(text string) {
	if len(p.lines) > 0 {
		p.line(p.sty.plain, "")
	}
	p.line(p.sty.bold, text)
}

// property adds a name and its value, wrapped. The value is safe to show.
func (p *page) property(name, value string, style sgr) {
	p.wrapped([]cell{{name, p.sty.dim}}, []int{p.nameWidth()}, value, style, nil)
}

// sentence is property for what is broken between words.
func (p *page) sentence(name, text string, style sgr) {
	p.prose([]cell{{name, p.sty.dim}}, []int{p.nameWidth()}, text, style)
}

func (p *page) nameWidth() int { return min(14, p.w/3) }

// wrapped adds a line of the cells before, the value wrapped below itself, and
// the cells after on the first line.
func (p *page) wrapped(before []cell, widths []int, value string, style sgr, after []cell) {
	room := p.w
	for _, n := range widths {
		room -= n + 1
	}
	afterWidth := 0
	for _, c := range after {
		afterWidth += width(c.text) + 1
	}
	room = max(room-afterWidth, 1)
	parts := wrap(value, room)
	if len(parts) == 0 {
		parts = []string{""}
	}
	for i, part := range parts {
		cells := make([]cell, 0, len(before)+1+len(after))
		ws := append([]int(nil), widths...)
		if i == 0 {
			cells = append(cells, before...)
		} else {
			cells = append(cells, make([]cell, len(before))...)
		}
		cells = append(cells, cell{part, style})
		if i == 0 && len(after) > 0 {
			ws = append(ws, room)
			cells = append(cells, after...)
			for _, c := range after[:len(after)-1] {
				ws = append(ws, width(c.text))
			}
		}
		p.add(detailLine{cells: cells, widths: ws})
	}
}

// value makes a peer's text safe and says what of it is not shown.
func (p *page) value(s string) string {
	limit := min(maxShownValue, maxShown-p.shown)
	p.shown += min(len(s), limit)
	if len(s) <= limit {
		return peer(s, len(s))
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return peer(s[:limit], limit) + ellipsis + " (" + commas(uint64(len(s)-limit)) + " octets more)"
}

// enough ends a list of n things after maxItems of them, and says so.
func (p *page) enough(i, n int) bool {
	if i < maxItems {
		return false
	}
	p.part = 0
	p.line(p.sty.warn, ellipsis+" "+commas(uint64(n-i))+" more")
	return true
}

// details builds the page of a row.
type details struct {
	page
	m     *Model
	e     *store.Entry
	index map[partKey]int // of the parts of the frame, plus one
	block fieldBlock      // that the frame carries a part of
}

// newDetails begins the page of a row, w cells wide.
func newDetails(m *Model, e *store.Entry, w int, parts []octetPart) *details {
	d := &details{page: page{sty: m.sty, w: w}, m: m, e: e}
	if len(parts) > 0 {
		d.index = make(map[partKey]int, len(parts))
		for i := range parts {
			d.index[parts[i].partKey] = i + 1
		}
	}
	return d
}

// of says which part of the frame the lines to come tell of.
func (d *details) of(name string, n int) { d.part = d.index[partKey{name, n}] }

// known adds a property that is a part of the frame of the same name.
func (d *details) known(name, value string, style sgr) {
	d.of(name, 0)
	d.property(name, value, style)
	d.part = 0
}
