// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"sync/atomic"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// workKind is what is done beside the UI. Each kind has a slot of its own: none
// waits for another, and none ends another.
type workKind int

const (
	workFilter workKind = iota
	workPreview
	workSearch
	workProblems
	workPartner
	workSort
	workDetail // the tabs that take long
	workMarks  // of the waterfall
	workCopy
	workWrite
	numWorks
)

// slice is about how long a piece of work takes: the screen shows how far it
// is after each, and an end is heeded after no more than one.
const slice = 20 * time.Millisecond

// work is done in slices, each a command that Bubble Tea runs in a goroutine
// of its own. Between two slices Update has it for itself, so that a step and
// what follows it never run at the same time. What cannot be cut is one slice,
// and looks at its ctx often.
type work struct {
	key    any // what for; comparable; nil: nobody asks
	ctx    context.Context
	cancel context.CancelFunc
	what   string // that a person waits for; empty: nobody does
	step   func(ctx context.Context) (done bool)
	// after is called in Update after each slice.
	after func(m *Model, done bool)
	// far is how far it is; nil: not known. It may be called during a slice.
	far func() string
	// kept says that a work that is ended keeps its slot until its slice is
	// over, and that after is called then as ever.
	kept bool
	done bool
}

// steps tells how many of all steps of a slice are done.
type steps struct{ done, all atomic.Int64 }

// slot is the place for the works of a kind.
type slot struct {
	work *work // the newest that was begun; nil: none
	busy bool  // a slice is under way, of it or of one before it
}

// workMsg is the end of a slice.
type workMsg struct {
	kind workKind
	work *work
	done bool
}

// begin begins a work in place of another of its kind. It waits for the slice
// of that one to end.
func (m *Model) begin(kind workKind, w *work) {
	m.end(kind)
	w.ctx, w.cancel = context.WithCancel(m.ctx)
	m.works[kind].work = w
	m.step(kind)
}

// beginOnce begins a work of one slice; then gets what it gives, unless it was
// ended before.
func beginOnce[T any](m *Model, kind workKind, w *work, do func(context.Context) T, then func(*Model, T)) {
	var result T
	w.step = func(ctx context.Context) bool {
		result = do(ctx)
		return true
	}
	w.after = func(m *Model, _ bool) {
		m.works[kind].work = nil
		w.cancel()
		then(m, result)
	}
	m.begin(kind, w)
}

// wants says whether the work of a kind is that of a key.
func (m *Model) wants(kind workKind, key any) bool {
	w := m.works[kind].work
	return w != nil && w.key == key
}

// step begins the next slice, if there is anything to do and none under way.
func (m *Model) step(kind workKind) {
	s := &m.works[kind]
	w := s.work
	if w == nil || s.busy {
		return
	}
	s.busy, w.done = true, false
	m.cmds = append(m.cmds, func() tea.Msg { return workMsg{kind, w, w.step(w.ctx)} })
}

// end ends a work; a slice under way ends by itself, and is not heeded unless
// it is kept.
func (m *Model) end(kind workKind) {
	s := &m.works[kind]
	if s.work == nil {
		return
	}
	s.work.cancel()
	if !s.work.kept {
		s.work = nil
	}
}

// worked takes the end of a slice.
func (m *Model) worked(msg workMsg) {
	s := &m.works[msg.kind]
	s.busy = false
	if w := s.work; w != nil && w == msg.work {
		w.done = msg.done
		w.after(m, msg.done)
		m.dirty = true
	}
	if w := s.work; w != nil && !w.done {
		m.step(msg.kind)
	}
}

// progress is what goes on beside the UI, for the last line; empty where
// nothing does that a person waits for.
func (m *Model) progress() string {
	for i := range m.works {
		w := m.works[i].work
		if w == nil || w.done || w.what == "" {
			continue
		}
		text := w.what
		if w.far != nil {
			if far := w.far(); far != "" {
				text += " " + far
			}
		}
		return text + ", " + keyName(m.keys.Back.Help().Key) + " ends it"
	}
	return ""
}

// endWork ends what a person waits for, and reports whether there was anything.
func (m *Model) endWork() bool {
	for kind := range m.works {
		w := m.works[kind].work
		if w == nil || w.done || w.what == "" {
			continue
		}
		m.end(workKind(kind))
		if workKind(kind) == workFilter { // half a filter is of no use
			m.goBack()
		}
		return true
	}
	return false
}
