// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"fmt"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
	"h2sniff/decode/stream"

	"golang.org/x/net/http2"
)

// flowKey is what the flow tab was made for. from and to are the rows of the
// connection that it shows.
type flowKey struct {
	conn     capture.ConnID
	stream   uint32
	seq      uint64
	from, to uint64
	columns  int
	w        int
	start    int64 // that elapsed times count from
	// whole says that the range reaches the stream's last frame, last that it
	// reaches the connection's last row.
	whole, last bool
}

// flowResult is what is made of the windows around a frame.
type flowResult struct {
	key   flowKey
	lines []detailLine
	until flowUntil
	open  bool // a window is used up until then, or may be
}

// flowUntil is the moment that a window which is used up has been so to.
type flowUntil struct {
	at     int64
	closed bool // the connection was, at that moment
}

const (
	// maxFlowRows is how many rows of the connection the flow tab shows to
	// either side of the frame, around the whole stream; of what belongs to no
	// stream aroundFrame.
	maxFlowRows = 1 << 16
	aroundFrame = 500
	curveHeight = 2
	scaleWidth  = 10
)

// showFlow shows the windows around the frame, when they are made.
func (p *detailPane) showFlow(m *Model) {
	key, ok := p.flowRange(m)
	was := p.flow.key
	same := was.conn == p.entry.Conn && was.seq == p.entry.Seq && was.w == p.w
	if !ok || gone(m.st, p.entry.Seq) {
		m.end(workDetail)
		if p.lines = p.flow.lines; !same { // else as it was when it was made
			p.lines = p.note(m, flowGone)
		}
		return
	}
	until := p.flowUntil(m)
	if was == key && !p.flow.aged(until) {
		p.lines = p.flow.lines
		return
	}
	own, at := p.entry.Direction, max(p.entry.Time, p.entry.TimeEnd)
	if p.entry.Header.Type == http2.FrameWindowUpdate {
		own = own.Reverse()
	}
	st, sty, past, far := m.st, m.sty, &p.past, &p.far
	p.want(m, key, func(ctx context.Context) any { return makeFlow(ctx, st, sty, past, far, key, own, at, until) })
	if same {
		p.lines = p.flow.lines // of a little earlier
		return
	}
	text := "Reading the rows before this one " + ellipsis
	if all := far.all.Load(); all > 0 {
		text += " " + hundredths(min(1, float64(far.done.Load())/float64(all)))
	}
	p.lines = p.note(m, text)
}

func (p *detailPane) flowUntil(m *Model) flowUntil {
	c, _ := m.conn(p.entry.Conn)
	return flowUntil{untilOf(&c, m.at), c.Closed != 0}
}

// aged says that what is told of windows that are used up is out of date.
func (r *flowResult) aged(until flowUntil) bool {
	d := until.at - r.until.at
	return r.open && (until.closed != r.until.closed || d < 0 || d >= ageInterval)
}

// flowRange chooses the rows to show: those from the first to the last frame
// of the stream, as far as they are near.
func (p *detailPane) flowRange(m *Model) (flowKey, bool) {
	e := &p.entry
	key := flowKey{conn: e.Conn, seq: e.Seq, w: p.w, columns: max(p.w-scaleWidth-1, 1), start: m.start}
	whole := store.View{Conn: e.Conn}
	first, end := m.st.Span(whole)
	at := m.st.Find(whole, e.Seq)
	if first == end || at >= end {
		return key, false
	}
	near := uint64(maxFlowRows)
	if e.Kind == decode.RowFrame && e.Header.StreamID != 0 {
		key.stream = e.Header.StreamID
		v := store.View{Conn: e.Conn, Stream: key.stream, HasStream: true}
		from, to := m.st.Span(v)
		if from == to {
			return key, false
		}
		first, end = wholeRange(m.st, v, from, to)
	} else {
		near = aroundFrame
	}
	key.from = max(first, at-min(at, near))
	key.to = min(end, at+near)
	_, last := m.st.Span(whole)
	key.whole, key.last = key.to == end, key.to == last
	return key, true
}

const flowGone = "This row has left the history, and the windows around it with it."

// makeFlow follows the connection's windows from its beginning, or from where
// they are known, to the end of the range.
func makeFlow(ctx context.Context, st *store.Store, sty *styles, past *flowPast, far *steps, key flowKey, own capture.Direction, at int64, until flowUntil) flowResult {
	whole := store.View{Conn: key.conn}
	ends := [2]int64{}
	for i, at := range [2]uint64{key.from, key.to - 1} {
		if e := st.Rows(whole, at, 1); len(e) > 0 {
			ends[i] = max(e[0].Time, e[0].TimeEnd)
			if i == 0 {
				ends[i] = e[0].Time
			}
		}
	}
	r := newFlowReading(key, own, ends[0], ends[1])
	r.at = at
	from, c := past.before(key.conn, key.from)
	far.done.Store(0)
	far.all.Store(int64(key.to - from))
	place := from
	read(ctx, st, whole, from, key.to, func(e *store.Entry) {
		far.done.Add(1)
		if place < key.from {
			past.passed(place, c)
		}
		ch := c.Apply(e.Seq, &e.Row)
		if place >= key.from {
			r.row(c, e, &ch)
		}
		place++
	}, func(n uint64) {
		place += n
		c = stream.NewConn() // what was before is not known
	})
	stalls, _ := st.Stalls(key.conn)
	open := r.end(c, until, stalls)
	d := page{sty: sty, w: key.w}
	if gone(st, key.seq) {
		d.text(sty.dim, flowGone)
	} else {
		r.lay(&d)
	}
	return flowResult{key, d.lines, until, open}
}

