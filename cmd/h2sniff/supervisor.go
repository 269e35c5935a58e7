// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"h2sniff/bpf"
	"h2sniff/cmd/h2sniff/privilege"

	"golang.org/x/sys/unix"
)

// output is where a way of showing leaves room for what is not frames.
type output struct {
	screen  bool      // it takes the whole terminal
	command io.Writer // for what the command after -- prints
}

// show runs a way of showing: at once where it reads a file or is the viewer,
// else beside a supervisor.
func show(ctx context.Context, o *options, std stdio, out output, run func(context.Context, *options, stdio) error) error {
	if o.read != "" || o.socket != 0 {
		if err := privilege.Forgo(); err != nil {
			return err
		}
		return run(ctx, o, std)
	}
	return supervise(ctx, o, std, out)
}

// supervise is the privileged process of a capture: it starts the viewer,
// attaches while the viewer wants it, and ends with the viewer's exit status.
func supervise(ctx context.Context, o *options, std stdio, out output) (err error) {
	if _, isFile := std.in.(*os.File); !isFile {
		std.in = nil // the viewer reads nothing but a terminal
	}
	if err := mayRead(o.selection.Binary); err != nil {
		return err
	}
	if err := privilege.Raise(); err != nil {
		return err
	}
	keepBPF, err := bpf.QueueNeedsPrivilege()
	if err != nil {
		return err
	}
	terminal := saveTerminal(out.screen)
	v, err := startViewer(o.args, std, keepBPF)
	if err != nil {
		return err
	}
	defer v.close()
	if err := privilege.KeepNeeded(len(o.command) > 0); err != nil {
		return err
	}
	if v.waitBegin() == nil {
		problems := captureFor(ctx, v, o, std, out)
		defer func() {
			for _, problem := range problems {
				say(std.stderr, "%s", problem)
			}
		}()
	}
	<-v.exited
	return viewerExit(v.err, terminal)
}

// mayRead tells whether the user, with no capability that h2sniff's file gives,
// may read the file of -b.
func mayRead(path string) error {
	if path == "" {
		return nil
	}
	if err := unix.Access(path, unix.R_OK); err != nil {
		return &fs.PathError{Op: "reading", Path: path, Err: err}
	}
	return nil
}

// captureFor captures until the viewer wants no more, or ctx ends. It returns
// what could not be told while the viewer had the terminal.
func captureFor(ctx context.Context, v *viewer, o *options, std stdio, out output) (untold []string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Where the viewer is gone its end of the socket tells so too.
	send := func(m *message, fds ...int) { _ = v.send(m, fds...) }
	stops := newJobStops(out.screen, func() { send(&message{Suspend: true}) })
	defer stops.close()
	left := make(chan struct{})
	go func() {
		defer close(left)
		v.waitEnd(func() {
			stops.stop()
			send(&message{Resume: true})
		})
		cancel()
	}()
	command := std
	report := std.stderr
	if out.screen {
		// The command gets no terminal to read from or write to.
		command.in, command.stderr = nil, nil
		if isTerminal(std.stderr) {
			report = io.Discard
		}
	}
	named := func(number uint32, name string) { send(&message{Library: &library{number, name}}) }
	inside := func(pid int, id string) { send(&message{Process: &contained{uint32(pid), id}}) }
	c, err := startCapturer(ctx, o, command, named, inside, report, out.command)
	if err != nil {
		send(&message{End: endingOf(err)})
		<-left
		return nil
	}
	send(&message{Started: &started{c.targets.name()}}, c.objs.Queue().FDs()...)
	unregister := context.AfterFunc(ctx, func() { send(&message{Quit: true}) })
	defer unregister()
	told, covers := "", coverage{}
	tell := func() {
		if text := c.targets.status(); text != told {
			told = text
			send(&message{Status: &text})
		}
		if now := c.targets.covers(); now != covers {
			covers = now
			send(&message{Covers: &now})
		}
	}
	err = c.run(tell)
	tell()
	err = errors.Join(err, c.free())
	send(&message{End: endingOf(err)})
	<-left
	if report == io.Discard {
		return c.targets.problems()
	}
	return nil
}

// viewerExit passes on how the viewer ended.
func viewerExit(err error, t *terminal) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		t.restore()
		return fmt.Errorf("the process that shows has ended: %v", status.Signal())
	}
	return commandExit(exit.ExitCode())
}
