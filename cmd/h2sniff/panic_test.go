// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"
	"h2sniff/tui"

	"golang.org/x/sys/unix"
)

// panicking is a source that panics when it is told to.
type panicking struct{ when chan struct{} }

func (s *panicking) Read(*capture.Event) error { <-s.when; panic("a \x1b[2J test") }
func (s *panicking) Stats() capture.Stats      { return capture.Stats{} }
func (s *panicking) Close() error              { return nil }

// beside is a session with a user interface, one of whose goroutines panics when
// it is told to.
type beside struct {
	ctx   context.Context
	s     *session
	p     *pump
	st    *store.Store
	panic func()
	end   func() error // gives back what the session does not
}

// TestPanicBesideTheScreen: each goroutine that h2sniff runs beside the user
// interface panics while that has the terminal. The terminal is given back first,
// then the panic is told.
func TestPanicBesideTheScreen(t *testing.T) {
	nothing := func() error { return nil }
	for name, start := range map[string]func(t *testing.T) beside{
		"reads and decodes": func(t *testing.T) beside {
			src := &panicking{make(chan struct{})}
			st := store.New(store.Options{})
			return beside{t.Context(), &session{Source: src, name: "test"}, &pump{src: src, store: st}, st, func() { close(src.when) }, nothing}
		},
		"writes the history's file": func(t *testing.T) beside {
			src := waiting{make(chan struct{})}
			st := store.New(store.Options{})
			spill, err := store.OpenSpill(t.TempDir(), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			var stop func() error
			return beside{ctx, &session{Source: src, name: "test"}, &pump{src: src, store: st}, st,
				func() { stop = runSpill(ctx, cancel, nil, spill) }, func() error { return stop() }}
		},
		"writes the history's file, with its lock": func(t *testing.T) beside {
			src := &oneMore{waiting: waiting{make(chan struct{})}}
			spill, err := store.OpenSpill(t.TempDir(), 8<<20)
			if err != nil {
				t.Fatal(err)
			}
			st := store.New(store.Options{History: store.MinHistory, Spill: spill})
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			var stop func() error
			return beside{ctx, &session{Source: src, name: "test"}, &pump{src: src, store: st}, st, func() {
				panicWithLock(st)
				stop = runSpill(ctx, cancel, st, spill)
			}, func() error { return stop() }}
		},
		"listens to the capture": func(t *testing.T) beside {
			ours, theirs, err := newHandover()
			if err != nil {
				t.Fatal(err)
			}
			socket, err := openHandover(theirs)
			if err != nil {
				t.Fatal(err)
			}
			l := &live{socket: socket, quit: make(chan struct{}), ended: make(chan struct{}), silent: make(chan struct{})}
			l.changed.L = &l.mu
			go l.listen()
			st := store.New(store.Options{})
			src := waiting{l.ended}
			return beside{t.Context(), &session{Source: src, live: l, name: "test"}, &pump{src: src, store: st}, st, func() {
				if err := ours.send(&message{Library: &library{}}); err != nil { // which goes into no map
					t.Error(err)
				}
			}, func() error { return errors.Join(l.free(), ours.close()) }}
		},
	} {
		t.Run(name, func(t *testing.T) { checkPanic(t, start(t)) })
	}
}

// panicWithLock has the next thing that st does about its file panic while it holds
// the lock: something that is leaving is nothing. Only a defect of the store does so
// by itself, so that there is no other way than through its fields.
func panicWithLock(st *store.Store) {
	f := reflect.ValueOf(st).Elem().FieldByName("leaving")
	list := reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
	list.Set(reflect.Append(list, reflect.New(list.Type().Elem().Elem())))
}

// waiting is a source that ends with a channel, or when it is closed.
type waiting struct{ ended chan struct{} }

func (s waiting) Read(*capture.Event) error {
	<-s.ended
	return io.EOF
}
func (s waiting) Stats() capture.Stats { return capture.Stats{} }
func (s waiting) Close() error         { close(s.ended); return nil }

// oneMore is a source that has an event to be stored when it is closed.
type oneMore struct {
	waiting
	told bool
}

func (s *oneMore) Read(ev *capture.Event) error {
	if err := s.waiting.Read(ev); s.told {
		return err
	}
	s.told = true
	*ev = capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{}}
	return nil
}

func checkPanic(t *testing.T, b beside) {
	master, slave := openPTY(t)
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var screen strings.Builder
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			screen.Write(buf[:n])
			mu.Unlock()
		}
	}()
	text := func() string {
		mu.Lock()
		defer mu.Unlock()
		return screen.String()
	}
	await := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(text(), want); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %q in %q", want, text())
			}
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- runSession(b.ctx, b.s, b.p, func(ctx context.Context, _ <-chan struct{}) error {
			return tui.Run(ctx, b.st, tui.Options{Live: true, Source: "test"}, slave, slave)
		})
	}()
	await("● LIVE")
	b.panic()
	select {
	case err = <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the session does not end")
	}
	err = errors.Join(err, b.end())
	await("\x1b[?1049l") // the alternate screen is left
	await("\x1b[?25h")
	if after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS); err != nil || *after != *before {
		t.Errorf("terminal modes %+v, %v, before %+v", after, err, before)
	}
	var p *panicError
	if !errors.As(err, &p) || len(p.stack) == 0 {
		t.Fatalf("%v", err)
	}
	var out strings.Builder
	if status := exitStatus(err, &out); status != 1 || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "internal error") {
		t.Errorf("status %d, %q", status, out.String())
	}
	if _, ok := b.s.Source.(*panicking); ok && !strings.Contains(out.String(), "a ␛[2J test") {
		t.Errorf("%q", out.String())
	}
}

// A panic of the user interface is told with its stack, harmless on a terminal.
func TestPanicOfTheScreen(t *testing.T) {
	var out strings.Builder
	status := exitStatus(asPanic(&tui.PanicError{Value: "a \x1b[2J test", Stack: []byte("goroutine 1\nmain.draw()\n")}), &out)
	for _, want := range []string{"internal error", "a ␛[2J test", "h2sniff: goroutine 1\n", "h2sniff: main.draw()\n"} {
		if status != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("status %d, no %q in %q", status, want, out.String())
		}
	}
	if err := errors.New("another"); asPanic(err) != err || asPanic(nil) != nil {
		t.Error("an error that is no panic is not left as it is")
	}
}

// openPTY opens both ends of a pseudo-terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 80, Row: 24}); err != nil {
		t.Fatal(err)
	}
	return master, slave
}
