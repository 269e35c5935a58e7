// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"context"
	"slices"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// keptHistory is room for all rows that a pause keeps.
const keptHistory = 64 << 20

// onlyKept says whether rows of the view that is shown can only be those that are
// kept, since what there was at the moment of the pause has been evicted. Where the
// view was not looked at before, it gets those that are kept of others.
func (p *framePane) onlyKept(m *Model) bool {
	v := m.frameView()
	if !m.paused || m.now.Evicted <= m.shown.Evicted {
		return false
	}
	first, end := m.st.Span(v)
	if held := first < min(end, m.st.Find(v, m.shown.Rows+1)); held || m.filter != nil && !m.filter.done && m.now.Evicted < m.shown.Rows {
		return false // or may be, when the filter has looked at all
	}
	if _, ok := p.kept[v]; !ok {
		if rows := p.keptOf(m); len(rows) > 0 {
			if len(p.kept) == maxKept {
				clear(p.kept)
			}
			p.kept[v] = keptRows{entries: rows, bound: uint64(len(rows))}
		}
	}
	return len(p.kept[v].entries) > 0
}

// keptOf are the rows that are kept of any view and belong to the one that is shown.
func (p *framePane) keptOf(m *Model) (rows []store.Entry) {
	for _, k := range p.kept {
		for i := range k.entries {
			if viewHas(m.view, &k.entries[i]) {
				rows = append(rows, k.entries[i])
			}
		}
	}
	slices.SortFunc(rows, func(a, b store.Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	rows = slices.CompactFunc(rows, func(a, b store.Entry) bool { return a.Seq == b.Seq })
	if m.filter == nil || len(rows) == 0 {
		return rows
	}
	return m.filter.among(m, rows)
}

// viewHas says whether a row belongs to a view that is no Selection.
func viewHas(v store.View, e *store.Entry) bool {
	if v.HasStream && (e.Kind != decode.RowFrame || e.Header.StreamID != v.Stream) {
		return false
	}
	return v.Conn == 0 || e.Conn == v.Conn
}

// among are those rows of a few that match. Filters are for rows in a store, so they
// are put into one.
func (q *query) among(m *Model, rows []store.Entry) (match []store.Entry) {
	st := store.New(store.Options{History: keptHistory})
	known := map[capture.ConnID]bool{}
	for i := range rows {
		if id := rows[i].Conn; !known[id] {
			known[id] = true
			c, _ := m.conn(id)
			st.Append(&decode.Row{Kind: decode.RowOpen, Conn: id, Info: &c.Info, Time: rows[0].Time})
		}
	}
	before := st.Snapshot().Rows
	for i := range rows {
		seq := st.Append(&rows[i].Row)
		for _, f := range rows[i].Findings {
			st.Diagnose(seq, f)
		}
	}
	sel := st.Select(store.View{}, q.expr.Compile(m.start))
	for !sel.Advance(context.Background(), time.Minute) {
	}
	for i := range rows {
		if sel.Has(before + 1 + uint64(i)) {
			match = append(match, rows[i])
		}
	}
	return match
}
