// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"os"
	"sync"
	"time"

	"h2sniff/capture"
)

// How long an event may be held back while a Tee is open: on its way to a file,
// and to a reader who waits for it.
const (
	flushEvery     = time.Second
	flushLiveEvery = 50 * time.Millisecond
	// nowEvery is how often a reader who waits is told what time it is.
	nowEvery = int64(time.Second / 4)
)

// An Output is what a Tee records to: a [Writer] or a [Rotation].
type Output interface {
	Write(*capture.Event) error
	Flush() error
	SetStats(capture.Stats)
	DecodeAs() string
	MadeUp() int
	Close() error
}

// A Tee is a capture.Source that records the events of another as they pass,
// all of them or from Start to Stop.
//
// A connection that is open at Start appears in that recording with its next
// event, as one found in its middle.
//
// A file that cannot be written does not end the capture: recording stops, Err
// tells why from then on, Failed does at once, and Read goes on returning events.
type Tee struct {
	src    capture.Source
	failed chan error

	mu     sync.Mutex
	conns  openConns
	w      Output        // nil while nothing is recorded
	begun  capture.Stats // the source's at Start
	every  time.Duration
	err    error
	latest int64 // time of an event, the largest
	now    int64 // last told
	timer  *time.Timer
	armed  bool
	closed bool
}

// NewTee begins to record src, if w is not nil. The Tee owns both from now on.
func NewTee(src capture.Source, w Output) *Tee {
	t := &Tee{src: src, failed: make(chan error, 1), conns: newOpenConns()}
	if w != nil {
		t.begin(w, 0)
	}
	return t
}

func (t *Tee) begin(w Output, since int64) {
	t.w, t.err, t.every = w, nil, flushEvery
	if w, ok := w.(*Writer); ok && w.live {
		t.every = flushLiveEvery
	}
	t.conns.begin(since)
}

// ErrRecording is returned by Start while a recording goes on.
var ErrRecording = errors.New("a recording is in progress")

// Start begins to record with the next event. What was captured before since, in
// Unix nanoseconds, and is read only now, is left out. The Tee owns w from now
// on, unless it returns an error. It may be called from any goroutine.
func (t *Tee) Start(w Output, since int64) error {
	begun := t.src.Stats()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return os.ErrClosed
	case t.w != nil && t.err == nil:
		return ErrRecording
	}
	if t.w != nil {
		t.w.Close() // had failed before: its error was told
	}
	t.begin(w, since)
	t.begun = begun
	return nil
}

// Stop ends the recording that goes on, if one does, and the capture goes on.
// The error is that of Err. It may be called from any goroutine.
func (t *Tee) Stop() error {
	stats := t.src.Stats()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.w == nil {
		return nil
	}
	t.end(stats)
	err := t.err
	t.w, t.err = nil, nil
	return err
}

// Latest is the time of the latest event that Read has returned, in Unix
// nanoseconds; 0 before any. It may be called from any goroutine.
func (t *Tee) Latest() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.latest
}

// Read reads the source's next event and records it.
func (t *Tee) Read(ev *capture.Event) error {
	err := t.src.Read(ev)
	if err == nil {
		t.record(ev)
	}
	return err
}

func (t *Tee) record(ev *capture.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.latest = max(t.latest, ev.Time)
	recording := t.w != nil && t.err == nil
	var w eventWriter
	if recording {
		w = t.w
	}
	if err := t.conns.write(ev, w); err != nil {
		t.fail(err)
		return
	}
	if !recording || t.armed {
		return
	}
	t.armed = true
	if t.timer == nil {
		t.timer = time.AfterFunc(t.every, t.flush)
	} else {
		t.timer.Reset(t.every)
	}
}

func (t *Tee) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = false
	if t.w == nil || t.err != nil || t.closed {
		return
	}
	t.setStats(t.src.Stats())
	if err := t.w.Flush(); err != nil {
		t.fail(err)
	}
}

// Now says that the source has no event before the time now that Read has not
// returned, in Unix nanoseconds. Where the recording is read while it is written, it is
// told there, four times a second at most: while nothing comes it is not known
// otherwise that time passes. It is for the goroutine that calls Read.
func (t *Tee) Now(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w, ok := t.w.(*Writer)
	if !ok || !w.live || t.err != nil || t.closed || now-t.now < nowEvery {
		return
	}
	t.now = now
	t.setStats(t.src.Stats())
	if err := w.Now(now); err != nil {
		t.fail(err)
	}
}

func (t *Tee) fail(err error) {
	t.err = &WriteError{Err: err}
	select {
	case t.failed <- t.err:
	default: // nobody has taken the one before
	}
}

// Failed gets what Err returns when a recording fails. Nobody has to listen.
func (t *Tee) Failed() <-chan error { return t.failed }

// Err returns the *WriteError that ended the recording, nil while it goes on
// and after a Close that wrote all of it. It may be called from any goroutine.
func (t *Tee) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// DecodeAs is [Writer.DecodeAs] of the recording that goes on, "" where none
// does. It may be called from any goroutine.
func (t *Tee) DecodeAs() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w == nil {
		return ""
	}
	return t.w.DecodeAs()
}

// MadeUp is [Writer.MadeUp] of the recording that goes on, 0 where none does. It
// may be called from any goroutine.
func (t *Tee) MadeUp() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w == nil {
		return 0
	}
	return t.w.MadeUp()
}

// Stats gives the source's counters.
func (t *Tee) Stats() capture.Stats { return t.src.Stats() }

// Ignore implements capture.Ignorer where the source does.
func (t *Tee) Ignore(id capture.ConnID) {
	if i, ok := t.src.(capture.Ignorer); ok {
		i.Ignore(id)
	}
}

// Close closes the source and ends the recording with the source's counters.
// Events that Read returns afterwards are not recorded, so a recording that is
// to hold all of them is closed once Read has returned its error.
func (t *Tee) Close() error {
	stats := t.src.Stats()
	err := t.src.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return err
	}
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.w != nil {
		t.end(stats)
	}
	return errors.Join(err, t.err)
}

// end ends the file.
func (t *Tee) end(stats capture.Stats) {
	t.setStats(stats)
	if err := t.w.Close(); err != nil && t.err == nil {
		t.fail(err)
	}
}

// setStats tells the recording what the source has counted since it began.
func (t *Tee) setStats(s capture.Stats) {
	s.Events -= t.begun.Events
	s.Bytes -= t.begun.Bytes
	s.LostEvents -= t.begun.LostEvents
	s.LostBytes -= t.begun.LostBytes
	s.NotCopied -= t.begun.NotCopied
	s.Missed -= t.begun.Missed
	t.w.SetStats(s)
}
