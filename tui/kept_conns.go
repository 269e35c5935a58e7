// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"slices"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// maxKeptConns is how many connections a pause keeps, which is some 4 MiB.
const maxKeptConns = 10_000

// keptConns are copies of the connections as they were at the moment of a pause,
// by their ids: what is listed while paused, whatever leaves the store. The zero
// value is for no pause.
type keptConns struct {
	list []store.ConnSummary
	all  int // in the store at that moment
}

// keptConn compares a connection with an id.
func keptConn(c store.ConnSummary, id capture.ConnID) int { return cmp.Compare(c.ID, id) }

// keep keeps the connections of the list: where there are very many, those around
// the cursor.
func (p *connPane) keep(m *Model) {
	n := m.st.NumConns()
	p.kept = keptConns{all: n}
	from := 0
	if n > maxKeptConns {
		from = max(0, min(int(p.cursor)-maxKeptConns/2, n-maxKeptConns))
	}
	if p.by == unsorted || n <= maxKeptConns {
		p.kept.list = m.st.Conns(from, maxKeptConns)
	} else {
		p.fetch(m, from, maxKeptConns)
		p.kept.list = p.conns
		slices.SortFunc(p.kept.list, func(a, b store.ConnSummary) int { return cmp.Compare(a.ID, b.ID) })
	}
	p.order = slices.DeleteFunc(slices.Clone(p.order), func(id capture.ConnID) bool {
		_, kept := p.kept.conn(id)
		return !kept
	})
	p.forget()
}

// release ends what keep began.
func (p *connPane) release() {
	p.kept = keptConns{}
	p.forget()
}

// conn is a connection as it was kept.
func (k *keptConns) conn(id capture.ConnID) (store.ConnSummary, bool) {
	i, ok := slices.BinarySearchFunc(k.list, id, keptConn)
	if !ok {
		return store.ConnSummary{}, false
	}
	return k.list[i], true
}

// conn is what the panes tell of a connection: while paused as of that moment.
func (m *Model) conn(id capture.ConnID) (store.ConnSummary, bool) {
	if c, ok := m.conns.kept.conn(id); ok {
		return c, true
	}
	return m.st.Conn(id)
}

// number is how many connections there are to list.
func (p *connPane) number(m *Model) int {
	if m.paused {
		return len(p.kept.list)
	}
	return m.st.NumConns()
}

// listed are n connections from one on, in the order in which they were seen.
func (p *connPane) listed(m *Model, from, n int) []store.ConnSummary {
	if !m.paused {
		return m.st.Conns(from, n)
	}
	list := p.kept.list
	return slices.Clone(list[min(from, len(list)):min(from+n, len(list))])
}
