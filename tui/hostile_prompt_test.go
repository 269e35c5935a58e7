// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

var promptBegins = []string{"", `path contains "`, `comm=="`, "filter ", "search ", "goto ", "theme ", "columns ", "save ", "record "}

// tryPrompts hands a text to every prompt, as a paste and as what is in the
// history, and looks at the screen after each step.
func tryPrompts(t *testing.T, m *Model, text string, begins ...string) {
	t.Helper()
	check := func(where string) {
		t.Helper()
		if err := checkScreen(m); err != nil {
			t.Fatalf("%s at %dx%d: %v", where, m.width, m.height, err)
		}
	}
	runes := []rune(text[:min(len(text), 3000)])
	for kind, open := range [numPrompts]string{"/", "ctrl+f", ":"} {
		for _, before := range begins {
			press(m, open)
			if m.typing == nil {
				t.Fatalf("%s opens no prompt", open)
			}
			press(m, "ctrl+u")
			typeText(m, before)
			do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: runes, Paste: true})
			check("typed after " + before)
			press(m, "tab")
			check("tab")
			press(m, "tab home tab end left left")
			check("moved")
			press(m, "enter")
			check("entered")
			press(m, "esc esc esc esc")
			check("left")
		}
		m.history[kind].add(text)
		press(m, open+" up up down")
		check("recalled")
		press(m, "esc esc")
	}
	for _, keys := range []string{"e", "n", "N", "r", "o", "m x", "' x", "S", "1 C", "esc", "? esc"} {
		press(m, keys)
		check(keys)
	}
}

// What a peer sent is offered by completions, and what is typed is shown again:
// neither acts on the terminal.
func TestHostilePrompts(t *testing.T) {
	for name, s := range hostile {
		if len(s) > 1<<12 {
			s = s[:1<<12]
		}
		t.Run(name, func(t *testing.T) {
			m := newScreen(hostileStore(s), 80, 24, Options{Source: s, Config: Config{Filters: map[string]string{s: s}}, Record: func(path string) (string, error) {
				return path, nil
			}})
			tryPrompts(t, m, s, promptBegins...)
		})
	}
}

func FuzzPrompts(f *testing.F) {
	for _, s := range hostile {
		if len(s) < 1000 {
			f.Add(s, uint8(80), uint8(24), uint8(len(s)))
		}
	}
	f.Add("\x1b", uint8(80), uint8(54), uint8(11)) // offered, and cannot be typed
	f.Fuzz(func(t *testing.T, s string, w, h, begin uint8) {
		if len(s) > 500 {
			return
		}
		tryPrompts(t, newScreen(hostileStore(s), int(w)%130, int(h)%40, Options{Source: s}), s, promptBegins[int(begin)%len(promptBegins)])
	})
}
