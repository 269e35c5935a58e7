// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
	"h2sniff/decode/stream"

	"golang.org/x/net/http2"
)

// connWindow is what the window of a connection begins with (RFC 9113, section
// 6.9.2).
const connWindow = 1<<16 - 1

// flowSeries is how a flow-control window changed over a range of rows.
type flowSeries struct {
	dir    capture.Direction // what it limits goes this way
	stream bool              // of the stream; else of the connection
	// unsure says that the window is not known, since not all that changed it
	// was seen: the figures count from 0 then.
	unsure  bool
	seen    bool
	low     []int64 // the least of each column
	set     []bool
	last    int64
	lowest  int64
	highest int64
	atFrame int64 // behind the frame that is looked at
	frame   bool  // atFrame is set
	// DATA frames and WINDOW_UPDATE frames in the range.
	data, updates int
}

// flowStall is a time for which a window was used up.
type flowStall struct {
	stream.Stall
	conn         bool
	open, closed bool // until now, until the close
	// silent says that the stream has begun a message and sent no DATA: frames do
	// not tell whether it waits for the window.
	silent bool
}

// maxFlowStalls is how many stalls the flow tab lists.
const maxFlowStalls = 16

// flowReading follows the windows of a connection over rows.
type flowReading struct {
	key    flowKey
	t0, t1 int64
	at     int64 // time of the frame that is looked at
	series [4]flowSeries
	stalls []flowStall // the longest, in their order
	waits  int         // all there were
	waited int64       // for how long in all, ns
}

func newFlowReading(key flowKey, own capture.Direction, t0, t1 int64) *flowReading {
	r := &flowReading{key: key, t0: t0, t1: t1}
	for i := range r.series {
		d := own
		if i >= 2 {
			d = own.Reverse()
		}
		r.series[i] = flowSeries{dir: d, stream: i%2 == 0, low: make([]int64, key.columns), set: make([]bool, key.columns)}
	}
	return r
}

// column is that of a time.
func (r *flowReading) column(t int64) int {
	n := r.key.columns
	if r.t1 <= r.t0 || n == 0 {
		return 0
	}
	f := float64(t-r.t0) / float64(r.t1-r.t0)
	return max(0, min(int(f*float64(n)), n-1))
}

// row takes a row of the range, which was applied to c.
func (r *flowReading) row(c *stream.Conn, e *store.Entry, ch *stream.Change) {
	col := r.column(max(e.Time, e.TimeEnd))
	for i := range r.series {
		s := &r.series[i]
		left, unsure, ok := windowOf(c, s, r.key.stream)
		if !ok {
			continue
		}
		own := !s.stream || e.Header.StreamID == r.key.stream
		if e.Kind == decode.RowFrame && own {
			switch {
			case e.Header.Type == http2.FrameData && e.Direction == s.dir:
				s.data++
			case e.Header.Type == http2.FrameWindowUpdate && e.Direction != s.dir && (s.stream || e.Header.StreamID == 0):
				s.updates++
			}
		}
		s.take(col, left, unsure)
		if e.Seq <= r.key.seq {
			s.atFrame, s.frame = left, true
		}
	}
	for i, st := range ch.Stalls {
		if st.Seq == 0 || !st.Held() || i == 0 && (ch.Stream == nil || ch.Stream.ID != r.key.stream) {
			continue
		}
		r.stall(flowStall{Stall: st, conn: i == 1})
	}
}

func (r *flowReading) stall(st flowStall) {
	r.waits++
	if st.Till != 0 {
		r.waited += st.took()
	}
	r.stalls = append(r.stalls, st)
	if len(r.stalls) <= maxFlowStalls {
		return
	}
	least := 0
	for i := range r.stalls {
		if r.stalls[i].took() < r.stalls[least].took() {
			least = i
		}
	}
	r.stalls = append(r.stalls[:least], r.stalls[least+1:]...)
}

// took is for how long the window was used up; of one of which that is not known,
// for ever.
func (st *flowStall) took() int64 {
	if st.Till == 0 {
		return 1 << 40
	}
	return max(st.Till-st.Since, 0)
}

