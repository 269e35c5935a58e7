// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// run ticks a UI for d, each tick when the one before asked for it, and returns
// how many ticks that took.
func run(m *Model, from time.Time, d time.Duration) (ticks int) {
	for at := from; at.Sub(from) < d; at = at.Add(m.clock.interval(at)) {
		do(m, tickMsg(at))
		ticks++
	}
	return ticks
}

func TestClockSlowsDownWhileNothingHappens(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	asked := 0
	m := newScreen(tr.st, 80, 24, Options{Live: true, Status: func() Status {
		asked++
		return Status{Err: errors.New("as before")}
	}})
	press(m, "k")
	at := time.Unix(2000, 0)
	asked = 0
	if n := run(m, at, time.Second); n < 29 || n > 31 {
		t.Errorf("%d ticks in the first second", n)
	}
	if asked < 3 || asked > 4 {
		t.Errorf("asked for the status %d times in a second", asked)
	}
	at = at.Add(2 * time.Second)
	if n := run(m, at, 10*time.Second); n < 100 || n > 105 {
		t.Errorf("%d ticks in ten idle seconds", n)
	}
	at = at.Add(10 * time.Second)
	for what, happens := range map[string]func(){
		"rows":   func() { k.more(101, 1) },
		"a key":  func() { press(m, "j") },
		"a size": func() { do(m, tea.WindowSizeMsg{Width: 90, Height: 24}) },
		"mouse":  func() { do(m, click(3, 3)) },
	} {
		if m.clock.interval(at) != idleInterval {
			t.Fatalf("before %s: not idle", what)
		}
		happens()
		if do(m, tickMsg(at)); m.clock.interval(at) != tickInterval {
			t.Errorf("%s did not speed up the clock", what)
		}
		run(m, at, 3*time.Second)
		at = at.Add(3 * time.Second)
	}
	// A clock that is set back must not stop the ticks or the asking.
	asked = 0
	run(m, at.Add(-time.Hour), time.Second)
	if asked < 3 || asked > 5 {
		t.Errorf("asked %d times in the second after the clock was set back", asked)
	}
}

// BenchmarkIdle is a second in which nothing happens, with the ticks that the
// UI asks for.
func BenchmarkIdle(b *testing.B) {
	m := newScreen(sample(b).st, 120, 36, Options{Live: true, Status: func() Status { return Status{Text: "attached"} }})
	at := time.Unix(2000, 0)
	run(m, at, 2*time.Second)
	for b.Loop() {
		at = at.Add(10 * time.Second)
		for end := at.Add(time.Second); at.Before(end); at = at.Add(m.clock.interval(at)) {
			m.Update(tickMsg(at))
			m.View()
		}
	}
}
