// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"h2sniff/bpf"
	"h2sniff/capture/uprobe"
	"h2sniff/cmd/h2sniff/privilege"

	"golang.org/x/sys/unix"
)

// live is the viewer's half of a capture of running programs.
type live struct {
	socket   *handover
	queue    *bpf.Queue
	reader   *uprobe.Reader
	name     string
	quit     chan struct{} // closed when a signal to the privileged process asks for the end
	ended    chan struct{} // closed when all probes are gone
	silent   chan struct{} // closed when nothing is listened to any more
	suspends chan struct{} // a signal asks for the terminal
	resumes  chan struct{} // the job was stopped and is continued
	finished sync.Once
	// containers are those of processes that may have ended.
	containers uprobe.Containers

	mu        sync.Mutex
	changed   sync.Cond // libraries, or the end
	libraries map[uint32]string
	status    string
	covers    coverage
	over      bool
	err       error // what ended the capture
}

// errNoCapture says that the privileged process died.
var errNoCapture = errors.New("the process that captures has ended unexpectedly: what it placed goes with it")

// openLive asks the privileged process at the other end of a descriptor to
// begin, and waits until it has.
func openLive(fd int) (*live, error) {
	if err := privilege.KeepNone(); err != nil {
		return nil, err
	}
	socket, err := openHandover(os.NewFile(uintptr(fd), "capture"))
	if err != nil {
		return nil, err
	}
	l := &live{
		socket: socket, libraries: make(map[uint32]string),
		quit: make(chan struct{}), ended: make(chan struct{}), silent: make(chan struct{}),
		suspends: make(chan struct{}, 1), resumes: make(chan struct{}, 1),
	}
	l.changed.L = &l.mu
	if err := l.start(); err != nil {
		close(l.silent)
		return nil, errors.Join(err, l.free())
	}
	go l.listen()
	return l, nil
}

// start waits for the maps. Libraries may be named before.
func (l *live) start() error {
	if err := l.socket.begin(); err != nil {
		return errNoCapture
	}
	for {
		m, fds, err := l.socket.receive()
		switch {
		case errors.Is(err, io.EOF):
			return errNoCapture
		case err != nil:
			return err
		case m.Started == nil:
			l.take(m)
			if m.End != nil {
				return l.outcome()
			}
			continue
		}
		l.name = m.Started.Name
		if l.queue, err = bpf.OpenQueue(fds); err != nil {
			return fmt.Errorf("taking over the capture: %w", err)
		}
		l.reader, err = uprobe.NewReader(l.queue, l.library, l.containers.Of)
		return err
	}
}

// listen is the goroutine that takes messages. It ends when the other end is
// gone, or free closes this one.
func (l *live) listen() {
	defer close(l.silent)
	if err := guarded(func() {}, l.messages); err != nil {
		l.broken(err)
	}
}

// broken ends the capture for this process after a panic.
func (l *live) broken(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.changed.Broadcast()
	l.over, l.err = true, err
	if l.reader != nil {
		_ = guarded(func() {}, l.reader.Finish)
	}
	for _, c := range []chan struct{}{l.ended, l.quit} {
		select {
		case <-c:
		default:
			close(c)
		}
	}
}

func (l *live) messages() error {
	for {
		m, _, err := l.socket.receive()
		gone := err != nil
		switch {
		case errors.Is(err, io.EOF):
			m = &message{End: endingOf(errNoCapture)}
		case err != nil:
			m = &message{End: endingOf(fmt.Errorf("listening to the capture: %w", err))}
		}
		if m.End != nil {
			if l.over { // said before: this is the end of the process itself
				return nil
			}
			l.take(m)
			close(l.ended)
			if gone {
				// Nothing can come, and the shell has the terminal, whose state
				// could not be given back else.
				signal.Ignore(unix.SIGTTOU)
				l.take(&message{Quit: true})
			}
		} else {
			l.take(m)
		}
		if gone {
			return nil
		}
	}
}

// take takes a message in.
func (l *live) take(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.changed.Broadcast()
	switch {
	case m.Library != nil:
		l.libraries[m.Library.Number] = m.Library.Name
	case m.Process != nil:
		l.containers.Set(m.Process.PID, m.Process.Container)
	case m.Status != nil:
		l.status = *m.Status
	case m.Covers != nil:
		l.covers = *m.Covers
	case m.Suspend:
		offer(l.suspends)
	case m.Resume:
		offer(l.resumes)
	case m.Quit:
		select {
		case <-l.quit:
		default:
			close(l.quit)
		}
	case m.End != nil:
		l.over, l.err = true, m.End.err()
		if l.reader != nil {
			if err := l.reader.Finish(); err != nil {
				l.err = errors.Join(l.err, err)
			}
		}
	}
}

// library names a library. Its name was sent before the first record that
// mentions it came to be, but may still be on its way.
func (l *live) library(number uint32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if name, ok := l.libraries[number]; ok || l.over {
			return name
		}
		l.changed.Wait()
	}
}

// stop ends the capture and waits until all probes are gone.
func (l *live) stop() {
	l.finished.Do(func() { _ = l.socket.finish() }) // fails where the other end is gone
	<-l.ended
}

// suspend has the job stopped, once the terminal has been given back, and waits
// until it is continued or ctx ends. This process goes on.
func (l *live) suspend(ctx context.Context) {
	if l.socket.suspend() != nil {
		return // the other end is gone, of which quit tells
	}
	select {
	case <-l.resumes:
	case <-l.ended:
	case <-ctx.Done():
	}
}

// outcome is what ended the capture; nil while it runs, and where it ended as
// it should.
func (l *live) outcome() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *live) statusText() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// coverage is what was not followed, nothing for a file.
func (l *live) coverage() coverage {
	if l == nil {
		return coverage{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.covers
}

// free releases everything. The capture must have ended or never have begun.
func (l *live) free() error {
	err := l.socket.close()
	<-l.silent
	if l.reader != nil {
		err = errors.Join(err, l.reader.Close())
	}
	if l.queue != nil {
		err = errors.Join(err, l.queue.Close())
	}
	return err
}
