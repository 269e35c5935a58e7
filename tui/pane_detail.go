// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"slices"

	"h2sniff/decode"
	"h2sniff/decode/store"
)

// detailTab is a tab of the detail pane.
type detailTab int

const (
	tabHeaders detailTab = iota
	tabHex
	tabBody
	tabHPACK
	tabFlow
	tabProblems
	numTabs
)

var tabNames = [numTabs]string{"Headers", "Hex", "Body", "HPACK", "Flow", "Problems"}

// detailPane shows the row under the cursor of the frames pane: what it says,
// its octets, and what its stream and its connection were at that moment. Each
// is a tab.
type detailPane struct {
	table
	w, h int
	tab  detailTab

	key     detailKey
	entry   store.Entry
	parts   []octetPart // of the frame
	block   fieldBlock  // that the frame carries a part of
	lines   []detailLine
	request string  // that the frame is of
	hex     hexView // of the frame; in the headers tab beside them
	col     int     // of the cursor in the hex tab
	// body is what the lines of the body tab that are octets are drawn from.
	octets []hexView

	light    lighting // what was searched for
	litLines []bool   // the lines that have it

	body bodyResult
	flow flowResult
	past flowPast // for the next flow
	far  steps    // of the flow that is on its way
}

// detailKey is what the lines were made for.
type detailKey struct {
	seq uint64 // of the row; 0: none
	tab detailTab
	w   int
	// generation of the store: what is said of a connection changes with it.
	// 0 where nothing changes.
	generation uint64
}

func newDetailPane() *detailPane { return &detailPane{} }

func (p *detailPane) name() string { return "Detail" }

func (p *detailPane) info(*Model) string {
	if p.key.seq == 0 {
		return ""
	}
	what := p.entry.Kind.String()
	if p.entry.Kind == decode.RowFrame {
		what = decode.TypeName(p.entry.Header.Type)
	}
	return "#" + commas(p.key.seq) + " " + what
}

// subTabs are the tabs, for the upper edge of the pane.
func (p *detailPane) subTabs() (names []string, chosen int) {
	names = append(names, tabNames[:]...)
	if n := len(p.entry.Findings); n > 0 && p.key.seq != 0 {
		names[tabProblems] += " " + compact(uint64(n))
	}
	return names, int(p.tab)
}

// chooseTab turns to a tab.
func (p *detailPane) chooseTab(m *Model, tab int) {
	p.tab = detailTab((tab + int(numTabs)) % int(numTabs))
	m.end(workDetail)
	p.stale()
	p.place(0)
	p.col = 0
	p.refresh(m)
	m.dirty = true
}

// stale says that the lines have to be made anew.
func (p *detailPane) stale() { p.key = detailKey{} }

// place puts the cursor, or the top, on a line that bounds will bring.
func (p *detailPane) place(line int) { p.reset(uint64(max(line, 0)), false) }

func (p *detailPane) position() *table { return &p.table }

func (p *detailPane) forget() { p.stale() }

func (p *detailPane) resize(w, h int) {
	if w = max(w-2, 0); w != p.w {
		p.stale()
	}
	p.w, p.h = w, max(h, 0)
	p.setHeight()
	p.settle()
}

// setHeight leaves the first line of the hex tab to what the octet under the
// cursor is.
func (p *detailPane) setHeight() {
	p.height = p.h
	if p.tab == tabHex && p.h >= 3 {
		p.height--
	}
}

func (p *detailPane) refresh(m *Model) {
	e := m.frames.selected()
	if e == nil {
		if !m.frames.empty() {
			return // its rows are on their way out; keep what was there
		}
		m.end(workDetail)
		p.key, p.entry, p.lines, p.hex, p.parts = detailKey{}, store.Entry{}, nil, hexView{}, nil
		p.bounds(0, 0)
		return
	}
	key := detailKey{seq: e.Seq, tab: p.tab, w: p.w}
	if e.Kind != decode.RowFrame || p.tab > tabHex {
		key.generation = m.shown.Generation
	}
	same := slices.Equal(p.entry.Findings, e.Findings)
	p.entry.Findings = e.Findings
	if key == p.key && (same || p.tab != tabHeaders) {
		return
	}
	other := p.entry.Seq != e.Seq
	if other && !(p.tab == tabBody && sameStream(&p.entry, e)) {
		p.place(0)
		p.col = 0
	}
	if other || p.key == (detailKey{}) {
		p.entry = *e
		p.block = blockOf(m.st, &p.entry)
		p.parts = frameParts(&p.entry, p.block, m.masks)
	}
	if of := requestOf(m.st, &p.entry, p.w); other || of != "" {
		p.request = of // stays when the history evicts the stream
	}
	p.key = key
	p.build(m)
}

// sameStream tells whether two rows are frames of one stream.
func sameStream(a, b *store.Entry) bool {
	return a.Kind == decode.RowFrame && b.Kind == decode.RowFrame && a.Conn == b.Conn && a.Header.StreamID == b.Header.StreamID
}

