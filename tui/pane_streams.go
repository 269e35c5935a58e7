// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"
	"sort"
	"strconv"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// streamPane lists the streams of the chosen connection, in the order of their
// first appearance or of a column.
type streamPane struct {
	list
	conn    capture.ConnID
	closed  bool                  // the connection was
	streams []store.StreamSummary // those of the window
	view    store.View            // that the cursor was put on the stream of
	// anchor and place are a stream with its FirstSeq, and where in the list it
	// was: the oldest streams leave, and the cursor stays with its own.
	anchor   uint64
	anchorID uint32
	place    int
	// by is the column that the list is to be sorted by, order what it was
	// sorted to last, sorting what is being made.
	by      int
	order   streamOrder
	sorting streamOrderKey
	arrived bool // the streams are another connection's, and wait for their order
	water   waterfall
	wide    bool // the waterfall has half of the pane at least
	w0, h0  int  // of the last resize
	kept    keptStreams
	// keptBefore is kept.alone as of the last refresh: places in what is kept
	// are none in the whole list.
	keptBefore bool
	// listed and total are how many streams there are in the list, and how many
	// the connection has had, as of the pause while there is one; counted is the
	// connection that they are of.
	listed, total uint64
	counted       capture.ConnID
	atTop         bool // the cursor is where it was said that there were more
}

const (
	streamID = iota
	streamRequest
	streamStatus
	streamState
	streamFrames
	streamSent
	streamRecv
	streamWait
	streamTime
	streamBar
)

func newStreamPane() *streamPane {
	p := &streamPane{by: unsorted}
	p.cols = []column{
		streamID:      {title: "sid", min: 4, want: 7, right: true},
		streamRequest: {title: "request", min: 18, want: 24, flex: true},
		streamStatus:  {title: "st", min: 3},
		streamState:   {title: "state", min: 9, want: 18, drop: 4},
		streamFrames:  {title: "fr", min: 4, right: true, drop: 5},
		streamSent:    {title: "→oct", min: 4, right: true, drop: 7},
		streamRecv:    {title: "←oct", min: 4, right: true, drop: 6},
		streamWait:    {title: "wait", min: 5, right: true, drop: 3},
		streamTime:    {title: "time", min: 5, right: true, drop: 2},
		streamBar:     {name: "waterfall", min: minBar, drop: 1, fixed: true},
	}
	p.none = []string{"none yet"}
	return p
}

// minBar is the least width of the waterfall, besideBar what stands beside one
// that has the screen: up to the times.
const minBar, besideBar = 10, 42

// resize gives the waterfall what a wide pane has room for.
func (p *streamPane) resize(w, h int) {
	p.w0, p.h0 = w, h
	bar := &p.cols[streamBar]
	bar.min, bar.want = minBar, minBar
	p.cols[streamRequest].min, p.cols[streamRequest].want = 18, 24
	if w <= 60 && p.by != unsorted && p.cols[p.by].drop > 0 { // beside the waterfall too
		p.cols[streamRequest].min = 12
	}
	switch {
	case p.wide:
		bar.min = max(minBar, min(w/2, w-besideBar))
		bar.want = w * 2 / 3
		p.cols[streamRequest].want = max(24, w/4)
	case w > 60:
		bar.min = w * 3 / 10
		bar.want = w/2 - 4
	}
	p.list.resize(w, h)
}

func (p *streamPane) name() string { return "Streams" }

func (p *streamPane) info(*Model) string {
	if p.conn == 0 {
		return ""
	}
	text := "of " + p.conn.String() + ": " + commas(p.listed)
	if p.total > p.listed {
		text += " of " + commas(p.total)
	}
	if p.by != unsorted {
		text += " by " + p.cols[p.by].label()
	}
	return text
}

