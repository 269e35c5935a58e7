// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"strings"
	"testing"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// beside are commands that were handed over and have not been run: each is one
// that Bubble Tea would have a goroutine for.
type beside struct {
	m    *Model
	cmds []tea.Cmd
}

// key presses a key and keeps what is to be done beside the UI.
func (s *beside) key(name string) {
	s.m.take(keyMsg(name))
	s.cmds = append(s.cmds, s.m.handed()...)
}

// run runs the oldest slice, and hands over its end.
func (s *beside) run() {
	cmd := s.cmds[0]
	s.cmds = s.cmds[1:]
	s.m.take(cmd())
	s.cmds = append(s.cmds, s.m.handed()...)
}

// TestWork: of one kind one slice at a time, the newest work next, and no
// result of a work that nobody waits for.
func TestWork(t *testing.T) {
	s := beside{m: newScreen(store.New(store.Options{}), 80, 24, Options{})}
	var ran, got []string
	want := func(kind workKind, key string) {
		if s.m.wants(kind, key) {
			return
		}
		beginOnce(s.m, kind, &work{key: key}, func(ctx context.Context) string {
			if ctx.Err() == nil {
				ran = append(ran, key)
			}
			return key
		}, func(_ *Model, result string) { got = append(got, result) })
		s.cmds = append(s.cmds, s.m.handed()...)
	}
	check := func(wantRan, wantGot string, cmds int) {
		t.Helper()
		if r, g := strings.Join(ran, " "), strings.Join(got, " "); r != wantRan || g != wantGot || len(s.cmds) != cmds {
			t.Fatalf("ran %q, got %q, %d slices; want %q, %q, %d", r, g, len(s.cmds), wantRan, wantGot, cmds)
		}
	}
	want(workDetail, "a")
	want(workDetail, "a") // is on its way
	want(workDetail, "b")
	want(workDetail, "c")
	check("", "", 1)
	want(workMarks, "another kind")
	check("", "", 2)
	s.run() // a, which was ended; then c
	check("", "", 2)
	s.run()
	check("another kind", "another kind", 1)
	s.run()
	check("another kind c", "another kind c", 0)
	want(workDetail, "c") // again, since it is over
	s.run()
	check("another kind c c", "another kind c c", 0)
	want(workDetail, "d")
	s.m.end(workDetail)
	s.run()
	check("another kind c c", "another kind c c", 0)
}

// TestWriteIsNotEndedSilently: nothing but esc, or q twice, ends a file that is
// being written, and then it is told.
func TestWriteIsNotEndedSilently(t *testing.T) {
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	type call struct {
		take *Take
		err  error // of reading the rows
	}
	var calls []call
	start := func() *beside {
		calls = nil
		var out strings.Builder
		s := &beside{m: newScreen(sample(t).st, 80, 24, Options{Terminal: &out, Write: func(w *Take) (string, error) {
			err := w.Rows(func(*store.Entry) error { return nil })
			calls = append(calls, call{w, err})
			return "written to " + w.Path, err
		}})}
		for _, k := range []string{"w", "x", ".", "h", "a", "r", "enter"} {
			s.key(k)
		}
		return s
	}

	s := start()
	if p := s.m.progress(); !strings.HasPrefix(p, "writing x.har") || len(s.cmds) != 1 {
		t.Fatalf("progress %q, %d slices", p, len(s.cmds))
	}
	s.key("y")
	s.key("j")
	for _, k := range []string{"w", "y", ".", "h", "a", "r", "enter"} {
		s.key(k)
	}
	if s.m.typing == nil || !strings.Contains(s.m.View(), "writing x.har goes on: one file at a time") {
		t.Errorf("a second file is begun:\n%s", s.m.View())
	}
	s.key("esc") // the prompt
	for _, k := range []string{"q", "j", "4", "3", "1"} {
		s.key(k)
		if k == "q" && !strings.Contains(s.m.notice, "q again ends it") {
			t.Errorf("q says %q", s.m.notice)
		}
	}
	if len(s.cmds) != 2 {
		t.Fatalf("%d slices, not the file and the copy", len(s.cmds))
	}
	s.cmds[0], s.cmds[1] = s.cmds[1], s.cmds[0]
	s.run()
	if !strings.Contains(s.m.notice, "copied as JSON") {
		t.Errorf("the copy says %q", s.m.notice)
	}
	s.run()
	if len(calls) != 1 || calls[0].err != nil || s.m.notice != "written to x.har" {
		t.Errorf("%+v, notice %q", calls, s.m.notice)
	}

	s = start()
	s.key("esc")
	s.run()
	if len(calls) != 0 || !strings.Contains(s.m.notice, "not written") || !s.m.noticeAlarm || s.m.progress() != "" {
		t.Errorf("after esc: %+v, notice %q, progress %q", calls, s.m.notice, s.m.progress())
	}

	s = start()
	quits := func(key string) bool {
		cmd := s.m.take(keyMsg(key))
		if cmd == nil {
			return false
		}
		_, ok := cmd().(tea.QuitMsg)
		return ok
	}
	if quits("q") || !quits("q") {
		t.Error("q quits at once, or not at the second time")
	}
	s = start()
	for _, k := range []string{":", "q", "u", "i", "t", "enter"} {
		s.key(k)
	}
	if len(s.cmds) != 1 || !strings.Contains(s.m.notice, "q again ends it") {
		t.Errorf(":quit ends the file: %d commands, notice %q", len(s.cmds), s.m.notice)
	}
	s = start()
	if quits("ctrl+c") || !quits("ctrl+c") {
		t.Error("^c quits at once, or not at the second time")
	}
}
