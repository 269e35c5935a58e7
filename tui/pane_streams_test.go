// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Long waits are shown to the second, and never cut; which end asks is known
// without a waterfall too.
func TestStreamThatTakesLong(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/slow")
	tr.now += int64(12*time.Minute + 34*time.Second)
	k.send().headers(3, true, ":status", "200")
	m := newScreen(tr.st, 200, 60, Options{})
	press(m, "2")
	for _, w := range []int{200, 160, 110, 200} {
		do(m, tea.WindowSizeMsg{Width: w, Height: 40})
		shown := 0
		for _, at := range []int{streamWait, streamTime} {
			if m.strms.columnWidth(at) > 0 {
				shown++
			}
		}
		if got := strings.Count(m.View(), "12m34s"); got < shown || w == 200 && shown != 2 {
			t.Errorf("%d cells: the time is on the screen %d times, in %d columns:\n%s", w, got, shown, m.View())
		}
	}
}
