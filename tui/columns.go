// SPDX-License-Identifier: Apache-2.0

package tui

// column is a column of a list pane.
type column struct {
	title string
	name  string // in the configuration; empty: the title
	min   int    // cells that it takes at least
	want  int    // cells that it takes when there is room
	flex  bool   // gets its want first, and what the others leave (one a table)
	right bool   // numbers
	hide  bool   // is not wanted now
	off   bool   // is not wanted by the user
	fixed bool   // nothing is sorted by it
	drop  int    // where the room is short, the column with the highest goes first; 0 stays
	keep  bool   // the list is sorted by it: it stays
	// need is the cells that the widest content so far takes; 0: not known. It
	// bounds what the column gets for its want, and is met beyond that before
	// any room is left blank.
	need int
	// width is what it got; 0: not shown.
	width int
}

// fitColumns shares out w cells, one of them between each two columns, and
// reports whether any column has another width than before.
func fitColumns(cols []column, w int) (changed bool) {
	before := make([]int, len(cols))
	for i := range cols {
		before[i] = cols[i].width
	}
	share(cols, w)
	for i := range cols {
		changed = changed || before[i] != cols[i].width
	}
	return changed
}

func share(cols []column, w int) {
	need := -1
	for i := range cols {
		cols[i].width = 0
		if !cols[i].hide && !cols[i].off {
			cols[i].width = cols[i].min
			need += cols[i].min + 1
		}
	}
	for need > w {
		worst := -1
		for i, c := range cols {
			if c.width > 0 && c.drop > 0 && !c.keep && (worst < 0 || c.drop > cols[worst].drop) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		need -= cols[worst].width + 1
		cols[worst].width = 0
	}
	if need > w {
		squeeze(cols, w)
		return
	}
	// What is left goes to the flexible column first, until it has what it
	// wants, then to the others; then to what has more content than that; and
	// all that is left then to the flexible one again.
	rest := w - need
	grow := func(c *column, to int) {
		if more := min(rest, to-c.width); more > 0 && c.width > 0 {
			c.width += more
			rest -= more
		}
	}
	all := func(to func(c *column) int) {
		for _, flexible := range []bool{true, false} {
			for i := range cols {
				if c := &cols[i]; c.flex == flexible {
					grow(c, to(c))
				}
			}
		}
	}
	all(func(c *column) int {
		if c.need > 0 {
			return min(c.want, c.need)
		}
		return c.want
	})
	all(func(c *column) int { return c.need })
	all(func(c *column) int { return c.want })
	for i := range cols {
		if cols[i].flex && cols[i].width > 0 {
			cols[i].width += rest
		}
	}
}

// squeeze is for screens too narrow for the columns that are never dropped:
// the first ones keep their width.
func squeeze(cols []column, w int) {
	for i := range cols {
		c := &cols[i]
		if c.width == 0 {
			continue
		}
		c.width = max(0, min(c.width, w))
		w -= c.width + 1
	}
}

// cell is one cell of a row, made safe to show already.
type cell struct {
	text  string
	style sgr
}

// appendRow appends exactly w cells: the columns' cells in their styles, or
// all of them in one style where the row is lit. tail stands at the end of the
// last column, whose own text is cut first.
func appendRow(dst []byte, cols []column, cells []cell, tail cell, w int, lit *sgr, alarm sgr) []byte {
	used, first := 0, true
	if lit != nil {
		dst = append(dst, lit.on...)
	}
	for i, c := range cols {
		if c.width == 0 || used >= w {
			continue
		}
		if !first {
			dst = append(dst, ' ')
			used++
		}
		first = false
		n := min(c.width, w-used)
		used += n
		ends := 0
		if tail.text != "" && i == len(cols)-1 {
			ends = min(width(tail.text)+1, max((n+1)/2, n-width(cells[i].text)))
			n -= ends
		}
		style := cells[i].style
		own := style.on != "" && (lit == nil || style == alarm) && cells[i].text != ""
		if own {
			if lit != nil {
				dst = append(dst, lit.off...)
			}
			dst = append(dst, style.on...)
		}
		if c.right {
			dst = appendRight(dst, cells[i].text, n)
		} else {
			dst = appendFit(dst, cells[i].text, n)
		}
		if own {
			dst = append(dst, style.off...)
			if lit != nil {
				dst = append(dst, lit.on...)
			}
		}
		if ends > 0 {
			dst = appendTail(dst, tail, ends, lit, alarm)
		}
	}
	dst = appendSpaces(dst, w-used)
	if lit != nil {
		dst = append(dst, lit.off...)
	}
	return dst
}

// appendTail appends exactly w cells.
func appendTail(dst []byte, t cell, w int, lit *sgr, alarm sgr) []byte {
	if w > 1 {
		dst = append(dst, ' ')
		w--
	}
	own := lit == nil || t.style == alarm
	if own {
		if lit != nil {
			dst = append(dst, lit.off...)
		}
		dst = append(dst, t.style.on...)
	}
	dst = appendFit(dst, t.text, w)
	if own {
		dst = append(dst, t.style.off...)
		if lit != nil {
			dst = append(dst, lit.on...)
		}
	}
	return dst
}

func appendHead(dst []byte, cols []column, w int, style sgr) []byte {
	cells := make([]cell, len(cols))
	for i, c := range cols {
		cells[i].text = c.title
	}
	dst = append(dst, style.on...)
	dst = appendRow(dst, cols, cells, cell{}, w, nil, sgr{})
	return append(dst, style.off...)
}
