// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Everything that was reported to begin is reported to end, and nothing stays
// behind.
func TestShortLivedProcesses(t *testing.T) {
	needRoot(t)
	const processes = 1000
	s := start(t)
	before := openFiles(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w, err := Watch(ctx, Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	began, used := time.Now(), cpuTime(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.do(`for i in range(%d): os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)`, processes)
		s.stop() // whose end is the last event
	}()
	live := make(map[int]bool)
	var chosen, overrun int
	for ended := false; !ended; {
		select {
		case e := <-w.Events():
			switch e := e.(type) {
			case Chosen:
				chosen++
				if live[e.Process.PID] {
					t.Errorf("%d chosen twice", e.Process.PID)
				}
				live[e.Process.PID] = true
			case Exited:
				if !live[e.PID] {
					t.Errorf("%d, which is not chosen, has ended", e.PID)
				}
				delete(live, e.PID)
				ended = e.PID == s.pid
			case Overrun:
				overrun++
			case Problem:
				t.Errorf("problem %v", e)
			}
		case <-time.After(patience):
			t.Fatal("nothing more comes")
		}
	}
	<-done
	if len(live) > 0 {
		t.Errorf("%d processes have no end: %v", len(live), live)
	}
	t.Logf("%d processes in %v: %d chosen, %d overruns, %v of processor time",
		processes, time.Since(began), chosen, overrun, cpuTime(t)-used)
	cancel()
	for range w.Events() {
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files open, %d before", after, before)
	}
}

// A receiver that does not receive overruns the rings; what lives afterwards
// is known all the same, and what has ended is gone.
func TestOverrun(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	// As many events as the Watcher does not keep, then notices of great
	// length, which regard nobody.
	s.do(`kids = [os.fork() or time.sleep(60) for i in range(%d)]`, maxEvents+64)
	s.do(`[(os.kill(kid, 9), os.waitpid(kid, 0)) for kid in kids]`)
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 255))
	s.do(`import mmap; f = open(%q, "wb+"); f.write(bytes(4096)); f.flush()`, long)
	s.do(`for i in range(%d): mmap.mmap(f.fileno(), 4096, prot=mmap.PROT_READ|mmap.PROT_EXEC).close()`, 4*ringSize/255)
	last := s.do(`pid = os.fork() or time.sleep(60); print(pid)`)
	pid := atoi(t, last)
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	live := make(map[int]bool)
	overrun := false
	x.until("the overrun and the last child", func(e Event) bool {
		switch e := e.(type) {
		case Chosen:
			live[e.Process.PID] = true
		case Exited:
			delete(live, e.PID)
		case Overrun:
			overrun = e.Lost > 0
		}
		return overrun && live[pid]
	})
	for p := range live {
		if p != pid {
			t.Errorf("%d has ended, unreported", p)
		}
	}
	path := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	s.load(path)
	x.until("the library", func(e Event) bool {
		m, ok := e.(Mapped)
		return ok && m.PID == s.pid && m.Library.Path == path
	})
}
