// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// framePane lists the rows of the view in their order: frames, and what else
// happened between them.
type framePane struct {
	list
	view store.View
	conn capture.ConnID // that the view is of; 0: several
	// ofStream says that the view is of one stream.
	ofStream bool
	entries  []store.Entry // those of the window
	before   int64         // time of the row before them; 0: there is none
	w, h     int
	// want is the row that the cursor is to be on, at the place where it was put
	// for it: in a Selection that is still being filled rows come in before it.
	want, at uint64
	moved    bool
	digits   int // of the largest number of a row
	// kept are, while paused, rows that stay when the store evicts them.
	kept  map[store.View]keptRows
	alone bool // only those can be shown
}

const (
	frameSeq = iota
	frameTime
	frameDelta
	frameConn
	frameDir
	frameStream
	frameType
	frameFlags
	frameLength
	frameInfo
)

// decimals of the time column: milliseconds where it is narrow, which grows with
// the times, and microseconds where it is wide.
const narrowTime, wideTime = 6, 13

func newFramePane() *framePane {
	p := &framePane{kept: map[store.View]keptRows{}}
	p.cols = []column{
		frameSeq:    {title: "#", min: 5, want: 9, right: true},
		frameTime:   {title: "time", min: narrowTime, want: wideTime, right: true, drop: 5},
		frameDelta:  {title: "Δms", name: "delta", min: 6, want: 9, right: true, drop: 6},
		frameConn:   {title: "conn", min: 4, right: true, drop: 2},
		frameDir:    {name: "dir", min: 1},
		frameStream: {title: "sid", min: 4, want: 7, right: true},
		frameType:   {title: "type", min: 13, want: 15},
		frameFlags:  {title: "flags", min: 5, want: 9, drop: 3},
		frameLength: {title: "len", min: 5, want: 8, right: true, drop: 4},
		frameInfo:   {title: "info", min: 8, want: 48, flex: true, drop: 1},
	}
	return p
}

// bothTimes is the cells of a line from which there are two columns of time.
const bothTimes = 74

// resize gives the number the digits that it needs, and leaves out what there
// is no room for, and the connection where there is only one.
func (p *framePane) resize(w, h int) {
	p.w, p.h = w, h
	p.cols[frameSeq].min = max(5, p.digits)
	p.cols[frameConn].hide = p.conn != 0
	// Where there is no room for both, the times of one stream tell less than
	// what is between them.
	narrow := w < bothTimes && !p.asked
	p.cols[frameTime].hide = narrow && p.ofStream
	p.cols[frameDelta].hide = narrow && !p.ofStream
	p.cols[frameInfo].min = 8
	if w >= bothTimes {
		p.cols[frameInfo].min = 12 // else what is between the rows leaves
	}
	p.list.resize(w, h)
}

func (p *framePane) name() string { return "Frames" }

func (p *framePane) info(m *Model) string {
	n := plural(int(p.end-p.first), "row")
	if p.alone {
		return n + " kept, others evicted"
	}
	if p.view != (store.View{}) {
		n += " of " + commas(m.shown.Rows-m.shown.Evicted)
	}
	return n
}

func (p *framePane) refresh(m *Model) {
	if p.view != m.frameView() {
		p.show(m)
	}
	if n := digits(m.shown.Rows); n != p.digits {
		p.digits = n
		p.resize(p.w, p.h)
	}
	if k := p.kept[p.view]; !k.has(p.cursor) && p.onlyKept(m) {
		p.cursor = p.placeKept(p.want)
	}
	first, end := p.held(m)
	p.keepRow(m)
	if p.bounds(first, end) && !p.empty() && !m.paused {
		m.say("the row under the cursor was evicted from the history; this is the oldest one held", false)
	}
	p.sayEdge(m)
	p.none = m.whyNoFrames()
	from, n := p.window()
	key := pageKey{view: p.view, from: from, n: n, generation: m.shown.Generation}
	if key == p.page {
		p.noteRow()
		return
	}
	p.page = key
	p.fetch(m, from, n)
	p.noteRow()
	latest := m.start
	for i := range p.entries {
		e := &p.entries[i]
		latest = max(latest, e.Time)
		p.whole(frameConn, len(e.Conn.String()))
		if e.Kind == decode.RowFrame {
			p.whole(frameStream, digits(uint64(e.Header.StreamID)))
			p.whole(frameLength, digits(uint64(e.Header.Length)))
		}
	}
	p.whole(frameTime, len(seconds(latest-m.start, 3)))
	p.fit()
	p.rows = p.rows[:0]
	before := p.before
	for i := range p.entries {
		p.rows = append(p.rows, p.row(m, &p.entries[i], before))
		before = p.entries[i].Time
	}
}

// keepRow keeps the cursor on its row where rows came in before it, unless it
// was moved since the last time.
func (p *framePane) keepRow(m *Model) {
	p.moved = p.cursor != p.at
	if p.view.Selection == nil || p.follow || p.moved || p.want == 0 {
		return
	}
	if _, ok := p.keptPlace(p.view, p.want); ok {
		return
	}
	p.shift(int(m.st.Find(p.view, p.want)) - int(p.cursor))
}

// noteRow notes what the cursor is on, or is waiting for.
func (p *framePane) noteRow() {
	if e := p.selected(); e != nil && (p.moved || e.Seq >= p.want) {
		p.want = e.Seq
	}
	p.at = p.cursor
}

// held is what of the view there is; while paused, without the rows that came
// since.
func (p *framePane) held(m *Model) (first, end uint64) {
	first, end = m.st.Span(p.view)
	if m.paused {
		if p.view == (store.View{}) {
			end = min(end, m.shown.Rows)
		} else {
			end = min(end, m.st.Find(p.view, m.shown.Rows+1))
		}
	}
	k := p.kept[p.view]
	first, end, p.alone = k.widen(p.cursor, first, end)
	return first, max(first, end)
}

