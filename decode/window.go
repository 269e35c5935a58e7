// SPDX-License-Identifier: Apache-2.0

package decode

import "sort"

// windowSize bounds the octets that are kept while a direction is not in step.
const windowSize = 64 << 10

// window holds the newest octets of a direction that is not in step, with what
// is known of the calls that moved them.
type window struct {
	buf  []byte
	base uint64 // position of buf[0]
	segs []segment
}

// segment is a run of octets that came together, up to the next segment.
type segment struct {
	start uint64
	mark
	call bool // start is the beginning of a call
}

func (w *window) end() uint64 { return w.base + uint64(len(w.buf)) }

// add appends octets, which begin at position pos: the end of the window
// unless that is empty.
func (w *window) add(pos uint64, p []byte, m mark, call bool) {
	if len(w.buf) == 0 {
		w.base = pos
		w.segs = w.segs[:0]
	}
	w.segs = append(w.segs, segment{start: pos, mark: m, call: call})
	w.buf = append(w.buf, p...)
}

// seg gives the index of the segment that holds pos, which is in the window.
func (w *window) seg(pos uint64) int {
	return sort.Search(len(w.segs), func(i int) bool { return w.segs[i].start > pos }) - 1
}

func (w *window) markAt(pos uint64) mark { return w.segs[w.seg(pos)].mark }

// isCall tells whether a call begins at pos.
func (w *window) isCall(pos uint64) bool {
	i := w.seg(pos)
	return i >= 0 && w.segs[i].start == pos && w.segs[i].call
}

// discard drops the octets before pos, which is in the window or its end.
func (w *window) discard(pos uint64) {
	if pos <= w.base {
		return
	}
	if pos >= w.end() {
		w.clear()
		w.base = pos
		return
	}
	i := w.seg(pos)
	w.segs = w.segs[:copy(w.segs, w.segs[i:])]
	if w.segs[0].start < pos {
		w.segs[0].start, w.segs[0].call = pos, false
	}
	w.buf = w.buf[:copy(w.buf, w.buf[pos-w.base:])]
	w.base = pos
}

func (w *window) clear() { w.buf, w.segs = w.buf[:0], w.segs[:0] }
