// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// detailPane shows the row under the cursor of the frames pane in full: its
// fields by name, then its payload as hex; or the dynamic tables as of it.
type detailPane struct {
	table
	w   int
	seq uint64 // of the row shown; 0: none
	// generation of the store that the lines were made for: what is said of a
	// connection changes with it. 0 for frames, which never change.
	generation uint64
	tables     bool // the dynamic tables in place of the row
	entry      store.Entry
	lines      []detailLine
	hex        hexView
}

func newDetailPane() *detailPane {
	return &detailPane{table: table{scroller: true}}
}

func (p *detailPane) name() string { return "Detail" }

func (p *detailPane) info(*Model) string {
	if p.seq == 0 {
		return ""
	}
	what := p.entry.Kind.String()
	if p.entry.Kind == decode.RowFrame {
		what = decode.TypeName(p.entry.Header.Type)
	}
	if p.tables {
		what = "HPACK"
	}
	return "#" + commas(p.seq) + " " + what
}

func (p *detailPane) position() *table { return &p.table }

func (p *detailPane) resize(w, h int) {
	p.height = max(h, 0)
	if w = max(w-2, 0); w != p.w {
		p.w = w
		p.seq = 0
	}
	p.settle()
}

func (p *detailPane) refresh(m *Model) {
	e := m.frames.selected()
	switch {
	case e == nil:
		if !m.frames.empty() {
			return // its rows are on their way out; keep what was there
		}
		p.seq, p.entry, p.lines, p.hex = 0, store.Entry{}, nil, hexView{}
		p.bounds(0, 0)
		return
	}
	generation := uint64(0)
	if e.Kind != decode.RowFrame {
		generation = m.shown.Generation
	}
	if e.Seq == p.seq && generation == p.generation {
		return
	}
	p.generation = generation
	if p.entry.Seq != e.Seq {
		p.reset(0, false)
	}
	p.seq, p.entry = e.Seq, *e
	d := details{m: m, e: &p.entry, w: p.w}
	p.hex = hexView{}
	if p.tables {
		d.tables()
	} else {
		d.row()
	}
	if len(e.Payload) > 0 && !p.tables {
		p.hex = newHexView(e.Payload, p.w)
		title := "Payload (" + commas(uint64(len(e.Payload))) + " octets)"
		if n := uint64(e.Header.Length); n > uint64(len(e.Payload)) {
			title = "Payload (" + commas(uint64(len(e.Payload))) + " of " + commas(n) + " octets)"
		}
		d.heading(title)
	}
	p.lines = d.lines
	p.bounds(0, uint64(len(p.lines)+p.hex.lines()))
}

func (p *detailPane) open(*Model) {}

// toggleTables turns from the row to the dynamic tables and back.
func (p *detailPane) toggleTables() {
	p.tables = !p.tables
	p.seq, p.entry = 0, store.Entry{}
}

func (p *detailPane) draw(m *Model, lines [][]byte, w int, _ bool) {
	if w <= 0 {
		return
	}
	from, n := p.window()
	margin := 0
	if w > 2 {
		margin = 1
	}
	room := w - 2*margin
	var buf []byte
	for i := range lines {
		d := appendSpaces(lines[i], margin)
		at := int(from) + i
		switch {
		case i >= n:
			d = appendSpaces(d, room)
		case at < len(p.lines):
			d = p.lines[at].append(d, room)
		default:
			buf = p.hex.appendLine(buf[:0], at-len(p.lines))
			d = appendFit(d, string(buf), room)
		}
		lines[i] = appendSpaces(d, margin)
	}
}

// append appends the line, exactly w cells of it.
func (l *detailLine) append(dst []byte, w int) []byte {
	for i, c := range l.cells {
		if w <= 0 {
			return dst
		}
		n := w
		if i < len(l.widths) {
			n = min(l.widths[i], w)
		}
		if c.text != "" {
			dst = append(dst, c.style.on...)
		}
		dst = appendFit(dst, c.text, n)
		if c.text != "" {
			dst = append(dst, c.style.off...)
		}
		w -= n
		if i < len(l.widths) && w > 0 {
			dst = append(dst, ' ')
			w--
		}
	}
	return appendSpaces(dst, w)
}
