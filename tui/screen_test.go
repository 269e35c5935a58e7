// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"
	"github.com/muesli/termenv"
)

// update says whether to write the golden screens anew: teatest has defined the
// flag for its own.
func update() bool { return flag.Lookup("update").Value.String() == "true" }

// renderer is one for a terminal with colours, or without.
func renderer(colours bool) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(io.Discard)
	if colours {
		r.SetColorProfile(termenv.ANSI256)
	} else {
		r.SetColorProfile(termenv.Ascii)
	}
	return r
}

// newScreen is a UI of st at a size, after its first tick.
func newScreen(st *store.Store, w, h int, o Options) *Model {
	if o.Renderer == nil {
		o.Renderer = renderer(false)
	}
	m := newModel(context.Background(), st, o)
	do(m, tea.WindowSizeMsg{Width: w, Height: h}, tickMsg(time.Unix(1000, 0)))
	return m
}

// do hands messages to the UI, and all that is then done beside it: it comes
// to its end before the next message.
func do(m *Model, msgs ...tea.Msg) *Model {
	for _, msg := range msgs {
		m.take(msg)
		for cmds := m.handed(); len(cmds) > 0; cmds = m.handed() {
			for _, cmd := range cmds {
				msg := cmd()
				if p, ok := msg.(*PanicError); ok {
					panic(p)
				}
				m.take(msg)
			}
		}
	}
	return m
}

// press sends keys by their names, apart by spaces: "j pgdown ctrl+u enter".
func press(m *Model, keys string) *Model {
	for name := range strings.FieldsSeq(keys) {
		do(m, keyMsg(name))
	}
	return m
}

var specialKeys = map[string]tea.KeyType{
	"up": tea.KeyUp, "down": tea.KeyDown, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown,
	"left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab,
	"enter": tea.KeyEnter, "esc": tea.KeyEsc, "backspace": tea.KeyBackspace,
	"ctrl+u": tea.KeyCtrlU, "ctrl+d": tea.KeyCtrlD, "ctrl+c": tea.KeyCtrlC,
	"ctrl+b": tea.KeyCtrlB, "ctrl+f": tea.KeyCtrlF, "ctrl+n": tea.KeyCtrlN, "ctrl+p": tea.KeyCtrlP,
}

