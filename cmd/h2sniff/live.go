// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"

	"golang.org/x/sys/unix"
)

// live is a capture of running programs: a watcher finds targets, an attacher
// places probes on them, a reader turns what those tell into events.
type live struct {
	objs     *bpf.Objects
	attacher *uprobe.Attacher
	reader   *uprobe.Reader
	targets  *targets
	command  *spawned // nil unless h2sniff started one
	onReady  func() error

	cancel  context.CancelFunc // ends the watcher
	watched chan struct{}      // closed when the watcher has ended and all probes are gone

	mu  sync.Mutex
	err error // what ended the capture
}

// startLive loads the BPF programs and goes on attaching until ctx ends, stop
// is called, or what was asked for has gone. report gets the lines on what was
// attached to.
func startLive(ctx context.Context, o *options, std stdio, report, commandOut io.Writer) (_ *live, err error) {
	l := &live{watched: make(chan struct{}), onReady: o.onReady}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.free())
		}
	}()
	debug := func(string, ...any) {}
	if o.debug {
		debug = func(format string, args ...any) { say(report, format, args...) }
	}
	ring, err := ringBytes()
	if err != nil {
		return nil, err
	}
	if l.objs, err = bpf.Load(bpf.Options{RingBytes: ring, LogVerifier: o.debug}); err != nil {
		return nil, err
	}
	debug("ring buffer %d MiB, sleepable programs: %v, uprobe.multi links: %v", ring>>20, l.objs.Sleepable, l.objs.Multi)
	if o.debug {
		sayLines(report, l.objs.VerifierLog)
	}
	if l.attacher, err = uprobe.NewAttacher(l.objs); err != nil {
		return nil, err
	}
	if l.reader, err = uprobe.NewReader(l.objs, l.attacher.Library); err != nil {
		return nil, err
	}
	selection := o.selection
	if len(o.command) > 0 {
		if l.command, err = spawn(o.command, std.in, commandOut, std.stderr); err != nil {
			return nil, err
		}
		selection.PIDs = []int{l.command.pid}
	}
	opts := target.Options{Wanted: uprobe.Wanted()}
	if o.debug {
		opts.Debug = debug
	}
	l.targets, err = newTargets(selection, o.cleartext, opts, l.attacher, report, debug)
	if err != nil {
		return nil, err
	}
	ctx, l.cancel = context.WithCancel(ctx)
	watcher, err := target.Watch(ctx, selection, opts)
	if err != nil {
		return nil, err
	}
	go l.run(ctx, watcher)
	return l, nil
}

// run is the goroutine that attaches.
func (l *live) run(ctx context.Context, watcher *target.Watcher) {
	defer close(l.watched)
	var exited <-chan error
	if l.command != nil {
		exited = l.command.result
		defer l.command.release()
	}
	for {
		select {
		case ev, ok := <-watcher.Events():
			if !ok {
				l.end(watcher, errors.Join(watcher.Err(), l.leaveCommand(exited)))
				return
			}
			l.targets.handle(ev)
			if _, ready := ev.(target.Ready); ready {
				if err := l.begin(); err != nil {
					l.end(watcher, err)
					return
				}
			}
			if l.targets.gone() && l.command == nil {
				l.end(watcher, nil)
				return
			}
		case err := <-exited:
			l.end(watcher, err)
			return
		}
	}
}

// begin lets go on what waits for the probes to be in place.
func (l *live) begin() error {
	if l.command != nil {
		l.command.release()
	}
	if l.onReady != nil {
		return l.onReady()
	}
	return nil
}

// interruptGrace is how long a command gets to end after an interrupt that it
// has most likely got too, from the same terminal.
const interruptGrace = 300 * time.Millisecond

// leaveCommand gives the command's exit status if it ends too, and else says
// that it goes on.
func (l *live) leaveCommand(exited <-chan error) error {
	if l.command == nil {
		return nil
	}
	l.command.release()
	select {
	case err := <-exited:
		return err
	case <-time.After(interruptGrace):
		say(l.targets.report, "the command (pid %d) goes on, not traced any more", l.command.pid)
		return nil
	}
}

// end takes all probes away; what they left in the queue is still read.
func (l *live) end(watcher *target.Watcher, err error) {
	l.cancel()
	for range watcher.Events() { // closed when it has let go of everything
	}
	err = errors.Join(err, l.attacher.Close(), l.reader.Finish())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// stop ends the capture from outside and waits until all probes are gone.
func (l *live) stop() {
	l.cancel()
	<-l.watched
}

// outcome is what ended the capture; nil while it runs, and where it ended as
// it should.
func (l *live) outcome() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// free releases everything. The capture must have ended or never have begun.
func (l *live) free() error {
	var err error
	if l.command != nil {
		l.command.release()
	}
	if l.reader != nil {
		err = errors.Join(err, l.reader.Close())
	}
	if l.attacher != nil {
		err = errors.Join(err, l.attacher.Close())
	}
	if l.objs != nil {
		err = errors.Join(err, l.objs.Close())
	}
	return err
}

func (l *live) name() string { return l.targets.name() }

func (l *live) statusText() string { return l.targets.status() }

// Bounds of the ring buffer: a power of two, as the kernel demands.
const (
	minRing = 8 << 20
	maxRing = 128 << 20
)

// ringBytes is the size of the ring buffer: the power of two next below 1/128
// of the machine's memory, within bounds.
func ringBytes() (int, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("asking for the size of memory: %w", err)
	}
	want := uint64(info.Totalram) * uint64(info.Unit) / 128
	size := minRing
	for size < maxRing && uint64(size)*2 <= want {
		size *= 2
	}
	return size, nil
}
