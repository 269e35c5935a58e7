// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
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

// TestPanicBesideTheScreen: the goroutine that reads and decodes panics while the
// user interface has the terminal. The terminal is given back first, then the
// panic is told.
func TestPanicBesideTheScreen(t *testing.T) {
	master, slave := openPTY(t)
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
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(text(), want); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %q in %q", want, text())
			}
		}
	}
	src := &panicking{make(chan struct{})}
	s := &session{Source: src, name: "test"}
	st := store.New(store.Options{})
	ended := make(chan error, 1)
	go func() {
		ended <- runSession(t.Context(), s, &pump{src: src, store: st}, func(ctx context.Context, _ <-chan struct{}) error {
			return tui.Run(ctx, st, tui.Options{Live: true, Source: "test"}, slave, slave)
		})
	}()
	await("● LIVE")
	close(src.when)
	var err error
	select {
	case err = <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the session does not end")
	}
	await("\x1b[?1049l") // the alternate screen is left
	var p *panicError
	if !errors.As(err, &p) || len(p.stack) == 0 {
		t.Fatalf("%v", err)
	}
	var out strings.Builder
	if status := exitStatus(err, &out); status != 1 || strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "a ␛[2J test") {
		t.Errorf("status %d, %q", status, out.String())
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