// end takes windows that are used up where the range ends, and reports whether any
// is until now, or may be. What ended a stall of the connection behind the range is
// known from known, if it lasted.
func (r *flowReading) end(c *stream.Conn, until flowUntil, known []store.Stall) (open bool) {
	for i := range r.series {
		s := &r.series[i]
		w := &c.Half(s.dir).Window
		if s.stream {
			rec := c.Stream(r.key.stream)
			if rec == nil || r.key.stream == 0 {
				continue
			}
			w = &rec.Side(s.dir).Window
		}
		if w.EmptySeq == 0 {
			continue
		}
		st := flowStall{Stall: stream.Stall{Seq: w.EmptySeq, Since: w.EmptySince, Direction: s.dir, By: w.EmptyBy}, conn: !s.stream}
		goesOn := s.stream && r.key.whole || !s.stream && r.key.last
		for _, k := range known {
			if !s.stream && k.Stream == 0 && k.Direction == s.dir && k.Since == st.Since {
				st.Till, goesOn = k.Till, k.Till == 0
			}
		}
		if goesOn {
			st.Till = max(until.at, st.Since)
			st.closed, st.open = until.closed, !until.closed
		}
		if s.stream {
			st.silent = w.EmptyBy == stream.BeforeData
		} else if rec := c.Stream(r.key.stream); rec != nil {
			sd := rec.Side(s.dir)
			st.silent = rec.State() != stream.Closed && sd.Headers && !sd.EndStream && sd.Window.Consumed == 0
		}
		open = open || goesOn || st.Till == 0
		r.stall(st)
	}
	return open
}

func (s *flowSeries) take(col int, left int64, unsure bool) {
	if col >= len(s.low) {
		return
	}
	before := s.last
	if !s.seen {
		s.seen, s.lowest, s.highest = true, left, left
		before = left
	}
	s.unsure = s.unsure || unsure
	if !s.set[col] {
		s.set[col], s.low[col] = true, min(before, left)
	}
	s.low[col] = min(s.low[col], left)
	s.last = left
	s.lowest, s.highest = min(s.lowest, left), max(s.highest, left)
}

// windowOf is what is left of a window.
func windowOf(c *stream.Conn, s *flowSeries, id uint32) (left int64, unsure, ok bool) {
	half, rev := c.Half(s.dir), c.Half(s.dir.Reverse())
	sure := c.WindowSure(s.dir)
	if !s.stream {
		return half.Window.Left(connWindow), !sure || !half.Complete(), true
	}
	rec := c.Stream(id)
	if rec == nil || id == 0 {
		return 0, false, false
	}
	return rec.Side(s.dir).Window.Left(rev.Acked.InitialWindowSize), !sure || !c.Whole(rec, s.dir), true
}

// flowPast is what was learnt of a connection on the way to earlier ranges, so
// that the next one need not be read from the beginning. It belongs to the
// slice of the detail that runs.
type flowPast struct {
	conn   capture.ConnID
	every  uint64
	points []flowPoint // in order
}

type flowPoint struct {
	at uint64 // the ordinal of the row to come
	c  *stream.Conn
}

const (
	flowEvery     = 1 << 14
	maxFlowPoints = 32
)

// before gives the state as of the latest point up to the ordinal at.
func (p *flowPast) before(conn capture.ConnID, at uint64) (from uint64, c *stream.Conn) {
	if p.conn != conn {
		*p = flowPast{conn: conn, every: flowEvery}
	}
	for i := len(p.points) - 1; i >= 0; i-- {
		if p.points[i].at <= at {
			return p.points[i].at, p.points[i].c.Clone()
		}
	}
	return 0, stream.NewConn()
}

// passed keeps the state now and then.
func (p *flowPast) passed(at uint64, c *stream.Conn) {
	last := uint64(0)
	if n := len(p.points); n > 0 {
		last = p.points[n-1].at
	}
	if at < last+p.every {
		return
	}
	if len(p.points) == maxFlowPoints {
		kept := p.points[:0]
		for i := 1; i < maxFlowPoints; i += 2 {
			kept = append(kept, p.points[i])
		}
		clear(p.points[len(kept):])
		p.points = kept
		p.every *= 2
		return
	}
	p.points = append(p.points, flowPoint{at, c.Clone()})
}
