// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// typeText types a text, rune by rune.
func typeText(m *Model, text string) {
	for _, r := range text {
		do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
}

// lastLine is that of the screen.
func lastLine(m *Model) string { return m.View()[strings.LastIndex(m.View(), "\n")+1:] }

func TestFilter(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	tr.requests(20)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "/")
	typeText(m, "13")
	if line := lastLine(m); !strings.Contains(line, "/ 13▏") || !strings.Contains(line, "✓ 6 match") {
		t.Fatalf("no prompt with the number of matches: %q", line)
	}
	if len(m.frames.entries) == 6 {
		t.Error("the filter is in force while it is typed")
	}
	press(m, "enter")
	if len(m.frames.entries) != 6 {
		t.Fatalf("%d rows; two connections have three each of stream 13", len(m.frames.entries))
	}
	for _, e := range m.frames.entries {
		if e.Header.StreamID != 13 {
			t.Errorf("a row of stream %d", e.Header.StreamID)
		}
	}
	if second := strings.Split(m.View(), "\n")[1]; !strings.Contains(second, "/ 13") || !strings.Contains(second, "6 match") {
		t.Errorf("the filter in force is not on the screen: %q", second)
	}
	// It holds within what the panes are narrowed to.
	press(m, "1 g j enter 3")
	if len(m.frames.entries) != 3 || m.frames.entries[0].Conn != 2 {
		t.Errorf("within c2: %d rows", len(m.frames.entries))
	}
	press(m, "esc")
	if len(m.frames.entries) != 6 {
		t.Errorf("back: %d rows", len(m.frames.entries))
	}
	press(m, "3 esc")
	if m.filter != nil || m.frames.end != tr.st.Snapshot().Rows {
		t.Errorf("esc left %d rows in sight", m.frames.end)
	}
	m.filterBy("type==DATA")
	do(m, later(1))
	press(m, "/")
	if m.typing.input.Value() != "type==DATA" {
		t.Error("the prompt does not begin with the filter in force")
	}
	press(m, "ctrl+u enter")
	if m.filter != nil || m.frames.end != tr.st.Snapshot().Rows {
		t.Errorf("an empty filter left %d rows in sight", m.frames.end)
	}
}

// A filter that rows without its field match says so.
func TestFilterLacking(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "/")
	typeText(m, "grpc.status != 0")
	if line := lastLine(m); !strings.Contains(line, "✓ 56 match") || !strings.Contains(line, "rows without grpc.status too") {
		t.Errorf("%q", line)
	}
	press(m, "ctrl+u")
	typeText(m, "grpc.status && grpc.status != 0")
	if line := lastLine(m); !strings.Contains(line, "✓ none match") || strings.Contains(line, "rows without") {
		t.Errorf("%q", line)
	}
}

// TestFilterHint: a filter that asks one frame for what only two have is told
// of as it is typed, and where nothing matches it.
func TestFilterHint(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	const hint = "no valid frame has both path and status: path is of requests, status of responses"
	press(m, "/")
	typeText(m, "status>=200 && path")
	if line := lastLine(m); !strings.Contains(line, hint) {
		t.Errorf("as it is typed: %q", line)
	}
	press(m, "enter")
	first, second, _ := strings.Cut(hint, " path is")
	if m.filter == nil || !strings.Contains(m.View(), first) || !strings.Contains(m.View(), "path is"+second) {
		t.Errorf("in force: %s", m.View())
	}
	press(m, "/ ctrl+u")
	typeText(m, "status>=200 || path")
	if line := lastLine(m); !strings.Contains(line, "match") || strings.Contains(line, "no valid") {
		t.Errorf("either: %q", line)
	}
}

func TestFilterErrors(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "/")
	typeText(m, "stream==13 && typ==DATA")
	if line := lastLine(m); !strings.Contains(line, "✗ at 15: ") {
		t.Errorf("no place of the error: %q", line)
	}
	press(m, "enter")
	if m.typing == nil || m.filter != nil {
		t.Error("a wrong filter was taken")
	}
	press(m, "esc")
	if m.typing != nil || m.filter != nil {
		t.Error("esc did not leave everything as it was")
	}
	for text, want := range map[string]string{
		"req-19":          "✗ at 1: there is no field req-19; ^f finds text",
		"CANCEL":          "✗ at 1: there is no field CANCEL: error == CANCEL?",
		"x-id == 1":       `✗ at 1: there is no field x-id: header["x-id"]?`,
		"1 && req-19":     "✗ at 6: there is no field req-19",
		"stream==13 && x": "✗ at 15: there is no field x",
	} {
		press(m, "/ ctrl+u")
		typeText(m, text)
		if line := strings.TrimRight(lastLine(m), " "); !strings.HasSuffix(line, want) {
			t.Errorf("%q, want %q", line, want)
		}
		press(m, "esc")
	}
	for _, text := range []string{"", "(", "\"", "header[\"", strings.Repeat("(", 3000), strings.Repeat("x", 5000), "漢字==\u202e", "type==DATA || ‹"} {
		press(m, "/ ctrl+u")
		typeText(m, text)
		for _, keys := range []string{"", "tab", "tab tab", "left left left tab", "home", "up down up"} {
			press(m, keys)
			if err := checkScreen(m); err != nil {
				t.Errorf("%.20q, %q: %v", text, keys, err)
			}
		}
		press(m, "esc esc esc")
	}
}

