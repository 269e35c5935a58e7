// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestUnderDebuggers: a server that strace or gdb traces too, from before the
// attach or after it, goes on without a failed request, and is seen.
func TestUnderDebuggers(t *testing.T) {
	needPrograms(t, "h2load", "strace", "gdb")
	t.Parallel()
	nginx := startNginx(t, 1)
	worker := workersOf(t, nginx, 1)[0]
	l := startLoad(t, nginx.url("/"))
	for name, argv := range map[string][]string{
		"strace": {"strace", "-f", "-o", "/dev/null", "-p", strconv.Itoa(worker)},
		"gdb":    {"gdb", "-nx", "-batch", "-ex", "handle all nostop noprint pass", "-ex", "continue", "-p", strconv.Itoa(worker)},
	} {
		for _, first := range []bool{true, false} {
			var s *sniff
			if !first {
				s = startSniff(t, "-p", strconv.Itoa(nginx.pid))
			}
			stop := startDebugger(t, worker, argv)
			if first {
				s = startSniff(t, "-p", strconv.Itoa(nginx.pid))
			}
			n := len(s.snapshot())
			s.waitFor("frames under "+name, func(rows []row) bool { return len(rows) > n+200 })
			stop()
			n = len(s.snapshot())
			s.waitFor("frames after "+name, func(rows []row) bool { return len(rows) > n+200 })
			s.stop()
			wantUntouched(t, []int{worker})
		}
	}
	l.wantNoFailure()
	if now := children(t, nginx.pid); !slices.Equal(now, []int{worker}) {
		t.Errorf("worker %v, before %d", now, worker)
	}
}

// startDebugger lets a debugger trace a process until stop is called.
func startDebugger(t *testing.T, pid int, argv []string) (stop func()) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	var out lockedBuilder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	waitUntil(t, argv[0]+" to trace", func() bool { return procStatus(t, pid, "TracerPid") != "0" })
	return func() {
		t.Helper()
		cmd.Process.Signal(syscall.SIGTERM)
		if argv[0] == "gdb" { // it waits for its inferior, and leaves it when interrupted
			cmd.Process.Signal(syscall.SIGINT)
		}
		done := make(chan struct{})
		go func() {
			cmd.Wait()
			close(done)
		}()
		select {
		case <-done:
		case <-time.After(timeout):
			cmd.Process.Kill()
			t.Errorf("%s does not end:\n%s", argv[0], out.String())
		}
	}
}

// TestLibraryUnloaded: a process that loads and unloads a TLS library lives on,
// and what it does with another one is seen.
func TestLibraryUnloaded(t *testing.T) {
	t.Parallel()
	p := python(t, "socket")
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	p.do("unload " + privateLibrary(t, libssl) + " 50")
	_, _, sent := listen(t).begin(p)
	s.waitFor("its frames", func(rows []row) bool { return len(frames(rows, "", "send")) == len(sent) })
	p.do("close")
	wantClean(t, s.stop())
}