// build makes the lines of the tab.
func (p *detailPane) build(m *Model) {
	p.setHeight()
	p.octets = nil
	octet := p.octet()
	p.hex = hexView{}
	switch p.tab {
	case tabHeaders:
		w := p.w
		if hw := hexBeside(p.w); hw > 0 && p.entry.Kind == decode.RowFrame {
			p.hex = frameHex(&p.entry, p.parts, hw)
			w = p.w - p.hex.width() - 3
		}
		d := newDetails(m, &p.entry, w, p.parts)
		d.row()
		p.lines = d.lines
	case tabHex:
		p.lines, p.hex = nil, frameHex(&p.entry, p.parts, p.w)
		if p.hex.len() > 0 {
			p.bounds(0, uint64(p.hex.lines()))
			p.setOctet(octet)
			p.toFound()
			return
		}
		d := newDetails(m, &p.entry, p.w, nil)
		d.line(m.sty.dim, "No frame, so no octets.")
		p.lines = d.lines
	case tabBody:
		p.showBody(m)
	case tabHPACK:
		d := newDetails(m, &p.entry, p.w, nil)
		d.tables()
		p.lines = d.lines
	case tabFlow:
		p.showFlow(m)
	case tabProblems:
		d := newDetails(m, &p.entry, p.w, nil)
		d.problems()
		p.lines = d.lines
	}
	p.bounds(0, uint64(len(p.lines)))
	p.lightLines()
	p.toFound()
}

// waits tells whether how far the work is may have changed, or for how long a
// window has been used up.
func (p *detailPane) waits(m *Model) bool {
	return p.tab == tabFlow && (m.works[workDetail].work != nil || p.flow.key.seq == p.entry.Seq && m.inSight(paneDetail) && p.flow.aged(p.flowUntil(m)))
}

// want has a tab made, unless that is on its way.
func (p *detailPane) want(m *Model, key any, do func(context.Context) any) {
	if !m.wants(workDetail, key) {
		beginOnce(m, workDetail, &work{key: key}, do, p.taken)
	}
}

// taken takes what was made.
func (p *detailPane) taken(m *Model, result any) {
	switch r := result.(type) {
	case bodyResult:
		p.body = r
	case flowResult:
		p.flow = r
	}
	p.stale()
	p.refresh(m)
	m.dirty = true
}

// hexBeside is how many cells the octets get beside the headers; 0 where there
// is no room.
func hexBeside(w int) int {
	for _, perLine := range []int{16, 8} {
		if hw := 6 + hexWidth(perLine); w-hw-3 >= wideEncoding {
			return hw
		}
	}
	return 0
}

// chosen is the line under the cursor; nil where there is none.
func (p *detailPane) chosen() *detailLine {
	if p.tab != tabHex && p.cursor < uint64(len(p.lines)) {
		return &p.lines[p.cursor]
	}
	return nil
}

// leads is the row that the line under the cursor names; 0: none but its own.
func (p *detailPane) leads() uint64 {
	if l := p.chosen(); l != nil && l.seq != p.entry.Seq {
		return l.seq
	}
	return 0
}

// open goes to the row that the line under the cursor names.
func (p *detailPane) open(m *Model) {
	if seq := p.leads(); seq != 0 {
		m.jump(seq)
	}
}

// octet is the one under the cursor of the hex tab.
func (p *detailPane) octet() int {
	if p.hex.len() == 0 || p.tab != tabHex {
		return 0
	}
	return min(int(p.cursor)*p.hex.perLine+p.col, p.hex.len()-1)
}

// setOctet puts the cursor of the hex tab on an octet.
func (p *detailPane) setOctet(i int) {
	i = max(0, min(i, p.hex.len()-1))
	p.cursor, p.col = uint64(i/p.hex.perLine), i%p.hex.perLine
	p.settle()
}

// sideways is what the keys left and right do.
func (p *detailPane) sideways(m *Model, by int) {
	if p.tab == tabHex && p.hex.len() > 0 {
		p.setOctet(p.octet() + by)
		m.dirty = true
		return
	}
	p.chooseTab(m, int(p.tab)+by)
}

// pointAt is a click on cell x of a line of the window.
func (p *detailPane) pointAt(x, line int) {
	x-- // the margin
	switch {
	case p.hex.len() == 0 || line < 0:
	case p.tab == tabHex:
		if i := p.hex.octetAt(int(p.top)+line, x); i >= 0 {
			p.setOctet(i)
		}
	case p.tab == tabHeaders:
		i := p.hex.octetAt(p.hexTop()+line, x-(p.w-p.hex.width()))
		if i < 0 {
			return
		}
		part := p.hex.partAt(i)
		for n := range p.lines {
			if part >= 0 && p.lines[n].part == part+1 {
				p.cursor = uint64(n)
				p.settle()
				return
			}
		}
	}
}
