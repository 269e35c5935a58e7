// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestScreens makes the pictures of the README from what the terminal shows of
// the demonstration: make screens. Without a folder to put them in it only looks
// whether the screens come.
func TestScreens(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("H2SNIFF_SCREENS")
	const width, height = 120, 36
	s := startScreen(t, width, height)
	s.tmux("set-option", "-g", "default-terminal", "tmux-256color")
	s.keys("TERM=tmux-256color "+h2sniff+" demo", "Enter")
	s.waitFor("Connections", "goodbye") // one time through all that the demonstration does
	s.keys("Space")
	s.waitFor("PAUSED")
	for _, picture := range []struct {
		name  string
		keys  []string
		shows []string
	}{
		{"overview", []string{"1", "g", "Enter", "3", "/", `path=="/api/orders"`, "Enter", "s", ":", "filter", "Enter", "3", "g", "4", "j", "j", "j", "j"},
			[]string{"POST /api/orders", "[Headers]", ":path"}},
		{"body", []string{"]", "]", "3"}, []string{"[Body]", "request body", `"item"`}},
		{"waterfall", []string{"Escape", "Escape", "Escape", "Escape", "1", "g", "Enter", "W"}, []string{"Ticker/Watch", "◆", "✗", "░"}},
		{"flow", []string{"W", "/", `path=="/export.csv"`, "Enter", "s", ":", "filter", "Enter", "3", "g", "j", "j", "j", "j", "j", "j", "j", "j", "]", "]"}, []string{"[Flow]", "held up"}},
	} {
		for _, key := range picture.keys {
			s.keys(key)
			time.Sleep(50 * time.Millisecond) // an escape with a key right behind it is Alt and that key
		}
		s.waitFor(picture.shows...)
		s.wantFits()
		if folder == "" {
			continue
		}
		svg := svgOf(s.tmux("capture-pane", "-p", "-e", "-N"), width, height)
		if err := os.WriteFile(filepath.Join(folder, picture.name+".svg"), []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.keys("q")
	s.waitForShell()
}
