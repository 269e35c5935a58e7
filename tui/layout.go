// SPDX-License-Identifier: Apache-2.0

package tui

// paneID names a pane. Users meet it as its number plus one.
type paneID int

const (
	paneConns paneID = iota
	paneStreams
	paneFrames
	paneDetail
	numPanes
)

// box is a framed area of the screen, x and y from the top left corner. It
// shows one pane and names others, as tabs, that it can show in its place.
type box struct {
	x, y, w, h int
	pane       paneID
	tabs       []paneID // all that it can show, pane included
	bare       bool     // too small for a frame around it
}

// inner is the size that is left for the pane.
func (b box) inner() (w, h int) {
	if b.bare {
		return b.w, b.h
	}
	return b.w - 2, b.h - 2
}

// layout is where everything is. Boxes are in columns from left to right, each
// from top to bottom.
type layout struct {
	w, h   int
	status bool // line 0
	filter bool // line 1
	hints  bool // last line
	boxes  []box
}

const (
	fullWidth, fullHeight = 110, 20 // from here on all panes at once
	minTwo                = 14      // lines from which the detail is shown below a list
	minFramed             = 5       // lines from which a pane has a frame
	minHints              = 8       // lines from which there are key hints
	minColumns            = 60      // cells from which a list and the detail fit beside each other
)

// arrangement is how the user wants the panes.
type arrangement int

const (
	arrangeAll     arrangement = iota // all at once, where there is room
	arrangeRows                       // one list above the detail
	arrangeColumns                    // one list beside the detail
	numArrangements
)

var arrangementNames = [numArrangements]string{"panes", "rows", "columns"}

func (a arrangement) String() string { return arrangementNames[a] }

func arrangementNamed(name string) (arrangement, bool) {
	for i, n := range arrangementNames {
		if n == name {
			return arrangement(i), true
		}
	}
	return 0, false
}

// wanted is what a layout depends on beside the size of the screen.
type wanted struct {
	list, focus paneID // list: to show where there is room for one of the lists
	arrangement arrangement
	zoom        bool // the focused pane alone
	filter      bool // there is a filter to be shown
}

// same says that two boxes are one and the same to look at.
func (b box) same(o box) bool {
	return b.x == o.x && b.y == o.y && b.w == o.w && b.h == o.h && b.pane == o.pane
}

// newLayout shares out a screen of w by h cells.
func newLayout(w, h int, want wanted) layout {
	l := layout{w: max(w, 0), h: max(h, 0)}
	list, focus := want.list, want.focus
	if l.w == 0 || l.h == 0 {
		return l
	}
	l.status = true
	l.hints = l.h >= minHints
	y, bh := 1, l.h-1
	if l.hints {
		bh--
	}
	if want.filter && h >= minTwo {
		l.filter = true
		y++
		bh--
	}
	switch {
	case bh == 0:
	case want.zoom:
		l.boxes = []box{alone(y, w, bh, focus)}
	case want.arrangement == arrangeColumns && w >= minColumns && bh >= minFramed:
		lw := (w + 1) * 11 / 20
		l.boxes = []box{
			{0, y, lw, bh, list, []paneID{paneConns, paneStreams, paneFrames}, false},
			{lw, y, w - lw, bh, paneDetail, []paneID{paneDetail}, false},
		}
	case want.arrangement == arrangeAll && w >= fullWidth && h >= fullHeight:
		lw := leftWidth(w)
		ch := max(6, bh*3/10)
		fh := max(8, bh*55/100)
		one := func(p paneID, x, y, w, h int) box { return box{x, y, w, h, p, []paneID{p}, false} }
		l.boxes = []box{
			one(paneConns, 0, y, lw, ch),
			one(paneStreams, 0, y+ch, lw, bh-ch),
			one(paneFrames, lw, y, w-lw, fh),
			one(paneDetail, lw, y+fh, w-lw, bh-fh),
		}
	case h >= minTwo:
		top := (bh + 1) * 11 / 20
		l.boxes = []box{
			{0, y, w, top, list, []paneID{paneConns, paneStreams, paneFrames}, w < 4},
			{0, y + top, w, bh - top, paneDetail, []paneID{paneDetail}, w < 4},
		}
	default:
		l.boxes = []box{alone(y, w, bh, focus)}
	}
	return l
}

// alone is one box for all panes.
func alone(y, w, h int, shown paneID) box {
	return box{0, y, w, h, shown, []paneID{paneConns, paneStreams, paneFrames, paneDetail}, h < minFramed || w < 4}
}

// leftWidth is how much of a wide screen the lists on the left take: the
// frames keep what they need, what is beyond is shared.
func leftWidth(w int) int {
	return min(43+max(0, w-120)*2/5, 100)
}

// boxAt is the box at a cell, and its index; -1 where there is none.
func (l layout) boxAt(x, y int) (box, int) {
	for i, b := range l.boxes {
		if x >= b.x && x < b.x+b.w && y >= b.y && y < b.y+b.h {
			return b, i
		}
	}
	return box{}, -1
}