func (p *streamPane) refresh(m *Model) {
	if p.wide && !m.zoomed {
		p.wide = false
		p.resize(p.w0, p.h0)
	}
	conn, ok := m.conns.chosen(m)
	if conn != p.conn {
		p.conn, p.anchor, p.counted = conn, 0, 0
		p.arrived = p.by != unsorted
		p.water.manual = false
		p.page = pageKey{}
		p.reset(0, m.o.Live && p.by == unsorted)
	}
	if !ok {
		p.bounds(0, 0)
		p.streams, p.rows = nil, nil
		return
	}
	p.keepSorted(m)
	if m.paused && p.unmoved(m, int(p.cursor)-p.place) {
		p.sayEdge(m)
		return
	}
	if p.keptAlone(m) {
		p.settleAt(m, len(p.kept.list), p.keptPlace)
		p.sayEdge(m)
	} else {
		p.settlePlaces(m)
		p.count(m)
		p.sayGone(m)
	}
	from, n := p.window()
	key := pageKey{from: from, n: n, generation: m.shown.Generation, view: m.view}
	if key != p.page {
		p.page, p.from = key, from
		p.streams = p.at(m, int(from), n)
		if m.paused && !p.kept.alone {
			p.keep(m, int(from), n)
		}
		c, _ := m.conn(conn)
		p.closed = c.Closed != 0
		p.water.role, p.water.closed, p.water.until = c.Role, c.Closed, untilOf(&c, m.at)
		p.none = noStreams(&c)
		for i := range p.streams {
			t := &p.streams[i]
			n := digits(uint64(t.ID))
			if t.Errors > 0 {
				n++ // for the !
			}
			p.whole(streamID, n)
			p.content(streamStatus, width(statusText(t, maxStatus)))
			p.whole(streamWait, width(waitText(t, p.water.role, p.water.until)))
			p.whole(streamTime, width(span(timeOf(t, p.water.until))))
		}
		p.fit()
		p.prepareWater(m)
		p.rows = p.rows[:0]
		for i := range p.streams {
			p.rows = append(p.rows, p.row(m, &p.streams[i]))
		}
	}
	if p.arrived = p.arrived && !p.ordered(); p.arrived {
		return // the cursor stays at the top, whatever comes there
	}
	if t := p.selected(); t != nil {
		p.anchor, p.anchorID, p.place = t.FirstSeq, t.ID, int(p.cursor)
	}
}

// prepareWater gets what the bars are drawn from.
func (p *streamPane) prepareWater(m *Model) {
	w := &p.water
	p.findMarks(m)
	n := p.columnWidth(streamBar)
	if n == 0 {
		return
	}
	w.fit(p.streams)
	w.stalls, _ = m.st.Stalls(p.conn)
	p.cols[streamBar].title = w.head(n, m.start)
}

// settlePlaces takes the bounds of the list as it is now; while paused,
// without the streams that began since.
func (p *streamPane) settlePlaces(m *Model) {
	n := m.st.NumStreams(p.conn)
	switch {
	case p.ordered():
		n = len(p.order.ids)
	case m.paused:
		n = p.find(m, n, m.shown.Rows+1)
	}
	p.settleAt(m, n, func(id uint32, first uint64) int { return p.placeOf(m, n, id, first) })
}

// settleAt makes the list one of n streams, whose places placeOf tells.
func (p *streamPane) settleAt(m *Model, n int, placeOf func(id uint32, first uint64) int) {
	if p.anchor != 0 {
		now := placeOf(p.anchorID, p.anchor)
		if p.ordered() && p.kept.alone == p.keptBefore {
			p.moved(now - p.place)
		} else {
			p.shift(now - p.place)
		}
		p.place = now
	}
	if m.view.HasStream && (m.view != p.view || m.view.Stream == p.anchorID && p.anchor != 0) {
		switch t, ok := p.listedStream(m, m.view.Stream); {
		case !ok && m.view.Conn == p.conn:
			p.follow, p.nowhere, p.anchor = false, true, 0
		case ok && m.view != p.view:
			p.follow, p.nowhere = false, false
			p.cursor = uint64(placeOf(t.ID, t.FirstSeq))
			p.arrived = false
		}
	}
	if m.view != p.view && !m.view.HasStream {
		p.nowhere = false
	}
	p.view, p.keptBefore = m.view, p.kept.alone
	p.bounds(0, uint64(n))
}

