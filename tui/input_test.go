// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

func click(x, y int) tea.MouseMsg {
	return tea.MouseMsg{X: x, Y: y, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft}
}

func TestMouse(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(100)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	frames := m.lay.boxes[2]
	top := m.frames.top
	// The first row is below the edge and the column titles.
	do(m, click(frames.x+5, frames.y+2))
	if m.frames.cursor != top || m.frames.follow || m.focus != paneFrames {
		t.Errorf("a click on the first row: cursor %d, top %d, follow %v", m.frames.cursor, top, m.frames.follow)
	}
	do(m, click(frames.x+5, frames.y+2))
	if m.focus != paneDetail {
		t.Error("a second click did not open the row")
	}
	do(m, tea.MouseMsg{X: frames.x + 5, Y: frames.y + 5, Action: tea.MouseActionPress, Button: tea.MouseButtonWheelUp})
	if m.frames.top != top-wheelLines {
		t.Errorf("the wheel went from %d to %d", top, m.frames.top)
	}
	do(m, click(2, 3))
	if m.focus != paneConns {
		t.Error("a click did not focus the connections")
	}
	do(m, tea.WindowSizeMsg{Width: 80, Height: 24})
	before, _, _ := strings.Cut(strings.Split(m.View(), "\n")[1], "2 Streams")
	do(m, click(width(before), 1))
	if m.focus != paneStreams {
		t.Errorf("a click on the tab of the streams focused %d", m.focus)
	}
	for y := -1; y < 30; y++ {
		for _, x := range []int{-1, 0, 1, 40, 79, 80, 1000} {
			do(m, click(x, y))
		}
	}
}

func TestQuit(t *testing.T) {
	quits := func(m *Model, msg tea.Msg) bool {
		_, cmd := m.Update(msg)
		if cmd == nil {
			return false
		}
		_, ok := cmd().(tea.QuitMsg)
		return ok
	}
	m := newScreen(sample(t).st, 80, 24, Options{})
	if !quits(m, keyMsg("q")) || !quits(m, keyMsg("ctrl+c")) {
		t.Error("q and ^c do not quit")
	}
	press(m, "/")
	if quits(m, keyMsg("q")) {
		t.Error("q quits while a line is typed")
	}
	if quits(m, keyMsg("ctrl+c")) || m.typing != nil {
		t.Error("^c does not close the line that is typed first")
	}
	for _, key := range []string{"?", "C", "y", "m"} {
		if press(m, key); quits(m, keyMsg("ctrl+c")) || m.overlay != nil || m.choosing || m.chord != noChord {
			t.Errorf("^c does not close what %s opened first", key)
		}
	}
	if !quits(m, keyMsg("ctrl+c")) {
		t.Error("^c does not quit after it closed the rest")
	}
	for _, key := range []string{"?", "C"} {
		if press(m, key); quits(m, keyMsg("q")) || m.overlay != nil {
			t.Errorf("q does not only close what %s opened", key)
		}
	}
	if !quits(m, keyMsg("q")) {
		t.Error("q does not quit after it closed the rest")
	}
}

func TestStatusLine(t *testing.T) {
	var st Status
	tr := newTraffic(0)
	tr.requests(1)
	m := newScreen(tr.st, 120, 36, Options{Live: true, Status: func() Status { return st }})
	line := func(i int) string { return strings.Split(m.View(), "\n")[i] }
	if !strings.Contains(line(0), "● LIVE") || !strings.Contains(line(0), "lost 0") {
		t.Errorf("%q", line(0))
	}
	st.LostBytes = 12345
	do(m, later(10))
	if !strings.Contains(line(0), "LOST 12,345 octets") {
		t.Errorf("%q", line(0))
	}
	st.Text = "OpenSSL: 2 processes"
	do(m, later(20))
	if !strings.Contains(line(35), st.Text) {
		t.Errorf("%q", line(35))
	}
	st.Err = errors.New("the \x1b[2Jring is gone")
	st.Done = true
	do(m, later(30))
	if !strings.Contains(line(0), "■ ENDED") || !strings.Contains(line(35), "␛[2Jring is gone") {
		t.Errorf("%q %q", line(0), line(35))
	}
	if !strings.Contains(line(0), "ERROR") {
		t.Errorf("%q", line(0))
	}
	for w := 1; w < 200; w++ {
		do(m, tea.WindowSizeMsg{Width: w, Height: 30})
		if w >= 24 && !strings.Contains(line(0), "ERR") {
			t.Errorf("%d cells: the error is not on the screen: %q", w, line(0))
		}
		if w >= 12 && !strings.Contains(line(0), "LOST") {
			t.Errorf("%d cells: what was lost is not on the screen: %q", w, line(0))
		}
	}
}