// lay draws the windows.
func (r *flowReading) lay(d *page) {
	s := d.sty
	// What carries data comes first: of the stream, else of the connection.
	if a, b := &r.series, [2]int{r.series[0].data, r.series[2].data}; b[0] == 0 && b[1] > 0 || b[0]+b[1] == 0 && a[1].data == 0 && a[3].data > 0 {
		a[0], a[1], a[2], a[3] = a[2], a[3], a[0], a[1]
	}
	for i := range r.series {
		q := &r.series[i]
		if i == 2 {
			r.axis(d)
			r.list(d)
		}
		if !q.seen {
			continue
		}
		what := "connection"
		if q.stream {
			what = "stream " + itoa(r.key.stream)
		}
		text := arrow(s, q.dir).text + " " + what + ":"
		style := s.bold
		if q.unsure {
			style = s.warn
			text += " not known, not all that changed it was seen; since then"
		}
		if q.frame {
			text += " " + signed(q.atFrame, q.unsure) + " left"
		}
		if q.lowest != q.highest {
			text += fmt.Sprintf(" (%s to %s)", signed(q.lowest, q.unsure), signed(q.highest, q.unsure))
		}
		text += fmt.Sprintf("; %s DATA", commas(uint64(q.data)))
		if q.updates > 0 {
			text += ", " + plural(q.updates, "update")
		}
		d.text(style, text)
		if q.lowest != q.highest {
			q.curve(d)
		}
	}
}

func signed(n int64, relative bool) string {
	switch {
	case n < 0:
		return "−" + commas(uint64(-n))
	case relative:
		return "+" + commas(uint64(n))
	}
	return commas(uint64(n))
}

var bars = []string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"}

// curve draws what was left of a window: each column the least in its time.
func (q *flowSeries) curve(d *page) {
	least, most := min(0, q.lowest), max(q.highest, 1)
	levels := curveHeight * 8
	for line := curveHeight - 1; line >= 0; line-- {
		var b []byte
		last, known := int64(0), false
		for i := range q.low {
			v := last
			if q.set[i] {
				v, known = q.low[i], true
			}
			if !known {
				b = append(b, ' ')
				continue
			}
			last = v
			level := int(float64(v-least) / float64(most-least) * float64(levels))
			if level == 0 && v > least {
				level = 1
			}
			n := max(0, min(level-8*line, 8))
			if line == 0 && level == 0 {
				b = append(b, "_"...)
				continue
			}
			b = append(b, bars[n]...)
		}
		scale := ""
		switch line {
		case curveHeight - 1:
			scale = octetsLong(most)
		case 0:
			scale = octetsLong(least)
		}
		d.add(detailLine{cells: []cell{{scale, d.sty.dim}, {string(b), d.sty.recv}}, widths: []int{scaleWidth}})
	}
}

func octetsLong(n int64) string {
	if n < 0 {
		return "−" + octets(uint64(-n))
	}
	return octets(uint64(n))
}

// axis is the time below the curves, with the frame that is looked at.
func (r *flowReading) axis(d *page) {
	n := r.key.columns
	left, right := seconds(r.t0-r.key.start, 6), seconds(r.t1-r.key.start, 6)+" s"
	line := []rune(strings.Repeat(" ", n))
	put := func(at int, text string) {
		if at >= 0 && at+len(text) <= n {
			copy(line[at:], []rune(text))
		}
	}
	mark := r.column(r.at)
	if mark > len(left) {
		put(0, left)
	}
	if mark < n-len(right)-1 {
		put(n-len(right), right)
	}
	line[mark] = '▲'
	if text := "#" + commas(r.key.seq); mark+2+len(text) < n-len(right) {
		put(mark+2, text)
	}
	d.add(detailLine{cells: []cell{{}, {string(line), d.sty.dim}}, widths: []int{scaleWidth}})
}

// list tells of the times for which a window was used up.
func (r *flowReading) list(d *page) {
	s := d.sty
	if r.waits > 1 {
		text := "held up " + plural(r.waits, "time") + ", " + span(r.waited) + " in all"
		if r.waits > len(r.stalls) {
			text += "; the longest:"
		}
		d.text(s.warn, text)
	}
	for _, st := range r.stalls {
		what := "stream " + itoa(r.key.stream)
		if st.conn {
			what = "the connection"
		}
		text := arrow(s, st.Direction).text + " window of " + what + emptyBy(st.By) + " #" + commas(st.Seq) + " at " +
			seconds(st.Since-r.key.start, 6) + " s"
		switch {
		case st.Till == 0:
			text += ", and not refilled in the rows shown here"
		case st.closed:
			text += ", for " + span(st.took()) + " until the connection closed"
		case st.open:
			text += ", for " + span(st.took()) + " so far"
		default:
			text += ", for " + span(st.took())
		}
		if st.silent {
			text += "; whether stream " + itoa(r.key.stream) + ", without DATA so far, waits for it is not seen"
		}
		d.seq = st.Seq
		d.text(s.warn, text)
		d.seq = 0
	}
}

// emptyBy is what left a sender without a window, before the row with which it did.
func emptyBy(by stream.EmptyBy) string {
	switch by {
	case stream.Lowered:
		return " lowered to 0 or below by SETTINGS, acknowledged in"
	case stream.BeforeData:
		return " at 0 before any DATA, since"
	}
	return " used up by"
}
