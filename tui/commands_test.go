// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// enter types a command and hands it in.
func enter(m *Model, line string) {
	press(m, ":")
	typeText(m, line)
	press(m, "enter")
}

func TestCommands(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	tr.requests(30)
	var recorded string
	o := Options{Live: true, Record: func(path string) (string, error) {
		if path == "bad" {
			return "", errors.New("no such \x1b[2Jplace")
		}
		recorded = path
		return "recording into " + path, nil
	}}
	m := newScreen(tr.st, 120, 36, o)
	enter(m, "filter type==DATA")
	if m.filter == nil || m.frames.end != 50 {
		t.Errorf("filter: %d rows", m.frames.end)
	}
	enter(m, "12")
	if selectedSeq(t, m) != 12 {
		t.Errorf("12: row %d", selectedSeq(t, m))
	}
	enter(m, "filter")
	enter(m, "goto 1,3")
	if selectedSeq(t, m) != 13 {
		t.Errorf("goto: row %d", selectedSeq(t, m))
	}
	enter(m, "theme light")
	if m.theme != "light" {
		t.Error("theme")
	}
	enter(m, "lay rows") // the beginning of a name is enough
	if len(m.lay.boxes) != 2 {
		t.Error("layout")
	}
	enter(m, "layout panes")
	enter(m, "columns #,type info")
	if v := m.frames.cols; v[frameFlags].width > 0 || v[frameType].width == 0 {
		t.Errorf("columns:\n%s", m.View())
	}
	enter(m, "sort fr")
	if c := m.conns.selected(); m.conns.conns[0].ID != 2 || c == nil {
		t.Errorf("sort: %v first", m.conns.conns[0].ID)
	}
	enter(m, "sort")
	if m.conns.conns[0].ID != 1 {
		t.Error("sort did not end")
	}
	enter(m, "record /tmp/x.pcapng")
	if recorded != "/tmp/x.pcapng" || !strings.Contains(lastLine(m), "recording into /tmp/x.pcapng") {
		t.Errorf("record: %q", lastLine(m))
	}
	enter(m, "pause")
	if !m.paused {
		t.Error("pause")
	}
	enter(m, "pause")
	enter(m, "follow")
	if !m.frames.follow {
		t.Error("follow")
	}
	enter(m, "help")
	if m.overlay == nil {
		t.Error("help")
	}
	press(m, "esc")
	for line, want := range map[string]string{
		"nothing": `no command "nothing"`, "s": "search or save", "goto x": "number of a row", "theme pink": "there are 16, dark",
		"layout x": "there are panes", "columns x": `no column "x"`, "sort x": "no column", "record bad": "no such ␛[2Jplace",
		"save x": "no filter in force", "save": "something is needed", "filter (": "✗ at 2", "search": "nothing to search", "record": "something is needed",
	} {
		enter(m, line)
		if m.typing == nil || !strings.Contains(lastLine(m), want) {
			t.Errorf("%q: %q, want %q", line, lastLine(m), want)
		}
		if err := checkScreen(m); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		press(m, "esc")
	}
	press(m, ":")
	typeText(m, "quit")
	_, cmd := m.Update(keyMsg("enter"))
	if cmd == nil {
		t.Fatal("quit")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Error("quit")
	}
}

func TestCommandCompletion(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	for line, want := range map[string]string{
		"th": "theme ", "theme li": "theme light", "theme light": "theme light", "columns #,fl": "columns #,flags", "filter ty": "filter type",
		"filter type==SET": "filter type==SETTINGS", "layout r": "layout rows", "q": "quit", "zz": "zz", "zz y": "zz y", "sort pro": "sort pro",
	} {
		press(m, ":")
		typeText(m, line)
		press(m, "tab")
		if got := m.typing.input.Value(); got != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
		press(m, "esc esc")
	}
	press(m, ": tab")
	for _, c := range commands()[:maxChoices] {
		if !strings.Contains(m.View(), c.name) {
			t.Errorf("%s is not offered:\n%s", c.name, m.View())
		}
	}
}

func TestSaveFilter(t *testing.T) {
	dir := t.TempDir()
	o := Options{State: dir, Config: Config{Filters: map[string]string{"mine": "type==PING"}}}
	m := newScreen(sample(t).st, 120, 36, o)
	for name, text := range map[string]string{"a": `path=="\"\\\u0007"`, "b-1": "type == DATA", "mine": "type==DATA"} {
		if err := m.filterBy(text); err != nil {
			t.Fatal(err)
		}
		enter(m, "save "+name)
		if !strings.Contains(lastLine(m), "saved as @"+name) {
			t.Errorf("%q", lastLine(m))
		}
	}
	enter(m, "save ../x")
	if m.typing == nil {
		t.Error("a name that is a path was taken")
	}
	again := newScreen(sample(t).st, 120, 36, o)
	if again.saved["b-1"] != "type == DATA" || again.saved["mine"] != "type==PING" {
		t.Errorf("%q", again.saved)
	}
	for name := range again.saved {
		if _, err := again.parseFilter("@" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	os.WriteFile(filepath.Join(dir, savedFile), []byte("[filters\n"), 0o600)
	if m := newScreen(sample(t).st, 80, 24, o); len(m.saved) != 1 {
		t.Errorf("%q", m.saved)
	}
}

// TestPromptCancel: esc takes back a completion; where none was put in, it ends
// a command, and keeps a filter, which is not soon typed again.
func TestPromptCancel(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, ":")
	typeText(m, "s")
	press(m, "tab tab")
	if v := m.typing.input.Value(); v == "s" || len(m.typing.choice.items) < 2 {
		t.Fatalf("nothing was put in: %q of %d", v, len(m.typing.choice.items))
	}
	press(m, "esc")
	if m.typing == nil || m.typing.input.Value() != "s" || m.typing.choice.items != nil {
		t.Fatal("the completion was not taken back")
	}
	press(m, "tab esc")
	if m.typing != nil {
		t.Errorf("a list of commands outlives esc: %q", lastLine(m))
	}
	press(m, "/")
	typeText(m, "status==200 && ")
	press(m, "tab esc")
	if m.typing == nil || m.typing.input.Value() != "status==200 && " || m.typing.choice.items != nil {
		t.Fatal("the filter is gone, or its list is there")
	}
	press(m, "esc")
	if m.typing != nil {
		t.Error("the filter outlives esc")
	}
}
