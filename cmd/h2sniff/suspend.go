// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ctrl-Z in the user interface stops the job as a shell understands it. Of a
// capture only the privileged process stops, which is the one that the shell
// knows: the viewer gives the terminal back and goes on reading the ring, so
// that nothing is lost meanwhile.

// jobStops is how a process that shares a terminal with the user interface, or
// shows it, is stopped.
type jobStops struct {
	signals chan os.Signal // SIGTSTP from outside: the terminal sends none while the user interface has it
	ended   chan struct{}
	left    chan struct{} // closed when no more signals are told of
}

// newJobStops calls asked for each signal that asks for a stop, which then does
// not happen by itself. Where there is no screen all is left to the signals.
func newJobStops(screen bool, asked func()) *jobStops {
	j := &jobStops{signals: make(chan os.Signal, 1), ended: make(chan struct{}), left: make(chan struct{})}
	if screen {
		signal.Notify(j.signals, unix.SIGTSTP)
	}
	go func() {
		defer close(j.left)
		for {
			select {
			case <-j.ended:
				return
			case <-j.signals:
				asked()
			}
		}
	}()
	return j
}

func (j *jobStops) close() {
	signal.Stop(j.signals)
	close(j.ended)
	<-j.left
}

// orphanWait is how long it takes at the most to see that a process did not
// stop, since no shell could continue it (an orphaned process group,
// credentials(7)). Time that it is stopped for counts.
const orphanWait = 200 * time.Millisecond

// stop stops the processes of the job, this one included, and returns when they
// have been continued.
func (j *jobStops) stop() {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	if err := stopGroup(); err != nil {
		return // as where nothing can continue it
	}
	select {
	case <-continued:
	case <-time.After(orphanWait):
	}
}

// stopGroup signals the process group with SIGTSTP, for which this process has
// the default action meanwhile: signal.Reset leaves the runtime's handler, which
// swallows it.
func stopGroup() error {
	var byDefault, before [4]uint64 // struct sigaction of the kernel: SIG_DFL is 0
	set := func(to, was *[4]uint64) error {
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGTSTP),
			uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(was)), sigsetSize, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	}
	if err := set(&byDefault, &before); err != nil {
		return err
	}
	return errors.Join(unix.Kill(0, unix.SIGTSTP), set(&before, &byDefault))
}

// sigsetSize is the octets of the kernel's sigset_t.
const sigsetSize = 8

// foregroundPoll is how often a job in the background looks whether it has come
// to the foreground, of which no signal tells.
const foregroundPoll = 100 * time.Millisecond

// awaitForeground waits until the terminal is this job's, or ctx ends. Then the
// terminal may be set from the background, to leave it as it is.
func awaitForeground(ctx context.Context, terminal *os.File) {
	for {
		group, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
		if ctx.Err() == nil && (err != nil || group == unix.Getpgrp()) {
			return
		}
		select {
		case <-ctx.Done():
			signal.Ignore(unix.SIGTTOU)
			return
		case <-time.After(foregroundPoll):
		}
	}
}

// suspending is what the user interface needs to be suspended.
type suspending struct {
	suspend func(context.Context)
	asked   chan struct{} // by a signal
	close   func()
}

// suspending makes that of a session whose screen is on a terminal.
func (s *session) suspending(terminal *os.File) *suspending {
	if s.live != nil {
		return &suspending{asked: s.live.suspends, close: func() {}, suspend: func(ctx context.Context) {
			s.live.suspend(ctx)
			awaitForeground(ctx, terminal)
		}}
	}
	asked := make(chan struct{}, 1)
	stops := newJobStops(true, func() { offer(asked) })
	return &suspending{asked: asked, close: stops.close, suspend: func(ctx context.Context) {
		stops.stop()
		awaitForeground(ctx, terminal)
	}}
}

// offer hands over a word that is waiting already if it was not taken yet.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