func keyMsg(name string) tea.KeyMsg {
	if t, ok := specialKeys[name]; ok {
		return tea.KeyMsg{Type: t}
	}
	if name == "space" {
		return tea.KeyMsg{Type: tea.KeySpace, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// checkScreen fails unless the screen keeps to its size and holds nothing that
// acts on a terminal but colours.
func checkScreen(m *Model) error {
	view := m.View()
	if m.width <= 0 || m.height <= 0 {
		if view != "" {
			return fmt.Errorf("a screen of %dx%d shows %q", m.width, m.height, view)
		}
		return nil
	}
	if !utf8.ValidString(view) {
		return fmt.Errorf("not UTF-8: %q", view)
	}
	lines := strings.Split(view, "\n")
	if len(lines) > m.height {
		return fmt.Errorf("%d lines on %d", len(lines), m.height)
	}
	for i, line := range lines {
		plain := withoutColours(line)
		for _, r := range plain {
			if !unicode.IsPrint(r) {
				return fmt.Errorf("line %d holds %U: %q", i, r, line)
			}
		}
		if w := max(ansi.StringWidth(plain), ansi.StringWidthWc(plain)); w > m.width {
			return fmt.Errorf("line %d takes %d cells of %d: %q", i, w, m.width, plain)
		}
	}
	return nil
}

// withoutColours takes SGR sequences out of a line, and nothing else.
func withoutColours(line string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(line, "\x1b[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		n := strings.IndexFunc(after, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
		if n < 0 || after[n] != 'm' {
			b.WriteString("\x1b[") // something else: leave it for the caller to find
			n = -1
		}
		line = after[n+1:]
	}
}

// golden compares a screen with the file of that name.
func golden(t *testing.T, name string, m *Model) {
	t.Helper()
	// How long a filter took is another in each run.
	if m.filter != nil {
		m.filter.far.Took = 0
	}
	if m.typing != nil && m.typing.preview != nil {
		m.typing.preview.far.Took = 0
	}
	m.dirty = true
	if err := checkScreen(m); err != nil {
		t.Error(err)
	}
	got := m.View() + "\n"
	// Colours are kept readable.
	got = strings.ReplaceAll(got, "\x1b[", "\u241b[")
	path := filepath.Join("testdata", name+".golden")
	if update() {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./tui -update writes it)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s: -want +got\n%s", path, diff)
	}
}

func TestGoldenScreens(t *testing.T) {
	st := sample(t).st
	live := Options{Live: true, Source: "nginx (3 processes)", Status: func() Status {
		return Status{Text: "OpenSSL: /usr/lib/x86_64-linux-gnu/libssl.so.3, 3 processes"}
	}}
	file := Options{Source: "sample.pcapng", Status: func() Status { return Status{Done: true} }}
	failed, ended, taking := live, live, file
	failed.Status = func() Status {
		return Status{Err: errors.New("reading the ring buffer: input/output error"), Done: true}
	}
	ended.Status = func() Status { return Status{Text: "curl has ended", Done: true, Recording: "/tmp/x.pcapng"} }
	taking.Write = func(*Take) (string, error) { return "", errors.New("x.har is there already: choose another name") }
	narrowed := live
	narrowed.Stream, narrowed.HasStream = 17, true
	screens := []struct {
		name string
		o    Options
		keys string
	}{
		{"live", live, ""},
		{"file", file, ""},
		{"headers", file, "j j j j j j j j j 4"},
		{"settings", file, "j j j"},
		{"hpack", file, "j j j j j j j j j j j j h"},
		{"hpack-attached", live, "G k k k k k k k k k k h"},
		{"goaway", live, "3 k k k"},
		{"attached", file, "G k k k k k k k k k k"},
		{"malformed", file, "G k k k k k k"},
		{"push", file, "G k k k k k k k k k k k k k k k k k"},
		{"connections", live, "1 g"},
		{"streams", live, "1 g enter"},
		{"stream", live, "1 g enter j j enter"},
		{"hex", live, "1 g enter g j enter G 4 G"},
		{"narrowed", narrowed, ""},
		{"nothing", file, "/ 9 9 9 enter"},
		{"paused", live, "space"},
		{"prompt", live, "/"},
		{"prompt-count", live, "/ t y p e = = D A T A"},
		{"prompt-error", live, "/ s t r e a m = x"},
		{"prompt-choice", live, "/ s t tab tab"},
		{"filtered", file, "/ t y p e = = D A T A enter"},
		{"search", file, "ctrl+f i t e m s"},
		{"found", file, "ctrl+f i t e m s enter n"},
		{"problem", file, "e"},
		{"command", live, ":"},
		{"command-choice", live, ": t tab tab"},
		{"marked", file, "j j m a"},
		{"columns", file, "C j j space"},
		{"columns-streams", live, "2 C"},
		{"copy", file, "j j j y"},
		{"not-written", taking, "w x . h a r enter"},
		{"failed", failed, "j"},
		{"ended", ended, ""},
		{"only-stream", file, "3 j j j j j j j j s j"},
		{"detail-zoomed", file, "e 4 z"},
		{"found-hex", file, "ctrl+f 0 x 0 1 0 2 0 3 enter"},
		{"sorted", live, "1 S S"},
		{"sorted-streams", live, "1 g enter S S S S S S"},
		{"help", live, "?"},
		{"zoomed", live, "z"},
		{"rows", live, "|"},
		{"beside", live, "| |"},
	}
	sizes := []struct{ w, h int }{{80, 24}, {120, 36}, {200, 60}}
	for _, s := range screens {
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", s.name, size.w, size.h)
			t.Run(name, func(t *testing.T) {
				o := s.o
				golden(t, name, press(newScreen(st, size.w, size.h, o), s.keys))
				o.Renderer = renderer(true)
				golden(t, name+"-colours", press(newScreen(st, size.w, size.h, o), s.keys))
			})
		}
	}
	for _, theme := range themeNames() {
		t.Run("theme-"+theme, func(t *testing.T) {
			o := live
			o.Config.Theme, o.Renderer = theme, renderer(true)
			golden(t, "theme-"+theme+"-120x36", newScreen(st, 120, 36, o))
		})
	}
}

// What goes on beside the UI is on the screen.
func TestGoldenProgress(t *testing.T) {
	st := sample(t).st
	for _, size := range []struct{ w, h int }{{80, 24}, {120, 36}, {200, 60}} {
		for suffix, colours := range map[string]bool{"": false, "-colours": true} {
			m := newScreen(st, size.w, size.h, Options{Source: "sample.pcapng", Renderer: renderer(colours),
				Status: func() Status { return Status{Done: true} }, Write: func(*Take) (string, error) { return "", nil }})
			for key := range strings.FieldsSeq("w x . h a r enter j") {
				m.take(keyMsg(key)) // and the file is being written
			}
			golden(t, fmt.Sprintf("writing-%dx%d%s", size.w, size.h, suffix), m)
		}
	}
}

func TestGoldenSmallScreens(t *testing.T) {
	st := sample(t).st
	for _, size := range []struct{ w, h int }{{40, 12}, {30, 6}, {20, 4}, {60, 10}, {3, 14}, {1, 1}, {100, 15}} {
		name := fmt.Sprintf("small-%dx%d", size.w, size.h)
		t.Run(name, func(t *testing.T) {
			golden(t, name, newScreen(st, size.w, size.h, Options{Live: true, Source: "nginx"}))
		})
	}
}

func TestGoldenEmpty(t *testing.T) {
	o := Options{Live: true, Source: "nginx", Status: func() Status {
		return Status{Text: "waiting for a process named nginx"}
	}}
	golden(t, "empty-80x24", newScreen(store.New(store.Options{}), 80, 24, o))
}