// A click on a row of any list does what going there with the keys does: the
// panes on its right follow as far as they follow the cursor.
func TestClickIsLikeKeys(t *testing.T) {
	for _, pane := range []string{"1", "2", "3"} {
		tr := newTraffic(0)
		for range 4 {
			tr.requests(5)
		}
		keys := press(newScreen(tr.st, 200, 60, Options{Live: true}), pane+" g j j")
		mouse := press(newScreen(tr.st, 200, 60, Options{Live: true}), pane+" g")
		b := mouse.lay.boxes[slices.IndexFunc(mouse.lay.boxes, func(b box) bool { return b.pane == mouse.focus })]
		do(mouse, click(b.x+5, b.y+4))
		if mouse.View() != keys.View() {
			t.Errorf("pane %s\n%s\nwith keys\n%s", pane, mouse.View(), keys.View())
		}
	}
}

// The exit status of the command that was watched is no error of ours.
func TestCommandExit(t *testing.T) {
	const text = "the command exited with status 7"
	o := Options{Live: true, Status: func() Status { return Status{Done: true, Exit: 7, Text: text} }}
	m := newScreen(sample(t).st, 120, 36, o)
	lines := strings.Split(m.View(), "\n")
	if !strings.Contains(lines[0], "■ ENDED 7 ") || strings.Contains(lines[0], "ERR") || !strings.Contains(lines[35], text) {
		t.Errorf("%q %q", lines[0], lines[35])
	}
	do(m, tea.WindowSizeMsg{Width: 36, Height: 20})
	if line := m.View(); !strings.Contains(line, "■ END 7") {
		t.Errorf("%q", line)
	}
	m = newScreen(newTraffic(0).st, 120, 36, o)
	if !strings.Contains(m.View(), "The command exited with status 7.") {
		t.Errorf("without frames: %s", m.View())
	}
}

// A file that could not be read to its end says so, also where rows were read
// from it, and the keys to leave stay.
func TestFileThatEndedWithAnError(t *testing.T) {
	const cut = "the recording is cut off after 59 records"
	o := Options{Source: "x.pcapng", Renderer: renderer(true), Status: func() Status {
		return Status{Done: true, Err: errors.New(cut)}
	}}
	for _, size := range [][2]int{{80, 24}, {120, 36}, {200, 60}} {
		m := newScreen(sample(t).st, size[0], size[1], o)
		lines := strings.Split(m.View(), "\n")
		if !strings.Contains(lines[0], m.sty.bad.on+"ERROR"+m.sty.bad.off) {
			t.Errorf("%v: %q", size, lines[0])
		}
		last := lines[len(lines)-1]
		if !strings.Contains(last, m.sty.bad.on+" "+cut) {
			t.Errorf("%v: %q", size, last)
		}
		if last = withoutColours(last); !strings.Contains(last, "? help") || !strings.Contains(last, "q quit") {
			t.Errorf("%v: %q", size, last)
		}
	}
}

// Whatever else the last line has to say, help and quit are dropped last.
func TestHelpAndQuitAreAlwaysNamed(t *testing.T) {
	o := Options{Live: true, Status: func() Status { return Status{Text: strings.Repeat("attached to a library ", 9)} }}
	m := newScreen(sample(t).st, 80, 24, o)
	for w := 24; w < 220; w++ {
		do(m, tea.WindowSizeMsg{Width: w, Height: 24})
		for _, keys := range []string{"1", "2", "3", "4", "esc", "s"} {
			press(m, keys)
			do(m, later(1)) // ends the notice's excuse: the text is new
			m.notice = ""
			m.dirty = true
			last := m.View()[strings.LastIndex(m.View(), "\n")+1:]
			if !strings.Contains(last, "? help") || !strings.Contains(last, "q quit") {
				t.Fatalf("%d cells, %q: %q", w, keys, last)
			}
		}
	}
}

