// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"h2sniff/capture"
)

// fakeSource yields what is sent to it, until it is closed.
type fakeSource struct {
	events  chan capture.Event
	done    chan struct{}
	once    sync.Once
	stats   capture.Stats
	ignored atomic.Uint32
}

func newFakeSource() *fakeSource {
	return &fakeSource{events: make(chan capture.Event), done: make(chan struct{})}
}

func (s *fakeSource) Read(ev *capture.Event) error {
	select {
	case *ev = <-s.events:
		return nil
	case <-s.done:
		return io.EOF
	}
}
func (s *fakeSource) Stats() capture.Stats     { return s.stats }
func (s *fakeSource) Ignore(id capture.ConnID) { s.ignored.Store(uint32(id)) }
func (s *fakeSource) Close() error             { s.once.Do(func() { close(s.done) }); return nil }

// limited is a disk with room for so many octets.
type limited struct {
	bytes.Buffer
	room int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.room, len(p))
	l.room -= n
	l.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func TestTeeFlushesEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		w, err := NewWriter(&file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		src := newFakeSource()
		src.stats.LostEvents = 4
		tee := NewTee(src, w)
		got := make(chan []capture.Event)
		go func() {
			events, err := readAll(tee)
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			got <- events
		}()
		_, events, _ := small(t)
		for i, ev := range events[:10] {
			src.events <- ev
			time.Sleep(2 * flushEvery)
			synctest.Wait()
			onDisk, err := readBytes(file.Bytes())
			if !errors.Is(err, ErrTruncated) {
				t.Fatal(err)
			}
			if d := diff(events[:i+1], onDisk); d != "" {
				t.Fatalf("two seconds after event %d:\n%s", i, d)
			}
		}
		size := file.Len()
		time.Sleep(time.Hour)
		if file.Len() != size {
			t.Errorf("an idle hour wrote %d octets", file.Len()-size)
		}
		for _, ev := range events[10:] {
			src.events <- ev
		}
		synctest.Wait() // until the last one is recorded
		if err := tee.Close(); err != nil {
			t.Fatal(err)
		}
		if d := diff(events, <-got); d != "" {
			t.Error(d)
		}
		r, err := NewReader(bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		onDisk, err := readAll(r)
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if d := diff(events, onDisk); d != "" {
			t.Error(d)
		}
		if r.Stats() != src.stats {
			t.Errorf("recorded %+v", r.Stats())
		}
		if tee.Err() != nil || tee.Close() != nil {
			t.Error("a whole recording has an error")
		}
	})
}

// TestTeeDiskFull: the capture goes on, and the error tells what happened.
func TestTeeDiskFull(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 9))
	c := newH2conn(1, capture.Client, rng)
	for s := uint32(1); s < 60; s += 2 {
		c.exchange(s, 50000)
		c.cut(20000)
	}
	disk := &limited{room: 1 << 20}
	w, err := NewWriter(disk, Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := newFakeSource()
	tee := NewTee(src, w)
	go func() {
		for _, ev := range c.events {
			src.events <- ev
		}
		src.Close()
	}()
	got, err := readAll(tee)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	select {
	case err := <-tee.Failed():
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("failed: %v", err)
		}
	default:
		t.Error("that it failed is not told at once")
	}
	if d := diff(c.events, got); d != "" {
		t.Errorf("the capture suffered:\n%s", d)
	}
	for _, err := range []error{tee.Err(), tee.Close(), tee.Err()} {
		var we *WriteError
		if !errors.As(err, &we) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		} else if !strings.HasPrefix(err.Error(), "recording stopped") {
			t.Errorf("%q", err)
		}
	}
	onDisk, err := readBytes(disk.Bytes())
	if !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if len(onDisk) == 0 {
		t.Fatal("nothing was recorded")
	}
	if d := diff(c.events[:len(onDisk)], onDisk); d != "" {
		t.Error(d)
	}
}

// TestTeeFullDevice is the same with a real file and an error at the flush.
func TestTeeFullDevice(t *testing.T) {
	w, err := Create("/dev/full", Options{})
	if err != nil {
		t.Fatal(err)
	}
	tee := NewTee(newFakeSource(), w)
	if err := tee.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	var we *WriteError
	if !errors.As(tee.Err(), &we) {
		t.Errorf("got %v", tee.Err())
	}
}

func TestTeePassesOn(t *testing.T) {
	w, err := NewWriter(io.Discard, Options{})
	if err != nil {
		t.Fatal(err)
	}
	src := newFakeSource()
	src.stats.Bytes = 7
	tee := NewTee(src, w)
	tee.Ignore(5)
	if src.ignored.Load() != 5 || tee.Stats() != src.stats {
		t.Error("Ignore or Stats does not reach the source")
	}
	go func() {
		src.events <- capture.Event{Kind: capture.Data, Conn: 1}
	}()
	var ev capture.Event
	if err := tee.Read(&ev); err != nil {
		t.Fatal(err)
	}
	if got := tee.DecodeAs(); got != "-d tcp.port==443,http2" {
		t.Errorf("%q", got)
	}
	if err := tee.Close(); err != nil {
		t.Fatal(err)
	}
}

var (
	_ capture.Source  = (*Tee)(nil)
	_ capture.Ignorer = (*Tee)(nil)
	_ capture.Source  = (*Reader)(nil)
)

// What time it is is told to who reads the recording while it is written, not too
// often, and in no file.
func TestTeeTellsTheTime(t *testing.T) {
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pr.Close()
	defer pw.Close()
	src := newFakeSource()
	live, err := create(pw, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tee := NewTee(src, live)
	begin := int64(1e18)
	for _, now := range []int64{begin, begin + nowEvery - 1, begin + nowEvery, begin + nowEvery, begin + 5*nowEvery} {
		tee.Now(now)
	}
	if err := tee.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(pr)
	if err != nil {
		t.Fatal(err)
	}
	var told []int64
	r.Now = func(now int64) { told = append(told, now) }
	if _, err := readAll(r); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if want := []int64{begin, begin + nowEvery, begin + 5*nowEvery}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}

	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tee = NewTee(newFakeSource(), w)
	before := w.size()
	tee.Now(begin)
	if got := w.size(); got != before {
		t.Errorf("a file got %d octets", got-before)
	}
	tee.Close()
	tee.Now(begin + 9*nowEvery)
}