// Rows that come are filtered, the cursor follows or stays with its own.
func TestFilterFollows(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(50)
	m := newScreen(tr.st, 120, 36, Options{Live: true, Filter: "type==DATA"})
	do(m, later(1))
	if m.frames.end != 50 {
		t.Fatalf("%d rows of 50", m.frames.end)
	}
	k.more(201, 10)
	do(m, later(2))
	if m.frames.end != 60 || !m.frames.follow || selectedSeq(t, m) != tr.st.Snapshot().Rows {
		t.Fatalf("%d rows of 60, row %d under the cursor", m.frames.end, m.frames.selected().Seq)
	}
	press(m, "k k")
	at := selectedSeq(t, m)
	k.more(301, 10)
	do(m, later(3))
	if m.frames.end != 70 || selectedSeq(t, m) != at {
		t.Fatalf("%d rows of 70, row %d under the cursor, it was on %d", m.frames.end, m.frames.selected().Seq, at)
	}
	press(m, "space")
	k.more(401, 10)
	do(m, later(4))
	press(m, "G")
	if e := m.frames.selected(); e == nil || e.Seq > m.shown.Rows {
		t.Error("rows that came while paused are shown")
	}
	press(m, "space G")
	if m.frames.end != 80 {
		t.Errorf("%d rows of 80", m.frames.end)
	}
}

// The cursor is put where it was, although the rows before it are found later.
func TestFilterKeepsThePlace(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(2000)
	m := newScreen(tr.st, 120, 36, Options{})
	m.jump(4000)
	m.filterBy("type==DATA")
	// What is done beside the UI, a slice at a time.
	for len(m.cmds) > 0 {
		for _, cmd := range m.handed() {
			m.take(cmd())
		}
		if e := m.frames.selected(); m.filter.done && (e == nil || e.Seq < 4000 || e.Seq > 4003) {
			t.Fatalf("under the cursor: %v", e)
		}
	}
	if !m.filter.done {
		t.Error("the filter does not come to an end")
	}
}

// A filter that goes on can be ended, and leaves things as they were.
func TestFilterCanBeEnded(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{})
	m.filterBy("13")
	if line := lastLine(m); !strings.Contains(line, "filtering 0%") {
		t.Errorf("how far it is is not on the screen: %q", line)
	}
	cmds := m.handed()
	m.take(keyMsg("esc"))
	if m.filter != nil || m.view != (store.View{}) {
		t.Error("esc did not end it")
	}
	for _, cmd := range cmds {
		m.take(cmd()) // comes too late
	}
	if m.frames.end != tr.st.Snapshot().Rows {
		t.Errorf("%d rows", m.frames.end)
	}
}

func TestFilterCompletion(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(3)
	m := newScreen(tr.st, 120, 36, Options{Config: Config{Filters: map[string]string{"slow": "time > 1s", "small": "length < 9"}}})
	press(m, "/")
	typeText(m, "str")
	press(m, "tab")
	if v := m.typing.input.Value(); v != "stream" {
		t.Errorf("str completes to %q", v)
	}
	press(m, "ctrl+u")
	typeText(m, "st")
	press(m, "tab")
	if v := m.typing.input.Value(); v != "st" || !strings.Contains(m.View(), "stream ") || !strings.Contains(m.View(), "status ") {
		t.Errorf("%q completes to %q; what may stand there is not shown:\n%s", "st", v, m.View())
	}
	press(m, "tab")
	first := m.typing.input.Value()
	press(m, "tab")
	if second := m.typing.input.Value(); second == first || !strings.HasPrefix(second, "st") {
		t.Errorf("tab gives %q, then %q", first, second)
	}
	press(m, "shift+tab")
	if v := m.typing.input.Value(); v != first {
		t.Errorf("shift and tab gives %q, not %q", v, first)
	}
	press(m, "esc")
	if m.typing == nil || m.typing.choice.items != nil {
		t.Error("esc does not only close what may stand there")
	}
	press(m, "ctrl+u")
	typeText(m, "@sl")
	press(m, "tab")
	if v := m.typing.input.Value(); v != "@slow" {
		t.Errorf("@sl completes to %q", v)
	}
	press(m, "enter")
	if m.filter == nil || m.filter.expr.String() != "time > 1s" {
		t.Errorf("the saved filter is not in force: %+v", m.filter)
	}
}

