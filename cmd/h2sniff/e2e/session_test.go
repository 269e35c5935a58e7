// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// home makes the session's programs use a home of its own.
func (s *screen) home() string {
	s.t.Helper()
	dir := s.t.TempDir()
	s.keys("export HOME="+dir+"; unset XDG_CONFIG_HOME XDG_STATE_HOME; clear; echo moved $((40+2))", "Enter")
	s.waitFor("moved 42")
	s.waitForShell()
	return dir
}

// back waits until the shell answers, after a program that may have taken what
// was typed.
func (s *screen) back() {
	s.t.Helper()
	s.wait("a shell that answers", func(content string) bool {
		s.keys("Enter")
		return strings.HasSuffix(strings.TrimSpace(content), "shell>\nshell>")
	})
	s.cleared()
}

// cleared empties the screen of a shell that answers.
func (s *screen) cleared() {
	s.t.Helper()
	s.keys("clear", "Enter")
	s.wait("the prompt alone", func(content string) bool { return strings.TrimSpace(content) == "shell>" })
}

// typed types a text as it is, whatever tmux would take it for.
func (s *screen) typed(text string) { s.t.Helper(); s.tmux("send-keys", "-l", text) }

// modes are the terminal's settings as the shell sees them.
func (s *screen) modes() string {
	s.t.Helper()
	s.keys("clear; stty -a", "Enter")
	s.waitFor("echoke")
	s.waitForShell()
	_, modes, _ := strings.Cut(s.content(), "\n")   // below the command, wherever that stands
	return strings.Join(strings.Fields(modes), " ") // stty breaks lines by COLUMNS
}

// TestPersonsSession finds, filters, jumps and looks, and leaves the terminal as
// it was.
func TestPersonsSession(t *testing.T) {
	file := recordedTraffic(t)
	for _, term := range []string{"screen-256color", "xterm", "screen"} {
		t.Run(term, func(t *testing.T) {
			s := startScreen(t, 120, 36)
			home := s.home()
			before := s.modes()
			s.keys("clear; TERM="+term+" "+h2sniff+" -r "+file, "Enter")
			s.waitFor("Frames", "Detail", "SETTINGS")
			if out := s.tmux("capture-pane", "-p", "-e"); !strings.Contains(out, "\x1b[36m") {
				t.Errorf("no colours:\n%q", out)
			}

			s.keys("/")
			s.typed("statu")
			s.keys("Tab")
			s.waitFor("/ status▏")
			s.typed("==")
			s.waitFor("…", "status==▏") // not finished, not wrong
			s.typed("40x")
			s.waitFor("✗ at 9")
			s.keys("BSpace")
			s.typed("4")
			s.waitFor("✓ 1 match")
			s.keys("Enter")
			s.waitFor("/ status==404", "1 row of", ":status 404")
			s.wantFits()

			s.keys("r") // its request, which the filter does not let pass
			s.waitFor("GET /missing", "was not among those shown")
			s.keys("Escape")
			s.waitFor("1 row of")
			s.keys("Escape")
			s.wait("no filter", func(content string) bool { return !strings.Contains(content, "/ status==404") })

			s.keys("C-f")
			s.typed("missing")
			s.keys("Enter")
			s.waitFor("match of missing 1 of")
			s.keys("m", "a")
			s.waitFor("is mark a")
			s.keys("g")
			s.keys("Space")
			s.waitFor("PAUSED")
			s.keys("Space")
			s.wait("no pause", func(content string) bool { return !strings.Contains(content, "PAUSED") })
			s.keys("'", "a")
			s.waitFor("GET /missing")
			s.keys("o")
			s.waitFor(":status 404")

			s.tmux("resize-window", "-x", "80", "-y", "24")
			s.waitFor("[3 Frames", ":status 404")
			s.wantFits()
			s.keys("z")
			s.wait("the frames alone", func(content string) bool { return !strings.Contains(content, "╭─4 Detail #") })
			s.keys("z", ":")
			s.typed("theme mono")
			s.keys("Enter", ":")
			s.typed("goto 1")
			s.keys("Enter")
			s.waitFor("#1 open")
			s.tmux("resize-window", "-x", "120", "-y", "36")
			s.waitFor("1 Connections")

			s.keys(":")
			s.typed("quit")
			s.keys("Enter")
			s.back()
			if after := s.modes(); after != before {
				t.Errorf("terminal modes\n%s\nbefore\n%s", after, before)
			}
			lines, err := os.ReadFile(filepath.Join(home, ".local/state/h2sniff/filters"))
			if err != nil || string(lines) != "status==404\n" {
				t.Errorf("the history of filters: %q, %v", lines, err)
			}
		})
	}
}

// A terminal that cannot move its cursor gets lines.
func TestDumbTerminal(t *testing.T) {
	file := recordedTraffic(t)
	s := startScreen(t, 120, 36)
	s.keys("TERM=dumb "+h2sniff+" -r "+file, "Enter")
	s.waitFor("GOAWAY") // the prompt is there before the command is, too
	s.waitForShell()
	if content := s.content(); strings.Contains(content, "╭") {
		t.Errorf("not lines:\n%s", content)
	}
}

// A configuration is heeded, and a mistake in it is told before anything starts.
func TestConfiguration(t *testing.T) {
	file := recordedTraffic(t)
	s := startScreen(t, 120, 36)
	config := filepath.Join(s.home(), ".config/h2sniff/config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("layout = \"rows\"\n[keys]\nquit = \"Q\"\n[filters]\nlost = \"status==404\"\n")
	s.keys(h2sniff+" -r "+file, "Enter")
	s.waitFor("[3 Frames")
	s.keys("/")
	s.typed("@lost")
	s.keys("Enter")
	s.waitFor("1 row of")
	s.keys("q", "Q")
	s.back()
	write("[keys]\nquit = \"Q\"\nquti = \"q\"\n")
	s.keys("clear; "+h2sniff+" -r "+file, "Enter")
	s.wait("the mistake", func(content string) bool {
		return strings.Contains(strings.ReplaceAll(content, "\n", ""), `config.toml, line 3: no action "quti"`)
	})
	s.waitForShell()
}
