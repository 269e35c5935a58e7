// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// unsorted is the order in which the connections were first seen.
const unsorted = -1

// sorter is a list that can be sorted.
type sorter interface {
	sortable() []string
	sortBy(name string) error
	sortNext() string
	titleAt(x int)
}

// sorted is the list that is sorted now: the streams where they have the focus,
// else the connections.
func (m *Model) sorted() sorter {
	if m.focus == paneStreams {
		return m.strms
	}
	return m.conns
}

// titleAt sorts by the column whose title is at a cell of the titles.
func (p *connPane) titleAt(x int) {
	if by := p.columnAt(x); by >= 0 && p.head {
		p.turn(by)
	}
}

// sortable are the names of the columns that the list can be sorted by.
func (l *list) sortable() (names []string) {
	for i := range l.cols {
		if !l.cols[i].fixed && !l.cols[i].hide {
			names = append(names, l.cols[i].label())
		}
	}
	return names
}

// columnNamed finds the column to sort by; unsorted where the name is empty.
func (l *list) columnNamed(name string) (by int, err error) {
	if name == "" {
		return unsorted, nil
	}
	for i := range l.cols {
		if l.cols[i].label() == name && !l.cols[i].fixed && !l.cols[i].hide {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no column %q to sort by: there are %s", name, strings.Join(l.sortable(), ", "))
}

// showSorted keeps the column in sight that the list is sorted by.
func (l *list) showSorted(by int) {
	for i := range l.cols {
		l.cols[i].keep = i == by
	}
	l.fit()
}

// columnAfter is the next column to sort by, in sight or not for want of room;
// unsorted after the last.
func (l *list) columnAfter(by int) int {
	for by++; by < len(l.cols); by++ {
		if by == connID || by == streamID {
			continue // as a rule the order in which they were seen
		}
		if c := &l.cols[by]; !c.fixed && !c.hide && !c.off {
			return by
		}
	}
	return unsorted
}

// sortBy orders the connections by a column; unsorted where it is empty.
func (p *connPane) sortBy(name string) error {
	by, err := p.columnNamed(name)
	if err == nil {
		p.turn(by)
	}
	return err
}

func (p *connPane) turn(by int) {
	p.by, p.order = by, nil
	p.showSorted(by)
	if by != unsorted { // from the top, where what is looked for is
		p.anchor = 0
		p.reset(0, false)
	}
	p.forget()
}

// sortNext orders by the next column, and tells which.
func (p *connPane) sortNext() string {
	p.turn(p.columnAfter(p.by))
	return "connections " + orderText(&p.list, p.by)
}

func orderText(l *list, by int) string {
	if by == unsorted {
		return "in the order in which they were seen"
	}
	return "sorted by " + l.cols[by].label()
}

// columnAt is the column to sort by at a cell of a row; -1 where there is none.
func (l *list) columnAt(x int) int {
	at := 0
	for i := range l.cols {
		w := l.cols[i].width
		if w == 0 {
			continue
		}
		if x >= at && x < at+w && !l.cols[i].fixed {
			return i
		}
		at += w + 1
	}
	return -1
}

// compareConns orders two connections by a column: what there is most of first,
// names by the alphabet.
func compareConns(by int, a, b *store.ConnSummary) int {
	switch by {
	case connProcess:
		if c := strings.Compare(a.Info.Comm, b.Info.Comm); c != 0 {
			return c
		}
		return cmp.Compare(a.Info.PID, b.Info.PID)
	case connRole:
		return cmp.Compare(a.Role, b.Role)
	case connLocal:
		return a.Local.Compare(b.Local)
	case connRemote:
		return a.Remote.Compare(b.Remote)
	case connProtocol:
		return cmp.Compare(b.Protocol, a.Protocol)
	case connStreams:
		return cmp.Compare(b.Streams, a.Streams)
	case connFrames:
		return cmp.Compare(b.Frames, a.Frames)
	case connMarks:
		if c := cmp.Compare(problems(b.Errors, b.Findings), problems(a.Errors, a.Findings)); c != 0 {
			return c
		}
		return cmp.Compare(b.Gaps, a.Gaps)
	}
	return cmp.Compare(a.ID, b.ID)
}

// resort orders the connections anew where any has changed.
func (p *connPane) resort(m *Model) {
	if p.order != nil && (p.sortedAt == m.shown.Generation || m.paused) {
		return
	}
	conns := p.listed(m, 0, p.number(m))
	slices.SortStableFunc(conns, func(a, b store.ConnSummary) int {
		if p.by == connRate {
			return p.growth.compare(&a, &b)
		}
		return compareConns(p.by, &a, &b)
	})
	p.order = make([]capture.ConnID, len(conns))
	for i := range conns {
		p.order[i] = conns[i].ID
	}
	p.sortedAt = m.shown.Generation
	p.forget() // also where the store has not changed since: after a pause
}

// placeOf is where a connection is in the list as it is now.
func (p *connPane) placeOf(m *Model, n int, id capture.ConnID) int {
	if p.by == unsorted {
		return p.find(m, n, id)
	}
	return max(0, slices.Index(p.order, id))
}

// fetch gets the connections of the window.
func (p *connPane) fetch(m *Model, from, n int) {
	if p.by == unsorted {
		p.conns = p.listed(m, from, n)
		return
	}
	p.conns = p.conns[:0:0]
	for _, id := range p.order[min(from, len(p.order)):min(from+n, len(p.order))] {
		c, ok := m.conn(id)
		if !ok {
			c.ID = id // left a moment ago
		}
		p.conns = append(p.conns, c)
	}
}
