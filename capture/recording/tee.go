// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"sync"
	"time"

	"h2sniff/capture"
)

// How long an event may be held back while a Tee is open: on its way to a file,
// and to a reader who waits for it.
const (
	flushEvery     = time.Second
	flushLiveEvery = 50 * time.Millisecond
)

// An Output is what a Tee records to: a [Writer] or a [Rotation].
type Output interface {
	Write(*capture.Event) error
	Flush() error
	SetStats(capture.Stats)
	DecodeAs() string
	Close() error
}

// A Tee is a capture.Source that records the events of another as they pass.
//
// A file that cannot be written does not end the capture: recording stops, Err
// tells why from then on, and Read goes on returning events.
type Tee struct {
	src capture.Source

	mu     sync.Mutex
	w      Output
	every  time.Duration
	err    error
	timer  *time.Timer
	armed  bool
	closed bool
}

// NewTee begins to record src. The Tee owns both from now on.
func NewTee(src capture.Source, w Output) *Tee {
	t := &Tee{src: src, w: w, every: flushEvery}
	if w, ok := w.(*Writer); ok && w.live {
		t.every = flushLiveEvery
	}
	return t
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
	if t.err != nil || t.closed {
		return
	}
	if err := t.w.Write(ev); err != nil {
		t.fail(err)
		return
	}
	if t.armed {
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
	if t.err != nil || t.closed {
		return
	}
	t.w.SetStats(t.src.Stats())
	if err := t.w.Flush(); err != nil {
		t.fail(err)
	}
}

func (t *Tee) fail(err error) { t.err = &WriteError{Err: err} }

// Err returns the *WriteError that ended the recording, nil while it goes on
// and after a Close that wrote all of it. It may be called from any goroutine.
func (t *Tee) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// DecodeAs is [Writer.DecodeAs] of the recording. It may be called from any
// goroutine.
func (t *Tee) DecodeAs() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.DecodeAs()
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
	t.w.SetStats(stats)
	if werr := t.w.Close(); werr != nil && t.err == nil {
		t.fail(werr)
	}
	return errors.Join(err, t.err)
}
