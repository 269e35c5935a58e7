// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stopped waits until the shell says that its job has stopped, and clears the
// screen.
func (s *screen) stopped() {
	s.t.Helper()
	s.waitFor("Stopped", "shell>")
	s.waitForShell()
}

// job is the pid of what the shell runs.
func (s *screen) job() int {
	s.t.Helper()
	shell := strings.TrimSpace(s.tmux("display-message", "-p", "#{pane_pid}"))
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", shell, shell))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		s.t.Fatalf("the children of the shell: %q", children)
	}
	return pid
}

// hasMouse says whether the program in the terminal asked for the mouse.
func (s *screen) hasMouse() bool {
	s.t.Helper()
	return strings.TrimSpace(s.tmux("display-message", "-p", "#{mouse_any_flag}")) == "1"
}

// TestSuspend: Ctrl-Z and a signal give the shell its terminal as it was, fg
// comes back to the screen, and what was captured meanwhile is there.
func TestSuspend(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	s := startScreen(t, 120, 36)
	before := s.modes()
	s.keys(fmt.Sprintf("clear; %s -p %d", h2sniff, nginx.pid), "Enter")
	s.waitFor("LIVE", "OpenSSL, 2 processes")
	job := s.job()
	for i, stop := range []func(){
		func() { s.keys("C-z") },
		func() { s.keys("/", "C-z") }, // while a line is typed
		func() { syscall.Kill(job, syscall.SIGTSTP) },
	} {
		s.wait("the mouse", func(string) bool { return s.hasMouse() })
		stop()
		s.stopped()
		if s.hasMouse() || strings.Contains(s.content(), "Frames") {
			t.Errorf("stop %d: the terminal was not given back:\n%s", i, s.content())
		}
		if after := s.modes(); after != before {
			t.Errorf("stop %d: terminal modes\n%s\nbefore\n%s", i, after, before)
		}
		run(t, "nghttp", "-n", nginx.url(fmt.Sprintf("/while-stopped-%d", i)))
		s.keys("clear; fg", "Enter")
		s.waitFor("LIVE", fmt.Sprintf("while-stopped-%d", i))
		if i == 1 {
			s.keys("Escape") // the line is still being typed
			s.wait("no prompt", func(content string) bool { return !strings.Contains(content, "▏") })
		}
	}
	s.keys("C-z")
	s.stopped()
	s.keys("clear; bg; echo in the background $((40+2))", "Enter")
	s.waitFor("background 42")
	run(t, "nghttp", "-n", nginx.url("/in-background"))
	s.waitForShell()
	s.keys("clear; fg", "Enter")
	s.waitFor("LIVE", "in-background")
	s.keys("C-z")
	s.stopped()
	viewer := viewerOf(t, job)
	// The shell is not told to wait: dash can miss the end of a job meanwhile.
	s.keys("clear; kill %1; kill -CONT %1", "Enter")
	waitUntil(t, "the viewer's end", func() bool { return hasEnded(viewer) })
	waitUntil(t, "the job's end", func() bool { return hasEnded(job) })
	s.wait("the job's end, before a prompt", func(content string) bool {
		s.keys("Enter")
		return strings.Contains(content, "Done")
	})
	s.cleared()
	if after := s.modes(); after != before {
		t.Errorf("terminal modes at the end\n%s\nbefore\n%s", after, before)
	}
}

// TestSuspendRecording: the same where there is one process only.
func TestSuspendRecording(t *testing.T) {
	file := recordedTraffic(t)
	s := startScreen(t, 80, 24)
	before := s.modes()
	s.keys("clear; "+h2sniff+" -r "+file, "Enter")
	s.waitFor("FILE", "SETTINGS")
	s.keys("C-z")
	s.stopped()
	if after := s.modes(); after != before {
		t.Errorf("terminal modes\n%s\nbefore\n%s", after, before)
	}
	s.keys("clear; fg", "Enter")
	s.waitFor("FILE", "SETTINGS")
	s.keys("q")
	s.back()
	// Where no shell could continue it, it goes on.
	s.keys("clear; exec "+h2sniff+" -r "+file, "Enter")
	s.waitFor("FILE", "SETTINGS")
	s.keys("C-z", "?")
	s.waitFor("freeze view")
}
