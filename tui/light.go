// SPDX-License-Identifier: Apache-2.0

package tui

import "h2sniff/decode"

// lighting is the field that a search was for; it is lit in the headers tab.
type lighting struct {
	seq   uint64 // of the row
	field int    // its place, plus one
	moved bool   // the cursor has been put on it
}

// lightField lights the first field of the row that is shown for which want
// holds.
func (p *detailPane) lightField(m *Model, want func(*decode.Field) bool) {
	p.light = lighting{}
	if want == nil {
		return
	}
	for i := range p.entry.Fields {
		if want(&p.entry.Fields[i]) {
			p.light = lighting{seq: p.entry.Seq, field: i + 1}
			break
		}
	}
	p.toFound()
	m.dirty = true
}

// found says that a line is of the field that is lit.
func (p *detailPane) found(l *detailLine) bool {
	return l.field > 0 && l.field == p.light.field && p.entry.Seq == p.light.seq
}

// toFound puts the cursor on the field that is lit, once.
func (p *detailPane) toFound() {
	if p.tab != tabHeaders || p.light.moved {
		return
	}
	for i := range p.lines {
		if p.found(&p.lines[i]) {
			p.light.moved = true
			p.cursor = uint64(i)
			p.settle()
			return
		}
	}
}
