// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leavingProcess returns a process that has begun to end and cannot: the first
// one of a pid namespace waits until every other has been waited for, and the
// parent of one of them, outside, is stopped. letGo ends it.
func leavingProcess(t *testing.T) (pid int, letGo func()) {
	t.Helper()
	first := exec.Command(python(t), "-c", "open('/proc/self/comm', 'w').write('h2s-leaving'); print(flush=True); import time; time.sleep(600)")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	pid = first.Process.Pid
	outside := exec.Command(command(t, "nsenter"), "--target", itoa(pid), "--pid", "sleep", "600")
	if err := outside.Start(); err != nil {
		t.Fatal(err)
	}
	var once bool
	letGo = func() {
		if once {
			return
		}
		once = true
		_ = outside.Process.Signal(unix.SIGCONT)
		_ = outside.Wait()
		_ = first.Wait()
	}
	t.Cleanup(func() {
		_ = first.Process.Kill()
		letGo()
	})
	waitFor(t, "a process inside", func() bool {
		return slices.ContainsFunc(children(outside.Process.Pid), func(child int) bool {
			comm, err := readComm(child)
			return err == nil && comm == "sleep"
		})
	})
	if err := outside.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its parent to stop", func() bool {
		st, err := readStat(outside.Process.Pid)
		return err == nil && strings.ContainsRune("Tt", rune(st.state))
	})
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the process to begin to end", func() bool {
		st, err := readStat(pid)
		return err == nil && st.exiting && st.image == image{}
	})
	return pid, letGo
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}

// The end of a process is told that had begun to end before the Watcher came.
func TestWatchLeavingProcess(t *testing.T) {
	needRoot(t)
	pid, letGo := leavingProcess(t)
	x := begin(t, Selection{Comm: "h2s-leaving"})
	if len(x.seen) != 2 {
		t.Fatalf("seen %+v", x.seen)
	}
	if c := x.seen[0].(Chosen); c.Process.PID != pid {
		t.Errorf("chosen %+v, want %d", c, pid)
	}
	letGo()
	if e := next[Exited](x); e.PID != pid {
		t.Errorf("exited %+v", e)
	}
}

// The same where the notice of its end is from before /proc was read for it.
func TestNoticeOfEndBeforeReading(t *testing.T) {
	needRoot(t)
	s := start(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := newWatcher(ctx, Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	before := now()
	if err := w.t.scan(); err != nil {
		t.Fatal(err)
	}
	w.left(&notice{kind: noticeExit, pid: s.pid, tid: s.pid, time: before})
	s.stop()
	for w.tick = time.Now().Add(patience); len(w.t.procs) > 0 && time.Now().Before(w.tick); {
		if err := w.wait(); err != nil {
			t.Fatal(err)
		}
		w.round()
	}
	cancel()
	var last Event
	for len(w.events) > 0 {
		last = <-w.events
	}
	if e, ok := last.(Exited); !ok || e.PID != s.pid {
		t.Errorf("the last event is %T %+v, want that %d has ended", last, last, s.pid)
	}
}
