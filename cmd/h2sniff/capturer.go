// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"
)

// capturer is the privileged half of a capture of running programs: a watcher
// finds targets, an attacher places probes on them.
type capturer struct {
	objs     *bpf.Objects
	attacher *uprobe.Attacher
	targets  *targets
	watcher  *target.Watcher
	command  *spawned // nil unless h2sniff started one
	onReady  func() error
	cancel   context.CancelFunc
}

// startCapturer loads the BPF programs and begins to look for targets, which it
// does until ctx ends. named is told the libraries by number, inside the
// containers of processes, report gets the lines on what was attached to.
func startCapturer(ctx context.Context, o *options, std stdio, named func(uint32, string), inside func(int, string), report, commandOut io.Writer) (_ *capturer, err error) {
	c := &capturer{onReady: o.onReady, cancel: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.free())
		}
	}()
	debug := func(string, ...any) {}
	if o.debug {
		debug = func(format string, args ...any) { say(report, format, args...) }
	}
	ring, err := o.ring.bytes()
	if err != nil {
		return nil, err
	}
	if c.objs, err = bpf.Load(bpf.Options{RingBytes: ring, LogVerifier: o.debug, HeadersOnly: o.headersOnly}); err != nil {
		return nil, err
	}
	debug("ring buffer %s, sleepable programs: %v, uprobe.multi links: %v", sizeText(int64(ring)), c.objs.Sleepable, c.objs.Multi)
	if o.debug {
		sayLines(report, c.objs.VerifierLog)
	}
	if c.attacher, err = uprobe.NewAttacher(c.objs, named); err != nil {
		return nil, err
	}
	selection := o.selection
	if len(o.command) > 0 {
		if c.command, err = spawn(o.command, std.in, commandOut, std.stderr); err != nil {
			return nil, err
		}
		selection.PIDs = []int{c.command.pid}
	}
	opts := target.Options{Wanted: uprobe.Wanted()}
	if o.debug {
		opts.Debug = debug
	}
	if c.targets, err = newTargets(selection, o.cleartext, opts, c.attacher, report, debug); err != nil {
		return nil, err
	}
	c.targets.contained = inside
	ctx, c.cancel = context.WithCancel(ctx)
	if c.watcher, err = target.Watch(ctx, selection, opts); err != nil {
		return nil, err
	}
	return c, nil
}

// run attaches until its context ends, or what was asked for has gone. Then all
// probes are gone too. changed is called after each step.
func (c *capturer) run(changed func()) error {
	var exited <-chan error
	if c.command != nil {
		exited = c.command.result
		defer c.command.release()
	}
	for {
		select {
		case ev, ok := <-c.watcher.Events():
			if !ok {
				return c.end(errors.Join(c.watcher.Err(), c.leaveCommand(exited)))
			}
			c.targets.handle(ev)
			changed()
			if _, ready := ev.(target.Ready); ready {
				if err := c.begin(); err != nil {
					return c.end(err)
				}
			}
			if c.targets.gone() && c.command == nil {
				return c.end(nil)
			}
		case err := <-exited:
			c.hearOut()
			return c.end(err)
		}
	}
}

// begin lets go on what waits for the probes to be in place.
func (c *capturer) begin() error {
	if c.command != nil {
		c.command.release()
	}
	if c.onReady != nil {
		return c.onReady()
	}
	return nil
}

// interruptGrace is how long a command gets to end after an interrupt that it
// has most likely got too, from the same terminal.
const interruptGrace = 300 * time.Millisecond

// leaveCommand gives the command's exit status if it ends too, and else says
// that it goes on.
func (c *capturer) leaveCommand(exited <-chan error) error {
	if c.command == nil {
		return nil
	}
	c.command.release()
	select {
	case err := <-exited:
		return err
	case <-time.After(interruptGrace):
		say(c.targets.report, "the command (pid %d) goes on, not traced any more", c.command.pid)
		return nil
	}
}

// hearTime bounds how long the end of a session waits for the watcher.
const hearTime = time.Second

// hearOut takes in what the watcher tells up to the end of the command: the
// processes that have come and gone.
func (c *capturer) hearOut() {
	for timeout := time.After(hearTime); c.targets.process(c.command.pid, "") != nil; {
		select {
		case ev, ok := <-c.watcher.Events():
			if !ok {
				return
			}
			c.targets.account(ev)
		case <-timeout:
			return
		}
	}
}

// end takes all probes away; what they left in the queue can still be read.
func (c *capturer) end(err error) error {
	c.cancel()
	for ev := range c.watcher.Events() { // closed when it has let go of everything
		c.targets.account(ev)
	}
	return errors.Join(err, c.objs.Stop(), c.attacher.Close())
}

// free releases everything. The capture must have ended or never have begun.
func (c *capturer) free() error {
	var err error
	c.cancel()
	if c.command != nil {
		c.command.release()
	}
	if c.attacher != nil {
		err = errors.Join(err, c.attacher.Close())
	}
	if c.objs != nil {
		err = errors.Join(err, c.objs.Close())
	}
	return err
}
