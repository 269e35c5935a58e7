// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// screen is a terminal of tmux with a shell in it.
type screen struct {
	t      testing.TB
	socket string
}

func startScreen(t testing.TB, width, height int) *screen {
	t.Helper()
	needPrograms(t, "tmux")
	s := &screen{t: t, socket: filepath.Join(sharedDir(t), "tmux")}
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "env PS1='shell> ' sh")
	t.Cleanup(func() { exec.Command("tmux", "-S", s.socket, "kill-server").Run() })
	s.waitFor("shell>")
	return s
}

func (s *screen) tmux(args ...string) string {
	s.t.Helper()
	return run(s.t, "tmux", append([]string{"-S", s.socket}, args...)...)
}

func (s *screen) keys(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

func (s *screen) content() string { s.t.Helper(); return s.tmux("capture-pane", "-p") }

// waitFor waits until the screen shows all of the texts.
func (s *screen) waitFor(texts ...string) {
	s.t.Helper()
	s.wait(strings.Join(texts, ", "), func(content string) bool {
		for _, text := range texts {
			if !strings.Contains(content, text) {
				return false
			}
		}
		return true
	})
}

func (s *screen) wait(what string, ok func(content string) bool) {
	s.t.Helper()
	deadline := time.Now().Add(timeout)
	for !ok(s.content()) {
		if time.Now().After(deadline) {
			s.t.Fatalf("the screen never shows %s:\n%s", what, s.content())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// waitForShell waits until the last line is the shell's prompt.
func (s *screen) waitForShell() {
	s.t.Helper()
	s.wait("the shell's prompt", func(content string) bool {
		lines := strings.Split(strings.TrimSpace(content), "\n")
		return strings.TrimSpace(lines[len(lines)-1]) == "shell>"
	})
}

// wantFits fails where a line is wider than the terminal, which shows as a
// line that wraps and pushes the status line away.
func (s *screen) wantFits() {
	s.t.Helper()
	s.wait("the status line in its first line", func(content string) bool {
		return strings.Contains(strings.SplitN(content, "\n", 2)[0], "h2sniff")
	})
}

// recordedTraffic is a recording of nghttp with nginx.
func recordedTraffic(t testing.TB) string {
	t.Helper()
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 2)
	nginx.file(t, "large", 200_000)
	file := filepath.Join(sharedDir(t), "x.pcapng")
	cmd := exec.Command(h2sniff, "record", "-w", file, "-p", strconv.Itoa(nginx.pid))
	s := startSniffCommand(t, cmd)
	run(t, "nghttp", "-n", nginx.url("/"), nginx.url("/large"), nginx.url("/missing"))
	run(t, "nghttp", "-n", nginx.url("/index.html"))
	s.stop()
	return file
}

// TestSessionOnRecording is a person's session: look, move, filter, get help,
// resize, quit.
func TestSessionOnRecording(t *testing.T) {
	file := recordedTraffic(t)
	for _, size := range [][2]int{{80, 24}, {120, 36}, {200, 60}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			s := startScreen(t, size[0], size[1])
			s.keys(h2sniff+" -r "+file, "Enter")
			s.waitFor("Frames", "Detail", "SETTINGS")
			s.wantFits()
			s.keys("3", "G")
			s.waitFor("closed")
			s.keys("?")
			s.waitFor("Session", "freeze view")
			// An escape with a key right behind it is Alt and that key.
			s.keys("Escape")
			s.wait("no help", func(content string) bool { return !strings.Contains(content, "freeze view") })
			s.keys("/")
			s.keys("13", "Enter")
			s.waitFor(" match ") // there is no first row to go to before
			s.keys("g")
			s.wait("only stream 13", func(content string) bool {
				return strings.Contains(content, "GET /") && strings.Contains(content, ":method") && !strings.Contains(content, "depends on 0")
			})
			s.wantFits()
			s.tmux("resize-window", "-x", "60", "-y", "15")
			s.waitFor("h2sniff")
			s.wantFits()
			s.tmux("resize-window", "-x", "5", "-y", "2")
			s.tmux("resize-window", "-x", strconv.Itoa(size[0]), "-y", strconv.Itoa(size[1]))
			s.waitFor("GET /", ":method")
			s.keys("q")
			s.waitForShell()
			s.keys("echo still $((40+2))", "Enter")
			s.waitFor("still 42")
			if strings.Contains(s.content(), "Frames") {
				t.Errorf("the screen was not given back:\n%s", s.content())
			}
		})
	}
}

// TestSessionLive watches nginx: rows appear, a pause holds the view and not
// the capture, and what is scrolled to stays.
func TestSessionLive(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	s := startScreen(t, 120, 36)
	s.keys(fmt.Sprintf("%s -p %d", h2sniff, nginx.pid), "Enter")
	s.waitFor("LIVE", "FOLLOW", "OpenSSL, 2 processes")
	run(t, "nghttp", "-n", nginx.url("/"))
	s.waitFor("c1", "GOAWAY", "GET /")
	s.keys("Space")
	s.waitFor("PAUSED")
	run(t, "nghttp", "-n", nginx.url("/missing"))
	s.wait("rows that wait", func(content string) bool {
		return strings.Contains(content, "PAUSED") && !strings.Contains(content, "/missing")
	})
	s.keys("Space")
	s.keys("G")
	s.waitFor("c2", "FOLLOW", ":status 404")
	s.keys("3", "Up", "Up")
	s.wait("no FOLLOW", func(content string) bool { return !strings.Contains(content, "FOLLOW") })
	s.keys("q")
	s.waitForShell()
}

// TestNoColor: the selected row has a marker, nothing has a colour.
func TestNoColor(t *testing.T) {
	file := recordedTraffic(t)
	s := startScreen(t, 80, 24)
	s.keys("NO_COLOR=1 "+h2sniff+" -r "+file, "Enter")
	s.waitFor("Frames", "▶")
	if out := s.tmux("capture-pane", "-p", "-e"); strings.Contains(out, "\x1b[3") || strings.Contains(out, "\x1b[4") {
		t.Errorf("colours in spite of NO_COLOR:\n%q", out)
	}
	s.keys("q")
	s.waitForShell()
}
