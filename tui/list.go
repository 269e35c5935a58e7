// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"h2sniff/decode/store"
)

// pane is what a box of the screen shows. Panes fetch in refresh and draw from
// what they fetched: drawing never touches the store, so that a paused view
// stays as it is.
type pane interface {
	name() string
	// info stands behind the name in the title: counts, mostly.
	info(m *Model) string
	// position is what the movement keys move.
	position() *table
	// resize gives the cells that draw will have to fill.
	resize(w, h int)
	// forget throws away what was made for the last screen.
	forget()
	// refresh fetches what the window shows, as far as it changed.
	refresh(m *Model)
	// draw appends exactly w cells to each line; w and the number of lines
	// are those of the last resize.
	draw(m *Model, lines [][]byte, w int, focused bool)
	// open is what enter does.
	open(m *Model)
}

// row is a row of a list, ready to be drawn.
type row struct {
	cells []cell
	tail  cell // at the end of the last column
	// runs, where set, are the content of the last column, as wide as it is,
	// each in a style of its own.
	runs []cell
	// span is the column from which the cell's text takes all that is left
	// of the row; 0: every cell keeps to its column.
	span  int
	faded bool
	mark  bool   // is what the other panes are narrowed to
	sign  string // in place of that mark; empty: none
}

// list is the part that the panes which list things have in common.
type list struct {
	table
	cols []column
	rows []row  // those of the window
	from uint64 // ordinal of rows[0]
	w    int    // cells of a line
	head bool   // there is room for the column titles
	page pageKey
	// none is shown where there are no rows.
	none []string
	// asked says that the user chose the columns.
	asked bool
}

// pageKey identifies what rows were fetched for: while it stays the same they
// need not be fetched again, save when the columns change.
type pageKey struct {
	view       store.View
	from       uint64
	n          int
	generation uint64
}

const (
	markCursor = "▶"
	markChosen = "•"
)

func (l *list) forget() { l.page = pageKey{} }

// unmoved says that the window shows the rows that it showed, with the cursor
// moved by none. While paused they then stay, whatever has left the store.
func (l *list) unmoved(m *Model, by int) bool {
	from, n := l.window()
	return by == 0 && l.page == pageKey{from: from, n: n, generation: m.shown.Generation, view: m.view}
}

func (l *list) position() *table { return &l.table }

func (l *list) resize(w, h int) {
	l.head = h >= 3
	l.height, l.w = max(h, 0), w
	if l.head {
		l.height--
	}
	if fitColumns(l.cols, w-1) {
		l.page = pageKey{}
	}
	l.settle()
}

// content says that column i is about to show n cells. It never shrinks, so
// that the columns keep their places while rows come and go.
func (l *list) content(i, n int) {
	l.cols[i].need = max(l.cols[i].need, n)
}

// whole is content that must never be cut.
func (l *list) whole(i, n int) {
	l.content(i, n)
	l.cols[i].min = max(l.cols[i].min, n)
}

// fit shares out the line again after content and whole, before the rows are
// made.
func (l *list) fit() { fitColumns(l.cols, l.w-1) }

// columnWidth is the cells that column i has; 0 where it is not shown.
func (l *list) columnWidth(i int) int { return l.cols[i].width }

func (l *list) draw(m *Model, lines [][]byte, w int, focused bool) {
	if w <= 0 {
		return
	}
	s := m.sty
	if l.head && len(lines) > 0 {
		lines[0] = append(lines[0], ' ')
		lines[0] = appendHead(lines[0], l.cols, w-1, s.dim)
		lines = lines[1:]
	}
	for i := range lines {
		d := lines[i]
		switch {
		case i < len(l.rows):
			d = l.appendRow(d, s, &l.rows[i], w, l.from+uint64(i) == l.cursor && !l.nowhere, focused)
		case len(l.rows) == 0 && i < len(l.none):
			d = append(d, ' ')
			d = append(d, s.dim.on...)
			d = appendFit(d, l.none[i], w-1)
			d = append(d, s.dim.off...)
		default:
			d = appendSpaces(d, w)
		}
		lines[i] = d
	}
}

func (l *list) appendRow(d []byte, s *styles, r *row, w int, cursor, focused bool) []byte {
	var lit *sgr
	mark := " "
	switch {
	case cursor && focused:
		lit, mark = &s.selected, markCursor
	case cursor:
		lit, mark = &s.unselected, markCursor
	case r.sign != "":
		mark = r.sign
	case r.mark:
		mark = markChosen
	}
	if r.faded && lit == nil {
		lit = &s.dim
	}
	if lit != nil {
		d = append(d, lit.on...)
	}
	d = append(d, mark...)
	if lit != nil {
		d = append(d, lit.off...)
	}
	cols := l.cols
	if r.span > 0 {
		cols = spanned(cols, r.span, w-1)
	}
	if n := len(cols) - 1; len(r.runs) > 0 && cols[n].width > 0 && cols[n].width < w-1 {
		d = appendRow(d, cols[:n], r.cells, r.tail, w-2-cols[n].width, lit, s.bad)
		return appendRuns(d, r.runs, lit)
	}
	return appendRow(d, cols, r.cells, r.tail, w-1, lit, s.bad)
}

// appendRuns appends a space and the runs, in one style where the row is lit.
func appendRuns(d []byte, runs []cell, lit *sgr) []byte {
	if lit != nil {
		d = append(d, lit.on...)
	}
	d = append(d, ' ')
	for i := range runs {
		if lit == nil {
			d = runs[i].style.append(d, runs[i].text)
		} else {
			d = append(d, runs[i].text...)
		}
	}
	if lit != nil {
		d = append(d, lit.off...)
	}
	return d
}

// spanned is cols with column from taking all that is left of w cells.
func spanned(cols []column, from, w int) []column {
	out := append([]column(nil), cols[:from+1]...)
	for _, c := range out[:from] {
		if c.width > 0 {
			w -= c.width + 1
		}
	}
	out[from].width = max(w, 0)
	out[from].right = false
	return out
}
