// SPDX-License-Identifier: Apache-2.0

package target

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Watcher reports what is to be captured, and changes of that, on a channel.
//
// One goroutine does all the work and is the only sender. It waits while
// nobody receives; the kernel's notices queue up meanwhile, and if these
// overrun their rings a scan of /proc makes up for them. So a slow receiver
// delays, but loses nothing of processes that live on.
type Watcher struct {
	events chan Event
	ctx    context.Context
	t      *tracker
	err    error // written before events is closed

	poll, wake int // epoll and eventfd
	rings      map[int]*ring
	// leaving, by pidfd, are processes whose leader has ended. Other threads
	// may live on, or one has executed a program and become the leader.
	leaving map[int]*proc
	late    map[*proc]struct{} // the same, where there was no pidfd
	// over are those, by pid, whose last thread has gone. They end with its
	// notice, which the next round has if none had it before.
	over map[int]*proc

	pending  []notice
	lost     uint64
	rescanAt time.Time // the next scan may not begin before
	tick     time.Time
}

const (
	// minRound is the least time between two looks at the rings: it bounds
	// what a storm of notices costs.
	minRound = 300 * time.Microsecond
	// tickEvery is how often processors are counted.
	tickEvery = 2 * time.Second
	// maxEvents is how far the work can run ahead of the receiver.
	maxEvents = 256
)

