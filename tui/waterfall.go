// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"
	"h2sniff/decode/stream"
)

// span of time, Unix nanoseconds.
type timeRange struct{ from, to int64 }

func (r timeRange) empty() bool { return r.to <= r.from }

// column is that of a time, of n columns.
func (r timeRange) column(t int64, n int) int {
	if r.empty() {
		return 0
	}
	return int(float64(t-r.from) / float64(r.to-r.from) * float64(n))
}

// waterState is what a stream is doing in a column of the waterfall. Of several
// things in one column the greatest is shown.
type waterState uint8

const (
	waterNone    waterState = iota
	waterIdle               // nothing since its last frame, and not ended
	waterWait               // the request is out, no response yet
	waterRequest            // the request goes out
	waterData               // the response comes in
	waterBoth               // both
	waterMaybe              // no window, and it is not known whether there is anything to send
	waterBlocked            // a window is used up
	waterMessage            // a gRPC message begins
	waterOpen               // goes on beyond the last frame
	waterReset              // was reset
	numWater
)

var waterSigns = [numWater]string{" ", "┈", "·", "▒", "█", "▓", "?", "░", "◆", "▷", "✗"}

func (m *Model) waterStyle(w waterState) sgr {
	s := m.sty
	switch w {
	case waterRequest:
		return s.send
	case waterData:
		return s.recv
	case waterBoth:
		return s.headers
	case waterMaybe, waterBlocked:
		return s.warn
	case waterMessage:
		return s.control
	case waterOpen:
		return s.good
	case waterReset:
		return s.bad
	}
	return s.dim
}

// waterfall lays streams out on one time axis.
type waterfall struct {
	axis   timeRange
	manual bool         // the user chose the axis; else it holds the streams in sight
	role   capture.Role // of the process
	closed int64        // when the connection was; 0: not yet
	until  int64        // the moment that what has not ended has lasted to
	stalls []store.Stall
	marks  map[markKey]streamMarks // gRPC messages
	// sought is how long it took to look for them last, soughtAt when that
	// ended. late says that it is not yet time to look again.
	sought   time.Duration
	soughtAt time.Time
	late     bool
}

// fit takes the axis that the streams in sight need.
func (w *waterfall) fit(streams []store.StreamSummary) {
	if w.manual {
		return
	}
	w.axis = timeRange{}
	for i := range streams {
		t := &streams[i]
		if t.Frames == 0 || !begun(t) {
			continue // has no bar
		}
		if w.axis.from == 0 || t.First < w.axis.from {
			w.axis.from = t.First
		}
		w.axis.to = max(w.axis.to, endOf(t, w.until))
	}
}

// zoom makes the axis shorter or longer, around the middle of the stream under
// the cursor.
func (w *waterfall) zoom(in bool, t *store.StreamSummary) {
	if w.axis.empty() {
		return
	}
	length := w.axis.to - w.axis.from
	middle := w.axis.from + length/2
	if t != nil && t.Frames > 0 && endOf(t, w.until) >= w.axis.from && t.First <= w.axis.to {
		middle = t.First + timeOf(t, w.until)/2
	}
	if in {
		length = max(length/2, 1000)
	} else {
		length = min(length*2, 1<<60)
	}
	w.axis, w.manual = timeRange{middle - length/2, middle - length/2 + length}, true
}

// pan moves the axis by a quarter of its length.
func (w *waterfall) pan(by int) {
	if w.axis.empty() {
		return
	}
	d := max((w.axis.to-w.axis.from)/4, 1) * int64(by)
	w.axis, w.manual = timeRange{w.axis.from + d, w.axis.to + d}, true
}

// requestDirection is that of a stream's request, from client to server: by the
// part of the process, else by what came first. The request of a pushed stream came
// in the PUSH_PROMISE: all that it carries is the response.
func requestDirection(t *store.StreamSummary, role capture.Role) capture.Direction {
	switch role {
	case capture.Client:
		return capture.Send
	case capture.Server:
		return capture.Recv
	}
	a, b := t.Phases[capture.Send].Begin, t.Phases[capture.Recv].Begin
	first := capture.Recv
	if a != 0 && (b == 0 || a <= b) {
		first = capture.Send
	}
	if pushed(t) {
		return first.Reverse()
	}
	return first
}

// pushed says that a stream is a server's: RFC 9113, section 5.1.1.
func pushed(t *store.StreamSummary) bool { return t.ID != 0 && t.ID&1 == 0 }