func TestHistoryOfTheFilter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	m := newScreen(sample(t).st, 120, 36, Options{State: dir})
	for _, text := range []string{"13", "type==DATA", "13", "stream==5"} {
		press(m, "/ ctrl+u")
		typeText(m, text)
		press(m, "enter")
	}
	again := newScreen(sample(t).st, 120, 36, Options{State: dir})
	press(again, "/")
	typeText(again, "typed")
	for _, step := range []struct{ key, want string }{
		{"up", "stream==5"}, {"up", "13"}, {"up", "type==DATA"}, {"up", "type==DATA"}, {"down", "13"}, {"down", "stream==5"}, {"down", "typed"}, {"down", "typed"},
	} {
		if press(again, step.key); again.typing.input.Value() != step.want {
			t.Errorf("%s gives %q, want %q", step.key, again.typing.input.Value(), step.want)
		}
	}
	st, err := os.Stat(filepath.Join(dir, "filters"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	// It is bounded, and what is in the file cannot harm.
	for i := range 3 * maxHistory {
		m.history[promptFilter].add(fmt.Sprint(i))
	}
	if n := len(newHistory(dir, "filters").lines); n != maxHistory {
		t.Errorf("%d lines", n)
	}
	os.WriteFile(filepath.Join(dir, "filters"), []byte("\x1b[2J\xff\n\x1b]52;c;YQ==\x07\n"), 0o600)
	hostile := newScreen(sample(t).st, 120, 36, Options{State: dir})
	press(hostile, "/ up up")
	if err := checkScreen(hostile); err != nil {
		t.Error(err)
	}
}

// What a pause does not show is counted apart, and the list that is empty for it
// says so.
func TestFilterWhilePaused(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(20)
	m := newScreen(tr.st, 160, 36, Options{Live: true})
	press(m, "space")
	for id := uint32(101); id <= 105; id += 2 {
		k.recv().headers(id, true, ":method", "GET", ":path", "/x.txt?p=1")
	}
	do(m, later(1))
	press(m, "/")
	typeText(m, `path contains "p="`)
	if line := lastLine(m); !strings.Contains(line, "✓ none match, 3 more waiting") {
		t.Errorf("prompt: %q", line)
	}
	press(m, "enter")
	if v := m.View(); !strings.Contains(v, "none match, 3 more waiting") || !strings.Contains(v, "0 rows of") ||
		!strings.Contains(v, "3 match among the rows that wait; space shows them") || strings.Contains(v, "Nothing here") {
		t.Errorf("the screen says\n%s", v)
	}
	press(m, "space")
	if v := m.View(); len(m.frames.entries) != 3 || !strings.Contains(v, "3 match ·") || strings.Contains(v, "waiting") {
		t.Errorf("%d rows after the pause:\n%s", len(m.frames.entries), v)
	}
	// What was there at the pause is no longer waiting.
	press(m, "space")
	if line := m.View(); !strings.Contains(line, "3 match ·") {
		t.Errorf("paused again:\n%s", line)
	}
}

// Before the name of a saved filter is typed to its end it is offered.
func TestPromptOffersSavedFilters(t *testing.T) {
	m := newScreen(sample(t).st, 160, 36, Options{})
	for _, c := range []struct{ typed, want string }{
		{"@", "no filter is saved yet: :save NAME"}, {"@x", "✗ no saved filter"},
	} {
		press(m, "/")
		if typeText(m, c.typed); !strings.Contains(lastLine(m), c.want) {
			t.Errorf("%q: %q", c.typed, lastLine(m))
		}
		press(m, "esc")
	}
	m.saved["slow"], m.saved["slower"], m.saved["errors"] = "type==DATA", "type==DATA", "type==DATA"
	for _, c := range []struct{ typed, want string }{
		{"@", "tab completes: @errors @slow @slower"}, {"@sl", "tab completes: @slow @slower"}, {"@x", "✗ no saved filter"}, {"@slow", "✓"},
	} {
		press(m, "/")
		if typeText(m, c.typed); !strings.Contains(lastLine(m), c.want) || c.want[0] == 't' && strings.Contains(lastLine(m), "✗") {
			t.Errorf("%q: %q", c.typed, lastLine(m))
		}
		press(m, "esc esc")
	}
	press(m, "/")
	typeText(m, "@sl")
	if press(m, "enter"); !strings.Contains(lastLine(m), "✗ no saved filter") {
		t.Errorf("handed in: %q", lastLine(m))
	}
}
