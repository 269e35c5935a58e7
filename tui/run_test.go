// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal; screen is what was written to it.
type terminal struct {
	master, slave *os.File
	before        unix.Termios

	mu     sync.Mutex
	screen bytes.Buffer
}

func newTerminal(t testing.TB, w, h uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		skip(t, "no pseudo-terminals: %v", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		skip(t, "no pseudo-terminals: %v", err)
	}
	p := &terminal{master: master, slave: slave}
	t.Cleanup(func() { slave.Close(); master.Close() })
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: w, Row: h}); err != nil {
		t.Fatal(err)
	}
	p.before = p.termios(t)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.screen.Write(buf[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

// skip skips, but not where everything must be there.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func (p *terminal) termios(t testing.TB) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func (p *terminal) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// await waits until the terminal was sent s.
func (p *terminal) await(t testing.TB, s string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.text(), s); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in %q", s, p.text())
		}
	}
}

// checkRestored fails unless what the UI changed of the terminal is undone.
func (p *terminal) checkRestored(t *testing.T) {
	t.Helper()
	if after := p.termios(t); after != p.before {
		t.Errorf("terminal modes %+v, before %+v", after, p.before)
	}
	p.await(t, "\x1b[?1049l")
	text := p.text()
	for on, off := range map[string]string{
		"\x1b[?1049h": "\x1b[?1049l", // alternate screen
		"\x1b[?25l":   "\x1b[?25h",   // cursor
		"\x1b[?1002h": "\x1b[?1002l", // mouse
		"\x1b[?1006h": "\x1b[?1006l",
		"\x1b[?2004h": "\x1b[?2004l", // bracketed paste
	} {
		if a, b := strings.LastIndex(text, on), strings.LastIndex(text, off); a < 0 || b < a {
			t.Errorf("%q at %d, undone by %q at %d", on, a, off, b)
		}
	}
}

func TestRunRestoresTheTerminal(t *testing.T) {
	var panics bool
	for name, c := range map[string]struct {
		end  func(p *terminal, cancel context.CancelFunc)
		want error
	}{
		"quit":   {end: func(p *terminal, _ context.CancelFunc) { p.master.WriteString("q") }},
		"^c":     {end: func(p *terminal, _ context.CancelFunc) { p.master.WriteString("\x03") }},
		"cancel": {end: func(_ *terminal, cancel context.CancelFunc) { cancel() }},
		"SIGTERM": {end: func(*terminal, context.CancelFunc) {
			syscall.Kill(os.Getpid(), syscall.SIGTERM)
		}},
		"SIGHUP": {end: func(*terminal, context.CancelFunc) {
			syscall.Kill(os.Getpid(), syscall.SIGHUP)
		}},
		"panic": {end: func(p *terminal, _ context.CancelFunc) { p.master.WriteString("!") }, want: &PanicError{}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newTerminal(t, 80, 24)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			panics = false
			var mu sync.Mutex
			o := Options{Live: true, Source: "nginx", Status: func() Status {
				mu.Lock()
				defer mu.Unlock()
				if panics {
					panic("a \x1b[2J test")
				}
				return Status{}
			}}
			done := make(chan error, 1)
			go func() { done <- Run(ctx, sample(t).st, o, p.slave, p.slave) }()
			p.await(t, "● LIVE")
			if got := p.termios(t); got.Lflag&unix.ICANON != 0 {
				t.Error("the terminal is not in raw mode")
			}
			mu.Lock()
			panics = c.want != nil
			mu.Unlock()
			c.end(p, cancel)
			var err error
			select {
			case err = <-done:
			case <-time.After(time.Minute):
				t.Fatal("Run does not return")
			}
			p.checkRestored(t)
			var pe *PanicError
			switch {
			case c.want == nil && err != nil:
				t.Errorf("%v", err)
			case c.want != nil && (!errors.As(err, &pe) || len(pe.Stack) == 0 || strings.Contains(err.Error(), "\x1b")):
				t.Errorf("%q", err)
			}
		})
	}
}

func TestRunFollowsTheSizeOfTheTerminal(t *testing.T) {
	p := newTerminal(t, 120, 36)
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), sample(t).st, Options{Live: true}, p.slave, p.slave) }()
	p.await(t, "1 Connections 3")
	p.await(t, "4 Detail")
	if err := unix.IoctlSetWinsize(int(p.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 80, Row: 24}); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(os.Getpid(), syscall.SIGWINCH) // the kernel tells the foreground process group; the test is in none
	p.await(t, "[3 Frames")
	p.master.WriteString("q")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.checkRestored(t)
}

func TestGuardQuitsAfterAPanicOfView(t *testing.T) {
	g := &guard{Model: newScreen(sample(t).st, 80, 24, Options{})}
	g.panes[paneFrames] = nil
	if v := g.View(); v != "" || g.panicked == nil {
		t.Fatalf("View gave %q, panic %v", v, g.panicked)
	}
	_, cmd := g.Update(later(1))
	if cmd == nil {
		t.Fatal("Update goes on")
	}
	if _, ok := cmd().(tea.QuitMsg); !ok {
		t.Fatal("Update does not quit")
	}
}

// A file that is being written when the UI ends is at its end, too, when Run
// returns: nothing half of it stays behind.
func TestRunWaitsForTheWriter(t *testing.T) {
	p := newTerminal(t, 80, 24)
	began, ended := make(chan struct{}), false
	o := Options{Live: true, Write: func(w *Take) (string, error) {
		close(began)
		for !w.stopped() {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // a slow disk
		ended = true
		return "", ErrStopped
	}}
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), sample(t).st, o, p.slave, p.slave) }()
	p.await(t, "● LIVE")
	p.master.WriteString(":write x.har\r")
	<-began
	p.master.WriteString("q")
	p.await(t, "q again ends it")
	p.master.WriteString("q")
	if err := <-done; err != nil || !ended {
		t.Errorf("%v, the writer ended: %v", err, ended)
	}
	p.checkRestored(t)
}