// bar draws a stream in n columns.
func (w *waterfall) bar(t *store.StreamSummary, role capture.Role, n int) []waterState {
	out := make([]waterState, n)
	if n == 0 || t.Frames == 0 || w.axis.from == 0 {
		return out
	}
	// fill marks the columns of a time that is at least a moment long.
	fill := func(from, to int64, s waterState) {
		if to < w.axis.from || from > w.axis.to {
			return
		}
		first := max(0, min(w.axis.column(from, n), n-1))
		last := max(first, min(w.axis.column(to, n), n-1))
		for i := first; i <= last; i++ {
			out[i] = max(out[i], s)
		}
	}
	d := requestDirection(t, role)
	req, resp := &t.Phases[d], &t.Phases[d.Reverse()]
	if !begun(t) {
		return out // frames about a stream that has not begun
	}
	switch {
	case req.Begin != 0 && resp.Begin != 0:
		fill(req.Last, resp.Begin, waterWait)
	case req.Begin != 0:
		fill(req.Last, t.Last, waterWait)
	}
	end := endOf(t, w.until)
	asked := t.EndSend // the request is complete
	if d == capture.Recv {
		asked = t.EndRecv
	}
	switch {
	case ended(t):
	case resp.Begin == 0 && req.Begin != 0 && asked:
		fill(req.Last, end, waterWait)
	default:
		fill(t.Last, end, waterIdle)
	}
	if req.Begin != 0 {
		fill(req.Begin, req.Last, waterRequest)
	}
	if resp.Begin != 0 {
		fill(resp.Begin, resp.Last, waterData)
		if req.Last > resp.Begin {
			fill(resp.Begin, min(req.Last, resp.Last), waterBoth)
		}
	}
	w.showWait(out, req, resp)
	for _, st := range w.stalls {
		w.showStall(t, st, end, fill)
	}
	for _, at := range w.marks[markKey{t.Conn, t.ID}].times {
		fill(at, at, waterMessage)
	}
	at := func(time int64, s waterState) {
		if time >= w.axis.from && time <= w.axis.to {
			out[max(0, min(w.axis.column(time, n), n-1))] = s
		}
	}
	switch {
	case t.Reset:
		at(t.Last, waterReset)
	case !ended(t) && w.closed == 0:
		at(min(end, w.axis.to), waterOpen)
	}
	return out
}

// showStall marks the time for which a window was used up, of a stream that lasts
// until end. The connection's window holds up all that have more DATA to send. What
// has begun a message and sent none of its DATA yet may have some or not: frames do
// not tell. A stream's own is known to have held it up where DATA came before, or
// as [stream.Stall.Held] has it.
func (w *waterfall) showStall(t *store.StreamSummary, st store.Stall, end int64, fill func(from, to int64, s waterState)) {
	if st.Till == 0 { // until now
		st.Till = end
	}
	p := &t.Phases[st.Direction&1]
	if st.Stream == t.ID {
		state := waterBlocked
		began := stream.Stall{By: stream.BeforeData, Since: st.Since, Till: st.Till, Next: p.Data}
		if (p.Data == 0 || p.Data > st.Since) && !began.Held() {
			state = waterMaybe
		}
		fill(st.Since, st.Till, state)
		return
	}
	if st.Stream != 0 || p.Begin == 0 {
		return
	}
	last := end
	if sent := [2]bool{capture.Send: t.EndSend, capture.Recv: t.EndRecv}; sent[st.Direction&1] {
		last = p.Last
		if p.Data == 0 {
			return
		}
	}
	data := last
	if p.Data != 0 {
		data = p.Data
	}
	if from, to := max(st.Since, p.Begin), min(st.Till, data); from < to {
		fill(from, to, waterMaybe)
	}
	if from, to := max(st.Since, data), min(st.Till, last); from < to {
		fill(from, to, waterBlocked)
	}
}

// showWait gives the column in which a request ends to the wait for the
// response, if that would not show otherwise and fills more of it, a quarter at least.
func (w *waterfall) showWait(out []waterState, req, resp *store.Phase) {
	if resp.Begin <= req.Last || w.axis.empty() || slices.Contains(out, waterWait) {
		return
	}
	n := len(out)
	i := w.axis.column(req.Last, n)
	if i < 0 || i >= n {
		return
	}
	length := float64(w.axis.to-w.axis.from) / float64(n)
	from := w.axis.from + int64(float64(i)*length)
	to := from + int64(length)
	wait := min(resp.Begin, to) - req.Last
	if sent := req.Last - max(req.Begin, from); out[i] == waterRequest && wait > max(sent, int64(length/4)) {
		out[i] = waterWait
	}
}

// waterRuns makes the bar runs of signs, each in its own colour.
func (m *Model) waterRuns(bar []waterState) (runs []cell) {
	for i := 0; i < len(bar); {
		j := i
		var run []byte
		for ; j < len(bar) && bar[j] == bar[i]; j++ {
			run = append(run, waterSigns[bar[i]]...)
		}
		runs = append(runs, cell{string(run), m.waterStyle(bar[i])})
		i = j
	}
	return runs
}

// head is the axis, for the title of the column: when it begins and how long it
// is.
func (w *waterfall) head(n int, start int64) string {
	if n <= 0 || w.axis.from == 0 {
		return ""
	}
	left, right := seconds(w.axis.from-start, 3)+"s ", " "+span(w.axis.to-w.axis.from)
	if w.axis.to == w.axis.from {
		right = ""
	}
	if width(left)+width(right)+1 > n {
		left = ""
	}
	room := n - width(left) - width(right)
	if room < 0 {
		return clipCells(right[min(1, len(right)):], n)
	}
	return left + string(appendRepeat(nil, "─", room)) + right
}
