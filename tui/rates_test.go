// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"
	"testing"
	"time"
)

// Frames a second of each connection in sight, from the time on that it has
// been in sight for as long as the figure is about.
func TestConnectionRates(t *testing.T) {
	tr := newTraffic(0)
	busy, quiet := tr.requests(3), tr.requests(3)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g")
	rate := func(place int) string { return m.conns.rows[place].cells[connRate].text }
	if m.conns.columnWidth(connRate) == 0 || rate(0) != "" {
		t.Fatalf("before anything is known: %q in %d cells", rate(0), m.conns.columnWidth(connRate))
	}
	id := 101
	for i := 1; i <= 90; i++ { // 3 s
		busy.more(uint32(id), 1)
		id += 2
		if i == 60 {
			quiet.more(101, 2)
		}
		do(m, later(i))
	}
	if rate(0) != "90" || rate(1) != "6" && rate(1) != "5" { // three frames a request, over a second or one tick more
		t.Errorf("after 3 s: %q and %q", rate(0), rate(1))
	}
	press(m, "space")
	for i := 91; i <= 150; i++ {
		do(m, later(i))
	}
	if rate(0) != "90" {
		t.Errorf("while frozen: %q", rate(0))
	}
	press(m, "space")
	do(m, later(151))
	if rate(0) != "" {
		t.Errorf("thawed: %q, nothing is known of the last second", rate(0))
	}
	for i := 152; i <= 190; i++ {
		do(m, later(i))
	}
	if rate(0) != "0" || rate(1) != "0" {
		t.Errorf("a second after the last frame: %q and %q", rate(0), rate(1))
	}
	if n := len(m.conns.rates); n != 2 {
		t.Errorf("%d connections are measured", n)
	}

	// A file is read at a speed that tells nothing of the program.
	m = newScreen(tr.st, 200, 60, Options{})
	if press(m, "1"); m.conns.columnWidth(connRate) != 0 {
		t.Error("the rates are shown of a file")
	}
	if err := m.conns.sortBy("fr/s"); err == nil {
		t.Error("a file is sorted by rates")
	}
}

// A connection that is out of sight for a moment keeps its figure, one that is
// for longer does not.
func TestConnectionRatesOutOfSight(t *testing.T) {
	tr := newTraffic(0)
	first := tr.requests(3)
	for range 99 {
		tr.requests(1)
	}
	m := newScreen(tr.st, 200, 40, Options{Live: true})
	press(m, "1 g")
	tick := 0
	pass := func(ticks int) {
		for range ticks {
			tick++
			first.more(uint32(99+2*tick), 1)
			do(m, later(tick))
		}
	}
	pass(45)
	rate := func() string { return m.conns.rows[0].cells[connRate].text }
	if rate() == "" || m.conns.conns[0].ID != first.id {
		t.Fatalf("%v in sight: %q", m.conns.conns[0].ID, rate())
	}
	press(m, "G")
	pass(15) // 0.5 s
	if m.conns.conns[0].ID == first.id {
		t.Fatal("all connections are in sight")
	}
	press(m, "g")
	pass(1)
	if rate() == "" {
		t.Error("half a second out of sight, the figure is lost")
	}
	in := len(m.conns.conns)
	press(m, "G")
	pass(45)
	if n := len(m.conns.rates); n > in+1 {
		t.Errorf("%d connections are measured, %d are in sight", n, in)
	}
	press(m, "g")
	pass(1)
	if rate() != "" {
		t.Errorf("after 1.5 s out of sight: %q", rate())
	}
}

// Sorted by rate, the connection that got most frames in the last second is
// first, in sight or not; the order changes once a second.
func TestSortByRate(t *testing.T) {
	tr := newTraffic(0)
	a, b, c := tr.requests(50), tr.requests(3), tr.requests(30)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g")
	enter(m, "sort fr/s")
	order := func() []int {
		var ids []int
		for i := range m.conns.conns {
			ids = append(ids, int(m.conns.conns[i].ID))
		}
		return ids
	}
	check := func(when string, want ...int) {
		t.Helper()
		if got := order(); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	do(m, later(1))
	check("before anything is known, by frames", 1, 3, 2)
	b.more(101, 2)
	do(m, later(10))
	check("in the same second", 1, 3, 2)
	do(m, later(40))
	check("a second later", 2, 1, 3)
	c.more(101, 9)
	b.more(201, 3)
	do(m, later(80))
	check("after two", 3, 2, 1)
	a.more(201, 1)
	press(m, "space")
	do(m, later(120), later(160))
	check("while frozen", 3, 2, 1)
	press(m, "space")
	do(m, later(161), later(200), later(240))
	check("nothing in the last second: by frames", 1, 3, 2)
	if got := m.conns.selected().ID; got != 1 {
		t.Errorf("the cursor went to %v", got)
	}
}

// A sorted list begins at its top and stays there, whatever comes up to it; the
// cursor goes with its row as far as the window does.
func TestSortedListStaysAtItsTop(t *testing.T) {
	tr := newTraffic(0)
	for range 20 {
		tr.requests(1).close()
	}
	m := newScreen(tr.st, 120, 24, Options{Live: true})
	press(m, "1 j j j j")
	if height := m.conns.height; height < 3 || height > 15 {
		t.Fatalf("%d rows in the window", height)
	}
	enter(m, "sort fr")
	if m.conns.cursor != 0 || m.conns.top != 0 {
		t.Errorf("a new order begins at row %d, the cursor on %d", m.conns.top, m.conns.cursor)
	}
	at := m.conns.selected().ID
	for i := range 25 {
		busy := tr.requests(10 + i)
		do(m, later(i+1))
		if m.conns.conns[0].ID != busy.id {
			t.Fatalf("the first in sight is %v, most frames has %v", m.conns.conns[0].ID, busy.id)
		}
		if got := m.conns.selected().ID; i+1 < m.conns.height && got != at {
			t.Errorf("the cursor went from %v to %v", at, got)
		}
	}
	// Further down the window goes with the row under the cursor.
	press(m, "G k k")
	at, line := m.conns.selected().ID, m.conns.cursor-m.conns.top
	tr.requests(100)
	do(m, later(100))
	if got := m.conns.selected().ID; got != at || m.conns.cursor-m.conns.top != line {
		t.Errorf("%v in line %d became %v in line %d", at, line, got, m.conns.cursor-m.conns.top)
	}
	// Of the streams too.
	press(m, "1 g enter j j j j j")
	enter(m, "sort fr")
	if m.strms.cursor != 0 || m.strms.top != 0 {
		t.Errorf("a new order of the streams begins at row %d, the cursor on %d", m.strms.top, m.strms.cursor)
	}
	chosen := tr.conns[m.strms.conn]
	tick := 200
	for i := range m.strms.height + 5 {
		id := uint32(2001 + 2*i)
		chosen.more(id, 1)
		for range 10 + i {
			chosen.send().data(id, false, "x")
		}
		for deadline := time.Now().Add(time.Minute); len(m.strms.streams) == 0 || m.strms.streams[0].ID != id; tick++ {
			do(m, later(tick))
			if time.Now().After(deadline) {
				t.Fatalf("stream %d does not come first in sight: top %d, %+v", id, m.strms.top, m.strms.streams[0].ID)
			}
		}
	}
}
