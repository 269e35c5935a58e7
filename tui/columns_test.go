// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

var screenSizes = [][2]int{{80, 24}, {120, 36}, {200, 60}}

// Ids tell rows apart: no size cuts them.
func TestIDsAreNeverCut(t *testing.T) {
	tr := newTraffic(0)
	for range 1203 {
		tr.open(capture.ConnInfo{PID: 1, Comm: "nginx", Fresh: true}).bind("127.0.0.1:443", "127.0.0.1:50000", capture.Exact)
	}
	k := tr.requests(0)
	k.more(1_000_001, 30)
	for _, size := range screenSizes {
		m := newScreen(tr.st, size[0], size[1], Options{Live: true})
		press(m, "1 G k")
		for _, id := range []string{"▶c1203 ", " c1204 "} {
			if !strings.Contains(m.View(), id) {
				t.Errorf("%v: no %q in the connections:\n%s", size, id, m.View())
			}
		}
		press(m, "3 G")
		if !strings.Contains(m.View(), " c1204 ") || !strings.Contains(m.View(), " 1000059 ") {
			t.Errorf("%v: an id is cut in the frames:\n%s", size, m.View())
		}
		press(m, "1 G enter 2 G")
		if !strings.Contains(m.View(), " 1000059 ") {
			t.Errorf("%v: an id is cut in the streams:\n%s", size, m.View())
		}
	}
}

// A connection without frames says why, whatever columns there is room for.
func TestConnectionsThatAreNotHTTP2SaySo(t *testing.T) {
	tr := newTraffic(0)
	k := tr.open(capture.ConnInfo{PID: 4712, Comm: "nginx", Fresh: true})
	k.bind("127.0.0.1:31443", "127.0.0.1:50000", capture.Exact)
	k.recv().raw("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	m := newScreen(tr.st, 120, 36, Options{})
	for w := 24; w < 220; w++ {
		for _, h := range []int{10, 24, 36} {
			do(m, tea.WindowSizeMsg{Width: w, Height: h})
			press(m, "1")
			at := strings.Index(m.View(), "▶")
			if at < 0 {
				t.Fatalf("%dx%d: no connection on the screen", w, h)
			}
			line, _, _ := strings.Cut(m.View()[at:], "\n")
			if !strings.Contains(line, " c1 ") || !strings.Contains(line, "HTTP/1.1") {
				t.Errorf("%dx%d: %q", w, h, line)
			}
			if err := checkScreen(m); err != nil {
				t.Errorf("%dx%d: %v", w, h, err)
			}
		}
	}
}

// No room is left blank while an address beside it is cut.
func TestColumnsGrowToTheirContent(t *testing.T) {
	tr := newTraffic(0)
	tr.open(capture.ConnInfo{PID: 4712, Comm: "nginx", Fresh: true}).bind("127.0.0.1:31443", "127.0.0.1:50000", capture.Exact)
	m := newScreen(tr.st, 200, 60, Options{})
	if !strings.Contains(m.View(), " 127.0.0.1:31443 ") || !strings.Contains(m.View(), " 127.0.0.1:50000 ") {
		t.Errorf("an address is cut:\n%s", m.View())
	}
	cols := []column{
		{min: 4, want: 10, flex: true, need: 6},
		{min: 4, want: 8, need: 20},
		{min: 4, want: 30, need: 5},
	}
	for _, c := range []struct{ w, flex, long, short int }{
		{14, 4, 4, 4},
		{16, 6, 4, 4},
		{21, 6, 8, 5},
		{33, 6, 20, 5},
		{37, 10, 20, 5},
		{62, 10, 20, 30},
		{70, 18, 20, 30},
	} {
		share(cols, c.w)
		if cols[0].width != c.flex || cols[1].width != c.long || cols[2].width != c.short {
			t.Errorf("%d cells: %d, %d, %d; want %d, %d, %d", c.w, cols[0].width, cols[1].width, cols[2].width, c.flex, c.long, c.short)
		}
	}
}

// The streams are of the connection that was chosen, or of the one of the row
// under the frames' cursor, or of the one under the cursor of the connections:
// the title says of which.
func TestStreamsSayOfWhichConnection(t *testing.T) {
	tr := newTraffic(0)
	for range 4 {
		tr.requests(3)
	}
	for _, size := range screenSizes {
		m := newScreen(tr.st, size[0], size[1], Options{})
		press(m, "1 g j 3 G")
		if e := m.frames.selected(); e == nil || e.Conn != 4 || !strings.Contains(m.View(), "2 Streams of c4: 3") {
			t.Errorf("%v: the title does not say of which connection the streams are:\n%s", size, m.View())
		}
		press(m, "1 k enter")
		if !strings.Contains(m.View(), "2 Streams of c3: 3") {
			t.Errorf("%v: after enter on c3:\n%s", size, m.View())
		}
	}
}

// A number of problems is shown whole or not at all.
func TestMarksWithin(t *testing.T) {
	for _, c := range []struct {
		errors, gaps uint64
		w            int
		want         string
	}{{0, 0, 3, ""}, {5, 0, 3, "!5"}, {50, 38, 7, "!50 ⋯38"}, {50, 38, 6, "!50⋯"}, {50, 38, 3, "!50"}, {1, 1, 3, "!1⋯"}, {500, 38, 3, "!…"}, {0, 380, 3, "⋯…"}} {
		if got := marksWithin(&store.ConnSummary{Errors: c.errors, Gaps: c.gaps}, c.w); got != c.want {
			t.Errorf("%d errors and %d gaps in %d cells: %q, want %q", c.errors, c.gaps, c.w, got, c.want)
		}
	}
}
