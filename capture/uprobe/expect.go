// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"h2sniff/bpf"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// The kernel places all probes under one lock, dup_mmap_sem, which forks take for
// reading (kernel/events/uprobes.c). Who takes it for writing waits for an RCU
// grace period, 5 to 200 ms, unless another writer was there within the last one
// (kernel/rcu/sync.c). A short-lived process has gone by then.
//
// The other side of it: a fork holds that lock for as long as it copies the memory
// of the process, 10 ms and more for 1 GB in small pages, and while a writer waits
// for it all forks of the machine wait behind.
const (
	// expectFor is how long after one process the next one is expected.
	expectFor = time.Second
	// expectEvery keeps the writers less than a grace period apart.
	expectEvery = 10 * time.Millisecond
	// A writer that had to wait longer than waitsLong may have waited for a large
	// fork, or for a grace period after all, which holds up nobody; it cannot be
	// told. More than maxHeldUp of it in a second is not accepted.
	waitsLong = 2 * time.Millisecond
	maxHeldUp = 30 * time.Millisecond
	// minPause and maxPause bound how long nothing is expected after that.
	minPause, maxPause = time.Second, time.Minute
)

// expectation keeps the kernel ready for the probes of processes to come.
type expectation struct {
	mu      sync.Mutex
	until   time.Time
	running bool
	held    time.Duration // how long writers waited since
	since   time.Time
	pause   time.Duration // the last one
	resume  time.Time     // when that ends or ended
	closed  chan struct{} // by close
}

// Expect says that a process has come and others may follow soon, as where a
// shell runs one command after the other: for a second from now on the kernel
// places their probes without a delay of its own. Until then a probe that is never
// hit is placed in h2sniff itself or taken away every 10 ms; traced programs have
// none of that. Where that is seen to hold up forks, it pauses: for a second at
// first, for a minute at last.
func (a *Attacher) Expect() {
	if a.expect.begin(time.Now()) {
		a.removals.Go(a.keepReady)
	}
}

// begin takes in a process that came, and says whether keepReady is to be started.
func (e *expectation) begin(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return false
	default:
	}
	if now.Before(e.resume) {
		return false
	}
	e.until = now.Add(expectFor)
	started := !e.running
	e.running = true
	return started
}

// heldUp takes in how long a writer waited. Where it is too much it ends all for a
// while, twice as long as the last time.
func (e *expectation) heldUp(now time.Time, by time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.since) > time.Second {
		e.since, e.held = now, 0
	}
	if e.held += by; e.held <= maxHeldUp {
		return
	}
	if now.Sub(e.resume) > maxPause {
		e.pause = 0 // it went well for long
	}
	e.held = 0
	e.pause = min(max(2*e.pause, minPause), maxPause)
	e.until, e.resume = now, now.Add(e.pause)
}

// keepReady runs as long as processes are expected.
func (a *Attacher) keepReady() {
	err := func() error {
		ex, offset, err := bpf.OwnEntry()
		if err != nil {
			return err
		}
		never := placement{program: a.objs.Entry}
		never.add(offset, 0)
		// Whether this thread waited is asked below.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		tick := time.NewTicker(expectEvery)
		defer tick.Stop()
		var links []link.Link
		defer func() { a.remove(links) }()
		for first := true; a.expect.goesOn(time.Now()); first = false {
			// One of the two a time: each of them is a writer.
			if links != nil {
				a.remove(links)
				links = nil
			} else {
				before, waits := time.Now(), ownWaits()
				links, err = a.place(ex, &never, os.Getpid())
				if err != nil {
					return err
				}
				// The first waits for a grace period, in which forks go on.
				now := time.Now()
				if took := now.Sub(before); !first && took > waitsLong && ownWaits() > waits {
					a.expect.heldUp(now, took)
				}
			}
			select {
			case <-tick.C:
			case <-a.expect.closed:
			}
		}
		return nil
	}()
	if err != nil {
		a.errMu.Lock()
		a.err = errors.Join(a.err, fmt.Errorf("placing a probe in h2sniff itself: %w", err))
		a.errMu.Unlock()
	}
}

// ownWaits is how often the kernel had this thread wait for something, rather
// than for a processor.
func ownWaits() int64 {
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &usage) // cannot fail with these arguments
	return usage.Nvcsw
}

// goesOn says whether processes are still expected. If not, the next Expect
// begins anew.
func (e *expectation) goesOn(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		e.running = false
	default:
		e.running = now.Before(e.until)
	}
	return e.running
}

// close ends it.
func (e *expectation) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
	default:
		close(e.closed)
	}
}
