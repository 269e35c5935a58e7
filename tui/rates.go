// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// connRates are frames a second of the connections in sight, or in sight less
// than rateSpan ago, and of no others: what a tick costs does not grow with the
// connections.
type connRates map[capture.ConnID]*rateMeter

// text is the figure of a connection; empty until it was in sight for as long
// as the figure is about.
func (r connRates) text(id capture.ConnID) string {
	if meter := r[id]; meter != nil && meter.full() {
		return compact(meter.shown)
	}
	return ""
}

// full says that the samples span what a rate is about.
func (r *rateMeter) full() bool {
	n := len(r.samples)
	return n > 0 && r.samples[n-1].t.Sub(r.samples[0].t) >= rateSpan
}

// lapsed says that the last sample is too old to go on from.
func (r *rateMeter) lapsed(t time.Time) bool {
	n := len(r.samples)
	return n > 0 && t.Sub(r.samples[n-1].t) >= rateSpan
}

// sample takes the counts of the connections in sight at t, and reports whether
// a figure has changed. While the view is frozen the figures are too.
func (p *connPane) sample(m *Model, t time.Time) (changed bool) {
	if m.paused || !m.o.Live {
		return false
	}
	rates := make(connRates, len(p.conns))
	for i := range p.conns {
		c := &p.conns[i]
		meter := p.rates[c.ID]
		if meter == nil || meter.lapsed(t) {
			meter = &rateMeter{}
		}
		meter.sample(t, c.Frames)
		rates[c.ID] = meter
		// A row whose cells say something else instead has a span.
		if text := rates.text(c.ID); i < len(p.rows) && p.rows[i].span == 0 && p.rows[i].cells[connRate].text != text {
			p.rows[i].cells[connRate].text = text
			changed = true
		}
	}
	// Rows at the edge come and go while the list is followed.
	for id, meter := range p.rates {
		if rates[id] == nil && !meter.lapsed(t) {
			rates[id] = meter
		}
	}
	p.rates = rates
	return changed
}

// growth is how many frames all connections got in the last second that was
// counted, for an order by rate: it changes once a second, so that the list can
// be read.
type growth struct {
	at     time.Time
	counts map[capture.ConnID]uint64 // frames at that time
	grown  map[capture.ConnID]uint64 // until then, over a second
}

// compare puts first what has grown most, then what has most frames.
func (g *growth) compare(a, b *store.ConnSummary) int {
	if c := cmp.Compare(g.grown[b.ID], g.grown[a.ID]); c != 0 {
		return c
	}
	return cmp.Compare(b.Frames, a.Frames)
}

// count counts again where the list is sorted by rate and it is time to, and
// reports whether the order may have changed.
func (p *connPane) count(m *Model, t time.Time) (changed bool) {
	g := &p.growth
	if p.by != connRate || m.paused {
		*g = growth{}
		return false
	}
	d := t.Sub(g.at)
	if g.counts != nil && d < rateSpan {
		return false
	}
	conns := m.st.Conns(0, m.st.NumConns())
	counts := make(map[capture.ConnID]uint64, len(conns))
	grown := make(map[capture.ConnID]uint64)
	for i := range conns {
		c := &conns[i]
		counts[c.ID] = c.Frames
		if n := c.Frames - g.counts[c.ID]; n > 0 && g.counts != nil {
			grown[c.ID] = n
		}
	}
	*g = growth{t, counts, grown}
	p.turn(p.by)
	return true
}
