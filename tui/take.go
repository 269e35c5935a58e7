// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"
	"sync/atomic"

	"h2sniff/decode/store"
)

// Take is what the user asks to be written to a file.
type Take struct {
	Path    string
	st      *store.Store
	view    store.View
	stopped func() bool
	read    atomic.Uint64 // rows, for whoever shows how far it is
}

// NewTake asks for the rows of a view to be written to a path. Where stopped is
// set, reading ends with ErrStopped when it says so.
func NewTake(st *store.Store, v store.View, path string, stopped func() bool) *Take {
	if stopped == nil {
		stopped = func() bool { return false }
	}
	return &Take{Path: path, st: st, view: v, stopped: stopped}
}

// ErrStopped is the end of reading rows that nobody waits for any more.
var ErrStopped = errors.New("stopped")

// Rows hands over the rows that are shown, in order, as far as they are there
// when it begins, until row returns an error.
func (w *Take) Rows(row func(*store.Entry) error) error {
	return w.All(w.view, row, func(uint64) error { return nil })
}

// All is Rows for another view. missed is told, in the place where they were,
// how many rows were evicted before they could be read.
func (w *Take) All(v store.View, row func(*store.Entry) error, missed func(uint64) error) error {
	from, to := w.st.Span(v)
	for from < to {
		if w.stopped() {
			return ErrStopped
		}
		if first, _ := w.st.Span(v); first > from {
			if err := missed(min(first, to) - from); err != nil {
				return err
			}
			from = first
			continue
		}
		rows := w.st.Rows(v, from, int(min(readBatch, to-from)))
		if len(rows) == 0 {
			return nil
		}
		for i := range rows {
			if err := row(&rows[i]); err != nil {
				return err
			}
		}
		from += uint64(len(rows))
		w.read.Add(uint64(len(rows)))
	}
	return nil
}

// written is the result of writing a file.
type written struct {
	text string
	err  error
}

// write begins to write what the frames pane shows to a file, one at a time.
func (m *Model) write(path string) error {
	if m.o.Write == nil {
		return errors.New("nothing here can write files")
	}
	if path == "" {
		return errors.New("a name is needed, ending in .pcapng, .json or .har")
	}
	if w := m.works[workWrite].work; w != nil {
		return errors.New(w.what + " goes on: one file at a time")
	}
	w := &work{what: "writing " + peer(path, 80), kept: true}
	var far atomic.Pointer[Take]
	w.far = func() string {
		if take := far.Load(); take != nil {
			return commas(take.read.Load()) + " rows read"
		}
		return ""
	}
	st, view, do := m.st, m.frames.view, m.o.Write
	beginOnce(m, workWrite, w, func(ctx context.Context) (r written) {
		m.writing.Lock()
		defer m.writing.Unlock()
		take := NewTake(st, view, path, func() bool { return ctx.Err() != nil })
		far.Store(take)
		if r.err = ctx.Err(); r.err == nil {
			r.text, r.err = do(take)
		}
		return r
	}, func(m *Model, r written) { r.show(m) })
	return nil
}

// show says what became of it.
func (r *written) show(m *Model) {
	switch {
	case errors.Is(r.err, ErrStopped), errors.Is(r.err, context.Canceled):
		m.say("not written: ended before all rows were", true)
	case r.err != nil:
		m.say("not written: "+peer(r.err.Error(), 200), true)
	default:
		m.say(peer(r.text, 400), false)
	}
}
