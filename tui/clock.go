// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

const (
	// tickInterval is how often the store is looked at, idleInterval how often
	// where nothing has happened for idleAfter.
	tickInterval = time.Second / 30
	idleInterval = time.Second / 10
	idleAfter    = time.Second
	// statusInterval is how often the source is asked for its status, which
	// may cost system calls.
	statusInterval = time.Second / 4
)

// clock says when to look again. Its times are those of the ticks.
type clock struct {
	news  time.Time // when something happened last
	asked time.Time // when the source was asked last
	// woken says that a message other than a tick came since the last tick.
	woken bool
}

// tick takes the time of a tick at which something had changed or not.
func (c *clock) tick(t time.Time, changed bool) {
	if changed || c.woken || t.Before(c.news) {
		c.news = t
	}
	c.woken = false
}

// interval is the time to the tick after the one at t.
func (c *clock) interval(t time.Time) time.Duration {
	if c.woken || t.Sub(c.news) < idleAfter {
		return tickInterval
	}
	return idleInterval
}

// due says whether to ask the source at t, and notes that it was asked.
func (c *clock) due(t time.Time) bool {
	if d := t.Sub(c.asked); d >= 0 && d < statusInterval {
		return false
	}
	c.asked = t
	return true
}

func tick(d time.Duration) tea.Cmd {
	return tea.Tick(d, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// askStatus asks the source for its status and reports whether it is another
// than before.
func (m *Model) askStatus() bool {
	if m.o.Status == nil {
		return false
	}
	st := m.o.Status()
	changed := !sameStatus(st, m.status)
	m.status = st
	return changed
}

// sameStatus compares errors by what they say: they may be made anew each time,
// and not every error can be compared.
func sameStatus(a, b Status) bool {
	if (a.Err == nil) != (b.Err == nil) || a.Err != nil && a.Err.Error() != b.Err.Error() {
		return false
	}
	a.Err, b.Err = nil, nil
	return a == b
}