func TestRate(t *testing.T) {
	var r rateMeter
	at := time.Unix(1000, 0)
	for i := range 120 { // 3,000 frames/s for four seconds
		r.sample(at.Add(time.Duration(i)*tickInterval), uint64(i)*100)
	}
	if r.shown < 2900 || r.shown > 3100 {
		t.Errorf("%d frames/s shown of 3,000", r.shown)
	}
	for i := 120; i < 240; i++ {
		r.sample(at.Add(time.Duration(i)*tickInterval), 12000)
	}
	if r.shown != 0 {
		t.Errorf("%d frames/s shown after four seconds of nothing", r.shown)
	}
	if len(r.samples) > 40 {
		t.Errorf("%d samples kept", len(r.samples))
	}
}

// Every key of the map is in the help.
func TestHelpNamesEveryKey(t *testing.T) {
	m := newScreen(sample(t).st, 80, 24, Options{})
	press(m, "?")
	help := m.View()
	for range 60 {
		press(m, "j")
		help += m.View()
	}
	for _, g := range m.keys.groups() {
		for _, a := range g.actions {
			if b := a.key; !strings.Contains(help, b.Help().Key) || !strings.Contains(help, b.Help().Desc) {
				t.Errorf("%q is not on the screen", b.Help())
			}
		}
	}
	for _, keys := range []string{"?", "esc"} {
		if press(m, keys); m.overlay != nil {
			t.Errorf("%s does not close the help", keys)
		}
		press(m, "?")
	}
	// It pages, and the wheel scrolls it.
	press(m, "g")
	top := func() int { return m.overlay.(*helpOverlay).top }
	steps := []int{top()}
	for _, by := range []string{"ctrl+d", "ctrl+u", "wheel", "pgdown", "home", "end", "g", "space"} {
		if by == "wheel" {
			do(m, tea.MouseMsg{X: 5, Y: 5, Action: tea.MouseActionPress, Button: tea.MouseButtonWheelDown})
		} else {
			press(m, by)
		}
		m.View()
		steps = append(steps, top())
	}
	if s := steps; s[0] != 0 || s[1] < 5 || s[2] != 0 || s[3] != wheelLines || s[4] <= s[3]+5 || s[5] != 0 || s[6] < s[4] || s[7] != 0 || s[8] <= s[1] {
		t.Errorf("the help scrolls to %v", s)
	}
	// It can be scrolled to its end at any size.
	do(m, tea.WindowSizeMsg{Width: 40, Height: 10})
	seen := m.View()
	for range 60 {
		press(m, "j")
		seen += m.View()
	}
	if !strings.Contains(seen, m.keys.Quit.Help().Key) || !slices.ContainsFunc(legend(), func(l [2]string) bool { return strings.Contains(seen, l[1]) }) {
		t.Error("the end of the help cannot be reached")
	}
}

// On a usual screen the rate, what was lost and how full the history is are always
// in sight, and the line begins with a blank whatever the figures are.
func TestStatusLineKeepsWhatMatters(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(1)
	m := newScreen(tr.st, 80, 24, Options{Live: true, Source: "pid 26783"})
	press(m, "space")
	m.shown.Rows = 1000
	m.now = store.Snapshot{Rows: 75911, Frames: 244_000, Evicted: 240_000, LostBytes: 349 << 20, Errors: 40, HistoryUsed: 1 << 20, HistoryLimit: 1 << 20}
	m.rate.shown = 15_000
	for w := 80; w < 200; w++ {
		line := string(m.appendStatus(nil, w))
		for _, want := range []string{"PAUSED +74,911", "15k fr/s", "LOST 349M", "hist", "!40"} {
			if want == "LOST 349M" && strings.Contains(line, "LOST 365,953,024 octets") {
				continue
			}
			if !strings.Contains(line, want) {
				t.Errorf("%d cells: no %q in %q", w, want, line)
			}
		}
		if line[0] != ' ' || width(line) != w {
			t.Errorf("%d cells: %q", w, line)
		}
	}
	if line := string(m.appendStatus(nil, 80)); strings.Contains(line, "pid 26783") {
		t.Errorf("the source stays: %q", line)
	}
}
