// SPDX-License-Identifier: Apache-2.0

package tui

import "testing"

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
}