// Watch begins to report. It fails with a *ProcessError, a *BinaryError, a
// *ProcError or a *WatchError. Cancelling ctx ends it: the channel is closed
// when everything is released, which the caller must wait for.
func Watch(ctx context.Context, s Selection, o Options) (*Watcher, error) {
	w, err := newWatcher(ctx, s, o)
	if err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// newWatcher opens everything, so that nothing is missed from here on.
func newWatcher(ctx context.Context, s Selection, o Options) (*Watcher, error) {
	c, err := newChooser(s, o)
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		events: make(chan Event, maxEvents), ctx: ctx,
		rings: make(map[int]*ring), leaving: make(map[int]*proc), late: make(map[*proc]struct{}), over: make(map[int]*proc),
	}
	w.t = newTracker(c, o.Debug, w.emit)
	w.t.leaving = w.await
	if err := w.open(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// Events returns the channel of reports. It is closed when ctx is cancelled or
// watching cannot go on; see [Watcher.Err].
func (w *Watcher) Events() <-chan Event { return w.events }

// Err returns why the channel was closed, nil if ctx was cancelled. It may be
// called once Events is closed.
func (w *Watcher) Err() error { return w.err }

func (w *Watcher) emit(e Event) {
	select {
	case w.events <- e:
	case <-w.ctx.Done():
	}
}

func (w *Watcher) open() (err error) {
	w.poll, w.wake = -1, -1
	if w.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if err = w.register(w.wake); err != nil {
		return err
	}
	_, err = w.openRings()
	return err
}

func (w *Watcher) register(fd int) error {
	e := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(w.poll, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// openRings opens those that are missing, drops those of processors that have
// gone, and reports whether some were opened.
func (w *Watcher) openRings() (opened bool, err error) {
	online := onlineCPUs()
	for cpu, r := range w.rings {
		if !slices.Contains(online, cpu) {
			r.close()
			delete(w.rings, cpu)
		}
	}
	for _, cpu := range online {
		if w.rings[cpu] != nil {
			continue
		}
		r, e := openRing(cpu)
		if e == nil {
			if e = w.register(r.fd); e == nil {
				w.rings[cpu], opened = r, true
				continue
			}
			r.close()
		}
		if !errors.Is(e, unix.ENODEV) { // else it has just gone
			err = e
		}
	}
	if err == nil && len(w.rings) == 0 {
		err = unix.ENODEV
	}
	if err != nil {
		return opened, &WatchError{Err: err}
	}
	return opened, nil
}

func (w *Watcher) close() {
	for _, r := range w.rings {
		r.close()
	}
	for fd := range w.leaving {
		unix.Close(fd)
	}
	for _, fd := range []int{w.wake, w.poll} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (w *Watcher) run() {
	woken := make(chan struct{})
	stop := context.AfterFunc(w.ctx, func() {
		defer close(woken)
		_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	err := w.watch()
	if !stop() {
		<-woken // or it would write to a descriptor that is closed
	}
	w.close()
	if w.ctx.Err() == nil {
		w.err = err
	}
	close(w.events)
}

func (w *Watcher) watch() error {
	// The rings are open: what happens during the scan is not missed.
	if err := w.t.scan(); err != nil {
		return err
	}
	w.emit(Ready{})
	w.tick = time.Now().Add(tickEvery)
	for w.ctx.Err() == nil {
		began := time.Now()
		w.round()
		if err := w.catchUp(began); err != nil {
			return err
		}
		if len(w.pending) > 0 {
			continue
		}
		if rest := minRound - time.Since(began); rest > 0 {
			time.Sleep(rest)
		}
		if err := w.wait(); err != nil {
			return err
		}
	}
	return nil
}

// round applies the notices of all processors in the order of their times.
//
// A notice from after the beginning of the round stays for the next one: an
// earlier one may have come to a ring that had been read already.
func (w *Watcher) round() {
	until := now()
	for _, r := range w.rings {
		r.drain(func(kind uint32, misc uint16, body []byte) {
			w.lost += parseLost(kind, body)
			if n, ok := parseNotice(kind, misc, body, w.t.keep); ok {
				w.pending = append(w.pending, n)
			}
		})
	}
	slices.SortStableFunc(w.pending, func(a, b notice) int { return cmp.Compare(a.time, b.time) })
	due := 0
	last := make(map[int]int, len(w.over)) // notice of the last thread's end
	for ; due < len(w.pending) && w.pending[due].time <= until; due++ {
		if n := &w.pending[due]; n.kind == noticeExit && w.over[n.pid] != nil {
			last[n.pid] = due
		}
	}
	for pid, p := range w.over {
		if _, ok := last[pid]; !ok {
			w.ended(p)
			delete(w.over, pid)
		}
	}
	for i := range w.pending[:due] {
		n := &w.pending[i]
		if n.kind != noticeExit {
			w.t.apply(n)
			continue
		}
		w.left(n)
		if p := w.over[n.pid]; p != nil && last[n.pid] == i {
			w.ended(p)
			delete(w.over, n.pid)
		}
	}
	w.pending = append(w.pending[:0], w.pending[due:]...)
}

// catchUp scans /proc after notices were lost, counts the processors now and
// then, and looks after processes that could not be waited for.
func (w *Watcher) catchUp(at time.Time) error {
	scan := w.lost > 0 && at.After(w.rescanAt)
	if at.After(w.tick) {
		w.tick = at.Add(tickEvery)
		opened, err := w.openRings()
		if err != nil {
			return err
		}
		scan = scan || opened
		for p := range w.late {
			if st, err := readStat(p.PID); err != nil || st.dead() || st.start != p.StartTime {
				w.ended(p)
			}
		}
	}
	if !scan {
		return nil
	}
	began := time.Now()
	if err := w.t.scan(); err != nil {
		return err
	}
	// A tenth of one processor at most goes into this.
	w.rescanAt = time.Now().Add(9*time.Since(began) + 20*time.Millisecond)
	if w.lost > 0 {
		w.emit(Overrun{Lost: w.lost})
		w.lost = 0
	}
	return nil
}

// wait returns when there is something to do.
func (w *Watcher) wait() error {
	until := w.tick
	if w.lost > 0 && w.rescanAt.Before(until) {
		until = w.rescanAt
	}
	var ready [16]unix.EpollEvent
	timeout := max(0, int(time.Until(until).Milliseconds())+1)
	n, err := unix.EpollWait(w.poll, ready[:], timeout)
	if err != nil && err != unix.EINTR {
		return fmt.Errorf("epoll_wait: %w", err)
	}
	for i := range max(n, 0) {
		fd := int(ready[i].Fd)
		if p, ok := w.leaving[fd]; ok {
			unix.Close(fd)
			delete(w.leaving, fd)
			w.over[p.PID] = p
		} else if ready[i].Events&^unix.EPOLLIN != 0 {
			w.dropRing(fd)
		}
	}
	return nil
}

// dropRing closes a ring whose processor has gone; it would wake us for ever.
func (w *Watcher) dropRing(fd int) {
	for cpu, r := range w.rings {
		if r.fd == fd {
			r.close()
			delete(w.rings, cpu)
		}
	}
}