// fetch gets n rows of the view, and the time of the one before.
func (p *framePane) fetch(m *Model, from uint64, n int) {
	at := max(from-min(from, 1), p.first)
	p.entries, p.from = p.rowsFrom(m, at, int(from-at)+n)
	p.before = 0
	if p.from < from && len(p.entries) > 0 {
		p.before = p.entries[0].Time
		p.entries = p.entries[1:]
		p.from++
	}
	p.entries = p.entries[:min(n, len(p.entries))]
	if m.paused {
		p.keep(m)
	}
}

// rowsFrom gets n rows of the view from one on. Rows can be evicted meanwhile:
// the store then begins with a later one, whose place its number tells.
func (p *framePane) rowsFrom(m *Model, from uint64, n int) (rows []store.Entry, place uint64) {
	k := p.kept[p.view]
	rows = k.rows(from, n)
	if len(rows) == n {
		return rows, from
	}
	at := from + uint64(len(rows))
	more := m.st.Rows(p.view, at, n-len(rows))
	place = at
	if first, _ := m.st.Span(p.view); first > at && len(more) > 0 {
		place = m.st.Find(p.view, more[0].Seq)
	}
	switch {
	case len(rows) == 0:
		return more, place
	case place == at:
		rows = append(rows, more...)
	}
	return rows, from
}

// show turns to another view and keeps the cursor at the same place in time.
func (p *framePane) show(m *Model) {
	seq := uint64(0)
	if e := p.selected(); e != nil {
		seq = e.Seq
	}
	p.goTo(m, m.frameView(), seq, p.follow)
}

// goTo shows view with the cursor on the first row from seq on. A row that is in
// sight stays where it is on the screen; others come into the middle.
func (p *framePane) goTo(m *Model, view store.View, seq uint64, follow bool) {
	same := view == p.view && !p.empty()
	p.view, p.conn, p.ofStream = view, m.view.Conn, m.view.HasStream
	p.page = pageKey{}
	p.want = seq
	var ok bool
	if p.at, ok = p.keptPlace(view, seq); !ok {
		if p.at = m.st.Find(view, seq); p.onlyKept(m) {
			p.at = p.placeKept(seq)
		}
	}
	p.resize(p.w, p.h)
	if from, n := p.window(); same && !follow && p.at >= from && p.at < from+uint64(n) {
		p.cursor, p.follow = p.at, false
		return
	}
	p.reset(p.at, follow)
}

// selected is the row under the cursor; nil where there is none.
func (p *framePane) selected() *store.Entry {
	if i := p.cursor - p.from; p.cursor >= p.from && i < uint64(len(p.entries)) {
		return &p.entries[i]
	}
	return nil
}

func (p *framePane) open(m *Model) {
	if p.selected() != nil {
		p.follow = false
		m.focusOn(paneDetail)
	}
}

// row is a row; before is the time of the one above it, 0 where there is none.
func (p *framePane) row(m *Model, e *store.Entry, before int64) row {
	s := m.sty
	decimals := 3
	if p.columnWidth(frameTime) >= wideTime {
		decimals = 6
	}
	cells := make([]cell, frameInfo+1)
	cells[frameSeq].text = strconv.FormatUint(e.Seq, 10)
	cells[frameTime].text = seconds(e.Time-m.start, decimals)
	if before != 0 {
		cells[frameDelta].text = millis(e.Time-before, p.columnWidth(frameDelta))
	}
	cells[frameConn].text = e.Conn.String()
	if e.Kind != decode.RowFrame {
		cells[frameDir] = m.event(e, p.columnWidth(frameInfo)+40)
		return row{cells: cells, span: frameDir, sign: m.markOf(e.Seq)}
	}
	cells[frameDir] = arrow(s, e.Direction)
	cells[frameStream].text = strconv.FormatUint(uint64(e.Header.StreamID), 10)
	cells[frameType] = cell{decode.TypeName(e.Header.Type), typeStyle(s, &e.Header)}
	cells[frameFlags].text = flagLetters(&e.Header)
	cells[frameLength].text = strconv.FormatUint(uint64(e.Header.Length), 10)
	w, tail := p.columnWidth(frameInfo), finding(s, e)
	if tail.text != "" {
		w -= min(width(tail.text)+1, (w+1)/2)
	}
	cells[frameInfo] = m.summary(e, w)
	return row{cells: cells, tail: tail, sign: m.markOf(e.Seq)}
}

func arrow(s *styles, d capture.Direction) cell {
	if d == capture.Send {
		return cell{"→", s.send}
	}
	return cell{"←", s.recv}
}

func typeStyle(s *styles, h *decode.FrameHeader) sgr {
	switch h.Type {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise:
		return s.headers
	case http2.FrameData:
		return s.plain
	case http2.FrameRSTStream, http2.FrameGoAway:
		return s.warn
	case http2.FrameWindowUpdate, http2.FramePing, http2.FramePriority:
		return s.dim
	}
	return s.control
}

// flagLetters are the flags in short, in the order of their bits.
func flagLetters(h *decode.FrameHeader) string {
	if h.Flags == 0 {
		return ""
	}
	out := ""
	for _, n := range decode.FlagNames(h.Type, h.Flags) {
		switch n {
		case "END_STREAM":
			n = "ES"
		case "END_HEADERS":
			n = "EH"
		case "PADDED":
			n = "PD"
		case "PRIORITY":
			n = "PR"
		}
		if out != "" {
			out += " "
		}
		out += n
	}
	return out
}
