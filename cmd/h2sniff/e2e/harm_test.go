// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestOnlyTheChosenAreTouched: of two processes with one libssl, the one that
// was not chosen has no probe in its code.
func TestOnlyTheChosenAreTouched(t *testing.T) {
	t.Parallel()
	library := installedLibrary(t, libssl)
	program := peerProgram(t, opensslPeer)
	chosen, other := startPeer(t, program), startPeer(t, program)
	far := listen(t)
	if changed := changedFunctions(t, chosen.pid, library); len(changed) != 0 {
		t.Fatalf("changed before the attach: %v", changed)
	}
	s := startSniff(t, "-p", strconv.Itoa(chosen.pid))
	for range 2 { // before and after a connection
		if changed := changedFunctions(t, chosen.pid, library); !probed(changed) {
			t.Errorf("in the chosen process only %v are changed", changed)
		}
		if changed := changedFunctions(t, other.pid, library); len(changed) != 0 {
			t.Errorf("in the other process %v are changed", changed)
		}
		for _, p := range []*peer{chosen, other} {
			conn := far.connect(p, "open")
			w := newWire()
			w.preface()
			conn.take(p, w.take())
			p.do("close")
		}
	}
	rows := s.stop()
	for _, r := range rows {
		if r.PID != chosen.pid {
			t.Fatalf("row %d is of process %d", r.Seq, r.PID)
		}
	}
	if n := len(conns(rows, "")); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	wantUntouched(t, []int{chosen.pid})
}

// TestSeccomp: a process whose filter forbids what it does not know lives on.
func TestSeccomp(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	p.do("seccomp")
	far := listen(t)
	for range 3 {
		_, _, sent := far.begin(p)
		s.waitFor("its frames", func(rows []row) bool { return len(frames(rows, "", "")) >= len(sent) })
		p.do("close")
	}
	p.end() // fails where it was killed
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantExact(t, rows)
	if n := len(conns(rows, "")); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// load keeps h2load at work on a server until the test ends, and fails if a
// request does.
type load struct {
	t        testing.TB
	stop     atomic.Bool
	done     chan error
	requests int
}

func startLoad(t testing.TB, url string) *load {
	l := &load{t: t, done: make(chan error, 1)}
	go func() {
		const requests = 2000
		for !l.stop.Load() {
			out, err := exec.Command("h2load", "-n", strconv.Itoa(requests), "-c", "10", "-m", "10", url).CombinedOutput()
			if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d succeeded, 0 failed, 0 errored, 0 timeout", requests)) {
				l.done <- fmt.Errorf("h2load: %v\n%s", err, out)
				return
			}
			l.requests += requests
		}
		l.done <- nil
	}()
	t.Cleanup(func() { l.stop.Store(true) })
	return l
}

func (l *load) wantNoFailure() {
	l.t.Helper()
	l.stop.Store(true)
	select {
	case err := <-l.done:
		if err != nil {
			l.t.Error(err)
		}
		l.t.Logf("%d requests", l.requests)
	case <-time.After(timeout):
		l.t.Error("h2load does not end")
	}
}

// wantUntouched waits until no process has a probe in its code. The kernel
// may take probes away a little after the process that placed them.
func wantUntouched(t testing.TB, pids []int) {
	t.Helper()
	library := installedLibrary(t, libssl)
	waitUntil(t, "the code to be as before", func() bool {
		for _, pid := range pids {
			if len(changedFunctions(t, pid, library)) > 0 {
				return false
			}
		}
		return true
	})
}

// workersOf waits until a server has started all of its workers.
func workersOf(t testing.TB, s *server, n int) (pids []int) {
	t.Helper()
	waitUntil(t, "the workers", func() bool {
		pids = children(t, s.pid)
		return len(pids) == n
	})
	return pids
}

// TestSignalsUnderLoad: h2sniff is ended in several ways while nginx works.
func TestSignalsUnderLoad(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	nginx := startNginx(t, 2)
	workers := workersOf(t, nginx, 2)
	l := startLoad(t, nginx.url("/"))
	for _, end := range []struct {
		signal syscall.Signal
		status int
	}{
		{syscall.SIGTERM, 0},
		{syscall.SIGINT, 0},
		{syscall.SIGQUIT, 2}, // the Go runtime ends it as it does after a panic
		{syscall.SIGKILL, -1},
	} {
		s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
		s.waitFor("frames", func(rows []row) bool { return len(rows) > 1000 })
		if err := s.cmd.Process.Signal(end.signal); err != nil {
			t.Fatal(err)
		}
		s.wait()
		if code := s.cmd.ProcessState.ExitCode(); code != end.status {
			t.Errorf("%v: exit status %d, want %d\n%s", end.signal, code, end.status, s.errors())
		}
		wantUntouched(t, workers)
	}
	l.wantNoFailure()
	if now := children(t, nginx.pid); !slices.Equal(now, workers) {
		t.Errorf("workers %v, before %v", now, workers)
	}
}

// TestAttachAndDetachRepeatedly: every other time h2sniff is killed at another
// moment of its beginning. The last time it is not: Linux (6.18, uprobe_register
// with SIGKILL pending) can leave breakpoints behind that nobody is told of any
// more, for the next one to take along.
func TestAttachAndDetachRepeatedly(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	nginx := startNginx(t, 2)
	workers := workersOf(t, nginx, 2)
	l := startLoad(t, nginx.url("/"))
	times := 21
	if share := soakShare(t); share > 0 {
		times = 2*int(500*share) + 1 // odd: the last one is not killed
	}
	for i := range times {
		if i%2 == 0 {
			s := launchSniff(t, exec.Command(h2sniff, "dump", "--format", "json", "-n", "100", "-p", strconv.Itoa(nginx.pid)))
			s.wait()
			if n := len(frames(s.snapshot(), "", "")); n != 100 || s.cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("%d frames, exit status %d\n%s", n, s.cmd.ProcessState.ExitCode(), s.errors())
			}
			continue
		}
		cmd := exec.Command(h2sniff, "dump", "-p", strconv.Itoa(nginx.pid))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%21) * 10 * time.Millisecond) // not a wait for something: any moment will do
		cmd.Process.Kill()
		cmd.Wait()
	}
	wantUntouched(t, workers)
	l.wantNoFailure()
	if now := children(t, nginx.pid); !slices.Equal(now, workers) {
		t.Errorf("workers %v, before %v", now, workers)
	}
}
