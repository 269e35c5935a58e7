// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"time"

	"h2sniff/capture"
)

// connRates are frames a second of the connections in sight, and of no others:
// what a tick costs does not grow with the connections.
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
	p.rates = rates
	return changed
}
