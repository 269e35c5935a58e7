// SPDX-License-Identifier: Apache-2.0

package tui

// table is the state of a virtual table: which of any number of rows are in
// the window and which one is under the cursor. Rows are known by their
// ordinals alone; ordinals never change, appends move end and eviction moves
// first, so that neither ever moves the cursor to another row.
//
// It holds no rows: a pane fetches those of window() and no others.
type table struct {
	first, end  uint64 // rows that exist: [first,end)
	top, cursor uint64
	height      int  // rows in the window
	follow      bool // stay at the end as rows are appended
	scroller    bool // has no cursor of its own: the top line is the position
	// nowhere says that what the cursor is to be on is none of the rows: until it
	// is moved, it is on no row.
	nowhere bool
}

// bounds takes new bounds and reports whether the row under the cursor has
// gone, in which case the cursor is on the oldest row that is left.
func (t *table) bounds(first, end uint64) (evicted bool) {
	if end < first {
		end = first
	}
	evicted = t.end > t.first && !t.follow && t.cursor < first
	t.first, t.end = first, end
	t.settle()
	return evicted
}

// reset makes the table one of other rows, with the cursor on one that bounds
// will bring.
func (t *table) reset(cursor uint64, follow bool) {
	t.first, t.end, t.cursor, t.follow, t.nowhere = 0, 0, cursor, follow, false
	t.top = cursor - min(cursor, uint64(max(t.height, 0))/2)
}

// shift says that all rows have moved from place i to place i+by. It is for
// lists whose rows leave in the middle; rows with ordinals never move.
func (t *table) shift(by int) {
	t.cursor, t.top = add(t.cursor, by), add(t.top, by)
}

// moved says that the row under the cursor has moved by some places in a list
// that was sorted anew. The cursor goes with it; but a list that stands at its top
// stays there, and the cursor as near to its row as the window lets it.
func (t *table) moved(by int) {
	if t.top != t.first {
		t.shift(by)
		return
	}
	t.cursor = min(add(t.cursor, by), t.first+uint64(max(t.height, 1))-1)
}

func (t *table) empty() bool { return t.end == t.first }

// window is the range of rows to draw.
func (t *table) window() (from uint64, n int) {
	if t.height <= 0 {
		return t.top, 0
	}
	return t.top, int(min(t.end-t.top, uint64(t.height)))
}

// settle brings cursor and top back inside the bounds and the cursor into the
// window.
func (t *table) settle() {
	if t.empty() {
		t.top = t.first
		if !t.scroller {
			return // the cursor waits for its row
		}
		t.cursor = t.first
		return
	}
	h := uint64(max(t.height, 1))
	lastTop := t.first
	if t.end-t.first > h {
		lastTop = t.end - h
	}
	if t.scroller {
		if t.follow {
			t.top = lastTop
		}
		t.top = clamp(t.top, t.first, lastTop)
		t.cursor = t.top
		return
	}
	if t.follow {
		t.cursor = t.end - 1
	}
	t.cursor = clamp(t.cursor, t.first, t.end-1)
	if t.cursor < t.top {
		t.top = t.cursor
	}
	if t.cursor-t.top >= h {
		t.top = t.cursor - h + 1
	}
	t.top = clamp(t.top, t.first, lastTop)
}

// move moves the cursor by d rows. Moving up stops following.
func (t *table) move(d int) {
	if t.scroller {
		t.scroll(d)
		return
	}
	t.nowhere = false
	if d < 0 {
		t.follow = false
	}
	t.cursor = clamp(add(t.cursor, d), t.first, max(t.end, t.first+1)-1)
	t.settle()
}

// scroll moves the window by d rows, and the cursor only as far as it must to
// stay in the window. Scrolling up stops following.
func (t *table) scroll(d int) {
	if d < 0 {
		t.follow = false
	}
	if t.empty() || t.follow {
		return
	}
	h := uint64(max(t.height, 1))
	lastTop := t.first
	if t.end-t.first > h {
		lastTop = t.end - h
	}
	t.top = clamp(add(t.top, d), t.first, lastTop)
	t.cursor = clamp(t.cursor, t.top, min(t.top+h, t.end)-1)
	t.settle()
}

func (t *table) home() {
	t.follow, t.nowhere = false, false
	t.cursor, t.top = t.first, t.first
	t.settle()
}

// toEnd goes to the newest row; with follow, it stays with the newest.
func (t *table) toEnd(follow bool) {
	t.follow, t.nowhere = follow, false
	if t.end > t.first {
		t.cursor, t.top = t.end-1, t.end-1
	}
	t.settle()
}

// point puts the cursor on row i of the window and reports whether there is
// one. The row pointed at stays under the cursor, so following stops unless it
// is the newest.
func (t *table) point(i int) bool {
	_, n := t.window()
	if i < 0 || i >= n || t.scroller {
		return false
	}
	t.cursor, t.nowhere = t.top+uint64(i), false
	if t.cursor != t.end-1 {
		t.follow = false
	}
	t.settle()
	return true
}

// thumb is the part [from,to) of the window's lines that shows where in all
// rows the window is; empty when every row is in it.
func (t *table) thumb() (from, to int) {
	h, n := uint64(max(t.height, 0)), t.end-t.first
	if h == 0 || n <= h {
		return 0, 0
	}
	size := max(1, mulDiv(h, h, n))
	at := mulDiv(h-size, t.top-t.first, n-h)
	return int(at), int(at + size)
}

// mulDiv is a*b/c for a that is no larger than a screen.
func mulDiv(a, b, c uint64) uint64 {
	return uint64(float64(a) * (float64(b) / float64(c)))
}

func clamp(v, lo, hi uint64) uint64 { return max(lo, min(v, hi)) }

// add is v+d, stopping at 0.
func add(v uint64, d int) uint64 {
	if d < 0 && uint64(-d) > v {
		return 0
	}
	return v + uint64(d)
}
