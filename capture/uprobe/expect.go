// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"h2sniff/bpf"
)

// The kernel places all probes under one lock, dup_mmap_sem, which forks take for
// reading (kernel/events/uprobes.c). Who takes it for writing waits for an RCU
// grace period, 5 to 200 ms, unless another writer was there within the last one
// (kernel/rcu/sync.c). A short-lived process has gone by then.
const (
	// expectFor is how long after one process the next one is expected.
	expectFor = time.Second
	// expectEvery keeps the writers less than a grace period apart.
	expectEvery = 10 * time.Millisecond
)

// expectation keeps the kernel ready for the probes of processes to come.
type expectation struct {
	mu      sync.Mutex
	until   time.Time
	running bool
	closed  chan struct{} // by close
}

// Expect says that a process has come and others may follow soon, as where a
// shell runs one command after the other: for a second from now on the kernel
// places their probes without a delay of its own. Until then a probe that is never
// hit is placed in h2sniff itself every 10 ms; traced programs have none of that.
func (a *Attacher) Expect() {
	e := &a.expect
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return
	default:
	}
	e.until = time.Now().Add(expectFor)
	if !e.running {
		e.running = true
		a.removals.Go(a.keepReady)
	}
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
		tick := time.NewTicker(expectEvery)
		defer tick.Stop()
		for a.expect.goesOn() {
			links, err := a.place(ex, &never, os.Getpid())
			if err != nil {
				return err
			}
			a.remove(links)
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

// goesOn says whether processes are still expected. If not, the next Expect
// begins anew.
func (e *expectation) goesOn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		e.running = false
	default:
		e.running = time.Now().Before(e.until)
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
