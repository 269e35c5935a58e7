// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"sync"
	"time"

	"h2sniff/capture"
)

// flushEvery is how long an event may be held back while a Tee is open.
const flushEvery = time.Second

// A Tee is a capture.Source that records the events of another as they pass.
//
// A file that cannot be written does not end the capture: recording stops, Err
// tells why from then on, and Read goes on returning events.
type Tee struct {
	src capture.Source

	mu     sync.Mutex
	w      *Writer
	err    error
	timer  *time.Timer
	armed  bool
	closed bool
}

// NewTee begins to record src. The Tee owns both from now on.
func NewTee(src capture.Source, w *Writer) *Tee {
	return &Tee{src: src, w: w}
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
		t.timer = time.AfterFunc(flushEvery, t.flush)
	} else {
		t.timer.Reset(flushEvery)
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
