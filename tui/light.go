// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"

	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// lighting is what a search found in a row; it is lit in the tab that shows it.
type lighting struct {
	seq    uint64 // of the row
	needle needle
	field  int  // the place of the first field that has it, plus one; 0: none has
	moved  bool // the cursor has been put on it
}

// lightMatch lights what f looks for in the row that is shown, in the tab that
// is open or, where that cannot show it, in another.
func (p *detailPane) lightMatch(m *Model, f *finder) {
	p.light = lighting{}
	if len(f.needle.b) > 0 {
		p.light = lighting{seq: p.entry.Seq, needle: f.needle}
	}
	for i := range p.entry.Fields {
		if f.field != nil && f.field(&p.entry.Fields[i]) {
			p.light.field = i + 1
			break
		}
	}
	if tab := p.lightTab(); tab != p.tab && p.light.seq != 0 {
		p.chooseTab(m, int(tab))
		return
	}
	p.lightLines()
	p.toFound()
	m.dirty = true
}

// lightTab is the tab to show the match in.
func (p *detailPane) lightTab() detailTab {
	from, _ := p.lightOctets()
	switch e := &p.entry; {
	case from >= 0 && (p.tab == tabHex || p.light.needle.octets):
		return tabHex
	case p.light.field > 0:
		return tabHeaders
	case e.Kind == decode.RowFrame && e.Header.StreamID != 0 &&
		(e.Header.Type == http2.FrameData || e.Header.Type == http2.FrameHeaders):
		return tabBody
	}
	return tabHeaders
}

// lightOctets is where in the frame's octets the match is; from -1: not there.
func (p *detailPane) lightOctets() (from, to int) {
	l, e := &p.light, &p.entry
	switch {
	case l.seq != e.Seq || l.seq == 0 || e.Kind != decode.RowFrame:
	case l.field > 0:
		for i := range p.parts {
			if p.parts[i].partKey == (partKey{"field", l.field - 1}) {
				return p.parts[i].from, p.parts[i].to
			}
		}
	default:
		if i := l.needle.index(e.Payload); i >= 0 {
			return frameHead + i, frameHead + i + len(l.needle.b)
		}
	}
	return -1, -1
}

// lightLines finds the lines that the match is in.
func (p *detailPane) lightLines() {
	p.litLines = nil
	if p.light.seq != p.entry.Seq || p.light.seq == 0 || p.tab != tabHeaders && p.tab != tabBody {
		return
	}
	text := !p.light.needle.octets
	needle := squeezed(string(p.light.needle.b))
	if text && needle == "" {
		return
	}
	p.litLines = make([]bool, len(p.lines))
	before := "" // the line above, if the match may go on from it
	for i := range p.lines {
		l := &p.lines[i]
		switch {
		case p.light.field > 0:
			p.litLines[i] = l.field == p.light.field
		case l.octets > 0:
			p.litLines[i] = p.octets[l.octets-1].lineHas(l.octetLine, p.light.needle)
		case text:
			line := squeezed(l.text())
			if strings.Contains(line, needle) {
				p.litLines[i] = true
			} else if i > 0 && !p.litLines[i-1] && strings.Contains(before+line, needle) {
				p.litLines[i-1], p.litLines[i] = true, true
			}
			before = line
			continue
		}
		before = ""
	}
}

// squeezed is a text without what laying it out may have changed: the spaces.
func squeezed(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }

// text is what a line says.
func (l *detailLine) text() string {
	if n := len(l.cells); n > 0 {
		return l.cells[n-1].text
	}
	return ""
}

// lineHas says whether an occurrence of needle is, at least in part, in a line.
func (v *hexView) lineHas(line int, needle needle) bool {
	n := len(needle.b) - 1
	from := max(0, line*v.perLine-len(v.head)-n)
	to := min(len(v.data), (line+1)*v.perLine-len(v.head)+n)
	return from < to && needle.in(v.data[from:to])
}

// found says that line i has the match.
func (p *detailPane) found(i int) bool { return i < len(p.litLines) && p.litLines[i] }

// toFound puts the cursor on the match, once: on the line of the field or of
// the message in this row, if there is one.
func (p *detailPane) toFound() {
	if p.light.moved || p.light.seq != p.entry.Seq {
		return
	}
	if p.tab == tabHex {
		if from, _ := p.lightOctets(); from >= 0 && p.hex.len() > from {
			p.light.moved = true
			p.setOctet(from)
		}
		return
	}
	best, rank := -1, -1
	needle := squeezed(string(p.light.needle.b))
	for i := range p.lines {
		if !p.found(i) {
			continue
		}
		r := 0
		if p.lines[i].seq == p.entry.Seq {
			r++
		}
		if p.light.field > 0 && strings.Contains(squeezed(p.lines[i].cellText()), needle) {
			r++
		}
		if r > rank {
			best, rank = i, r
		}
	}
	if best >= 0 {
		p.light.moved = true
		p.cursor = uint64(best)
		p.settle()
	}
}

// cellText is all that a line says.
func (l *detailLine) cellText() string {
	var b strings.Builder
	for i := range l.cells {
		b.WriteString(l.cells[i].text)
		b.WriteByte('\n')
	}
	return b.String()
}
