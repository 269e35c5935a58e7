// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"fmt"
	"time"

	"h2sniff/decode/filter"
	"h2sniff/decode/store"
)

// query is an expression over the rows of a view; its Selection is filled
// beside the UI.
type query struct {
	text string
	expr *filter.Expr
	base store.View
	sel  *store.Selection
	far  store.Progress // as of the last slice
	done bool           // all rows that there were have been examined once
	// hidden are the matches among the rows that came since the pause.
	hidden uint64
}

func (m *Model) newQuery(text string, expr *filter.Expr) *query {
	return &query{text: text, expr: expr, base: m.view, sel: m.st.Select(m.view, expr.Compile(m.start))}
}

// examine is the work that fills the query's Selection. what is empty where
// nobody waits for it.
func (q *query) examine(what string, after func(m *Model, q *query)) *work {
	return &work{
		what: what,
		step: func(ctx context.Context) bool { return q.sel.Advance(ctx, slice) },
		far:  func() string { return hundredths(q.part()) },
		after: func(m *Model, done bool) {
			q.done = q.done || done
			m.tally(q)
			after(m, q)
		},
	}
}

// tally counts what a query has found, apart what a pause does not show.
func (m *Model) tally(q *query) {
	q.far, q.hidden = q.sel.Progress(), 0
	if m.paused {
		shown := m.st.Find(store.View{Selection: q.sel}, m.shown.Rows+1)
		q.hidden = q.far.Matched - min(q.far.Matched, shown)
	}
}

// part is how much has been examined, 0 to 1.
func (q *query) part() float64 { return part(q.far) }

func part(p store.Progress) float64 {
	if p.Examined+p.Waiting == 0 {
		return 0
	}
	return float64(p.Examined) / float64(p.Examined+p.Waiting)
}

// count says how many rows match, and how long it took to find out.
func (q *query) count() string {
	text := "none match"
	if n := q.far.Matched - q.hidden; n > 0 {
		text = commas(n) + " match"
	}
	if q.hidden > 0 {
		text += ", " + commas(q.hidden) + " more waiting"
	}
	if !q.done {
		return text + " · " + hundredths(q.part())
	}
	return text + " · " + took(q.far.Took)
}

// hundredths is a part of a whole, in percent.
func hundredths(part float64) string { return fmt.Sprintf("%d%%", int(part*100)) }

func took(d time.Duration) string {
	if d < time.Millisecond {
		return "<1 ms"
	}
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// frameView is what the frames pane lists.
func (m *Model) frameView() store.View {
	if m.filter != nil {
		return store.View{Selection: m.filter.sel}
	}
	return m.view
}

// setFilter shows only rows that the query selects; nil: all of the view.
func (m *Model) setFilter(q *query) {
	if q == nil && m.filter == nil {
		return
	}
	m.remember()
	m.filter = q
	m.startFilter()
	m.focusOn(paneFrames)
}

// startFilter examines for the filter as it is now.
func (m *Model) startFilter() {
	if m.filter == nil {
		m.end(workFilter)
		return
	}
	m.begin(workFilter, m.filter.examine("filtering", func(m *Model, q *query) {
		if q.done {
			m.works[workFilter].work.what = "" // what comes later is examined at once
		}
		m.refreshShown()
	}))
}

// refilter makes the filter one of the view, which has changed.
func (m *Model) refilter() {
	if m.filter != nil && m.filter.base != m.view {
		m.filter = m.newQuery(m.filter.text, m.filter.expr)
		m.startFilter()
	}
}

// refreshShown fetches anew what the selections change, while paused too.
func (m *Model) refreshShown() {
	m.frames.forget()
	m.refresh()
}

// followFilter examines the rows that came since.
func (m *Model) followFilter() {
	if m.filter != nil && m.works[workFilter].work != nil && m.filter.sel.Progress().Waiting > 0 {
		m.step(workFilter)
	}
}

// appendFilter is the line of the filter in force.
func (m *Model) appendFilter(dst []byte, w int) []byte {
	s, q := m.sty, m.filter
	count, style := q.count(), s.good
	if kept := m.frames.end - m.frames.first; m.frames.alone && kept > q.far.Matched-q.hidden {
		count += ", " + commas(kept) + " kept" // it came after they had left
	}
	result := "✓ " + count + " "
	if !q.done {
		style = s.warn
	}
	n := min(width(result), w/2)
	dst, used := appendCut(dst, " "+keyName("/")+" "+peer(q.text, w), w-n-1)
	dst = appendSpaces(dst, w-n-used)
	return appendStyled(dst, result, n, style)
}
