// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"
	"time"

	"h2sniff/decode/store"
)

// ageInterval is how often the ages of what goes on are shown anew.
const ageInterval = int64(time.Second)

// running tells the time by the clock of the rows: that of the newest row, and
// what has passed since it was seen. The wall clock can be another one: it may
// have been set, and rows may come through a pipe.
type running struct {
	last int64     // time of the newest row
	seen time.Time // tick at which it was there first
}

// passTime takes the time of a tick. What a file tells ends with its last row.
func (m *Model) passTime(t time.Time) {
	r := &m.run
	if r.last != m.now.Last || r.seen.IsZero() || t.Before(r.seen) {
		*r = running{m.now.Last, t}
	}
	switch {
	case m.paused || r.last == 0:
	case !m.o.Live || m.status.Done:
		m.at = r.last
	default:
		m.at = max(m.at, r.last+int64(t.Sub(r.seen)))
	}
}

// untilOf is the moment that the streams of a connection which have not ended
// have lasted to: its close, or else the moment that is shown.
func untilOf(c *store.ConnSummary, at int64) int64 {
	if c.Closed != 0 {
		return c.Closed
	}
	return at
}

// ended says that nothing more is due of a stream.
func ended(t *store.StreamSummary) bool { return t.Reset || t.EndSend && t.EndRecv }

// begun says that a stream is more than frames about it: PRIORITY, or a promise.
func begun(t *store.StreamSummary) bool {
	return t.Phases[0].Begin != 0 || t.Phases[1].Begin != 0 || t.Reset
}

// goesOn says that a stream has begun and not ended.
func goesOn(t *store.StreamSummary) bool { return begun(t) && !ended(t) }

// endOf is when a stream ended; of one that goes on until, if that is later than
// its last frame.
func endOf(t *store.StreamSummary, until int64) int64 {
	if goesOn(t) {
		return max(t.Last, until)
	}
	return t.Last
}

// timeOf is how long a stream took, or has taken until then, in nanoseconds.
func timeOf(t *store.StreamSummary, until int64) int64 { return max(0, endOf(t, until)-t.First) }

func (m *Model) inSight(p paneID) bool {
	return m.overlay == nil && slices.ContainsFunc(m.lay.boxes, func(b box) bool { return b.pane == p })
}

// aged says that ages in sight are out of date.
func (p *streamPane) aged(m *Model) bool {
	d := m.at - p.water.until
	if p.closed || d >= 0 && d < ageInterval || !m.inSight(paneStreams) {
		return false
	}
	return slices.ContainsFunc(p.streams, func(t store.StreamSummary) bool { return goesOn(&t) })
}

// aged says that the order may be another by now, since streams go on.
func (o *streamOrder) aged(m *Model) bool {
	return o.open && (o.by == streamTime || o.by == streamWait) && m.at-o.shown >= ageInterval
}