// pointAt puts the cursor on a stream.
func (p *streamPane) pointAt(m *Model, t *store.StreamSummary) {
	p.follow, p.arrived, p.nowhere = false, false, false
	i := slices.IndexFunc(p.streams, func(shown store.StreamSummary) bool { return shown.ID == t.ID && shown.FirstSeq == t.FirstSeq })
	switch {
	case i >= 0:
		p.cursor = p.from + uint64(i)
	case p.kept.alone:
		p.cursor = uint64(p.keptPlace(t.ID, t.FirstSeq))
	default:
		p.cursor = uint64(p.placeOf(m, int(p.end), t.ID, t.FirstSeq))
	}
	p.anchor, p.anchorID, p.place = t.FirstSeq, t.ID, int(p.cursor)
	p.settle()
}

// find is the place of the first stream that began with row seq or later.
func (p *streamPane) find(m *Model, n int, seq uint64) int {
	return sort.Search(n, func(i int) bool {
		t := m.st.Streams(p.conn, i, 1)
		return len(t) == 0 || t[0].FirstSeq >= seq
	})
}

// selected is the stream under the cursor; nil where there is none.
func (p *streamPane) selected() *store.StreamSummary {
	if i := p.cursor - p.from; !p.nowhere && p.cursor >= p.from && i < uint64(len(p.streams)) {
		return &p.streams[i]
	}
	return nil
}

func (p *streamPane) row(m *Model, t *store.StreamSummary) row {
	s := m.sty
	state, style := streamStateOf(s, t)
	idle := false
	switch {
	case t.Reset || t.EndSend && t.EndRecv:
	case isIdle(m.st, t):
		state, style, idle = "idle", s.dim, true
	case p.closed:
		state, style = "unfinished", s.warn
	}
	status := statusText(t, p.columnWidth(streamStatus))
	if name := statusText(t, maxStatus); name != status && !t.Reset && hasGRPC(t) {
		state, style = name, s.warn // as long as there is no room for it in its own column
	}
	if name := decode.ErrorName(t.ResetCode); t.Reset && width(state) > p.columnWidth(streamState) && width(name) < width(state) {
		state = name
	}
	r := row{mark: m.view.HasStream && t.ID == m.view.Stream && t.Conn == m.view.Conn, cells: []cell{
		streamID:      {text: strconv.FormatUint(uint64(t.ID), 10)},
		streamRequest: {text: request(t, p.columnWidth(streamRequest))},
		streamStatus:  {text: status, style: statusLook(s, t)},
		streamState:   {text: state, style: style},
		streamFrames:  {text: compact(t.Frames)},
		streamSent:    {text: octets(t.SentB)},
		streamRecv:    {text: octets(t.RecvB)},
		streamWait:    {text: waitText(t, p.water.role, p.water.until)},
		streamTime:    {text: span(timeOf(t, p.water.until))},
	}}
	r.cells = append(r.cells, cell{})
	if idle {
		r.cells[streamRequest] = cell{"only PRIORITY", s.dim}
		r.cells[streamTime].text = ""
		r.faded = true
	}
	if n := p.columnWidth(streamBar); n > 0 {
		r.runs = m.waterRuns(p.water.bar(t, p.water.role, n))
	}
	if t.Reset && p.columnWidth(streamState) == 0 && t.Status == "" {
		r.cells[streamStatus] = cell{"RST", style}
	}
	if t.Errors > 0 {
		r.cells[streamID] = cell{"!" + r.cells[streamID].text, s.bad}
	}
	return r
}

func (p *streamPane) open(m *Model) {
	if t := p.selected(); t != nil {
		p.follow = false
		v, first := store.View{Conn: t.Conn, Stream: t.ID, HasStream: true}, t.FirstSeq
		other := v != m.view
		follows := m.frames.follow
		m.narrow(v, paneFrames)
		if other && follows { // the request, not what came last
			m.frames.goTo(m, m.frameView(), first, false)
			m.refresh()
		}
	} else if p.nowhere {
		m.say("the stream has left this list; its frames, as far as they are kept, stand in the frames", false)
	}
}
