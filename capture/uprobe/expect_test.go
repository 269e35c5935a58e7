// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"os"
	"testing"
	"time"

	"h2sniff/bpf"
)

// startAttacher loads the programs in a mode, nil the best, and gives what places
// a probe that is never hit and takes it away.
func startAttacher(t testing.TB, mode *bpf.Mode) (a *Attacher, place func()) {
	t.Helper()
	var objs *bpf.Objects
	var err error
	if options := (bpf.Options{RingBytes: 1 << 20}); mode != nil {
		objs, err = bpf.LoadMode(options, *mode)
	} else {
		objs, err = bpf.Load(options)
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err = NewAttacher(objs, func(uint32, string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Close(), objs.Close()); err != nil {
			t.Error(err)
		}
	})
	ex, offset, err := bpf.OwnEntry()
	if err != nil {
		t.Fatal(err)
	}
	p := placement{program: objs.Entry}
	p.add(offset, 0)
	return a, func() {
		links, err := a.place(ex, &p, os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		a.remove(links)
	}
}

// TestExpect: it ends by itself and with the Attacher, and can begin anew, in
// every mode.
func TestExpect(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	for _, mode := range []bpf.Mode{{Multi: true, Sleepable: true}, {}} {
		a, _ := startAttacher(t, &mode)
		for range 2 {
			a.Expect()
			a.expect.mu.Lock()
			if !a.expect.running {
				t.Error("it does not run")
			}
			a.expect.until = time.Now() // no need to wait for it
			a.expect.mu.Unlock()
			ended := func() bool {
				a.expect.mu.Lock()
				defer a.expect.mu.Unlock()
				return !a.expect.running
			}
			for deadline := time.Now().Add(time.Minute); !ended(); {
				if time.Now().After(deadline) {
					t.Fatal("it does not end")
				}
				time.Sleep(time.Millisecond)
			}
		}
		a.Expect()
		if err := a.Close(); err != nil { // waits for it
			t.Error(err)
		}
		a.Expect()
		if a.expect.goesOn(time.Now()) {
			t.Error("it goes on after Close")
		}
	}
}

// TestExpectPauses: where forks are held up for too long in a second nothing is expected for a while, and
// that for longer each time, up to a minute.
func TestExpectPauses(t *testing.T) {
	e := &expectation{closed: make(chan struct{})}
	now := time.Unix(1000, 0)
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		want *= time.Second
		if !e.begin(now) || !e.goesOn(now) {
			t.Fatalf("round %d: it does not begin", i)
		}
		if e.heldUp(now, maxHeldUp); !e.goesOn(now) {
			t.Errorf("round %d: it ends too soon", i)
		}
		if e.heldUp(now, waitsLong); e.goesOn(now) {
			t.Errorf("round %d: it goes on although forks were held up", i)
		}
		if e.begin(now.Add(want - 1)) {
			t.Errorf("round %d: it begins within %v", i, want)
		}
		now = now.Add(want)
	}
	// It goes well for long enough: the next pause is a short one.
	e.begin(now)
	for range 100 {
		if now = now.Add(2 * time.Second); !e.begin(now) && !e.goesOn(now) {
			t.Fatal("it ends although little was held up")
		}
		e.heldUp(now, maxHeldUp)
	}
	e.heldUp(now, waitsLong)
	if now = now.Add(minPause); e.goesOn(now) || !e.begin(now) {
		t.Error("the pause after a time without harm is not the shortest")
	}
}

// BenchmarkPlace places a probe each 20 ms: what the process that comes waits.
func BenchmarkPlace(b *testing.B) {
	for _, expected := range []bool{false, true} {
		name := "unexpected"
		if expected {
			name = "expected"
		}
		b.Run(name, func(b *testing.B) {
			a, place := startAttacher(b, nil)
			for b.Loop() {
				b.StopTimer()
				if expected {
					a.Expect()
				}
				time.Sleep(20 * time.Millisecond)
				b.StartTimer()
				place()
			}
		})
	}
}
