// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// workKind is what is done beside the UI. One of each kind goes on at a time.
type workKind int

const (
	workFilter workKind = iota
	workPreview
	workSearch
	workProblems
	workPartner
	workSort
	numWorks
)

// slice is about how long a piece of work takes: the screen shows how far it
// is after each, and an end is heeded after no more than one.
const slice = 20 * time.Millisecond

// work is done in slices, each a command that Bubble Tea runs in a goroutine
// of its own. Between two slices Update has it for itself, so that a step and
// what follows it never run at the same time.
type work struct {
	id     uint64
	ctx    context.Context
	cancel context.CancelFunc
	what   string
	step   func(ctx context.Context) (done bool)
	// after is called in Update after each slice.
	after func(m *Model, done bool)
	// far is how far it is, 0 to 1, as of the last slice; nil: not known.
	far  func() float64
	busy bool // a slice is under way
	done bool
}

// workMsg is the end of a slice.
type workMsg struct {
	kind workKind
	id   uint64
	done bool
}

// begin begins a work in place of another of its kind.
func (m *Model) begin(kind workKind, w *work) {
	m.end(kind)
	m.workID++
	w.id = m.workID
	w.ctx, w.cancel = context.WithCancel(m.ctx)
	m.works[kind] = w
	m.step(kind)
}

// step begins the next slice, if there is anything to do and none under way.
func (m *Model) step(kind workKind) {
	w := m.works[kind]
	if w == nil || w.busy {
		return
	}
	w.busy, w.done = true, false
	id, ctx, step := w.id, w.ctx, w.step
	m.cmds = append(m.cmds, func() tea.Msg { return workMsg{kind, id, step(ctx)} })
}

// end ends a work; a slice under way ends by itself, and is not heeded.
func (m *Model) end(kind workKind) {
	if w := m.works[kind]; w != nil {
		w.cancel()
		m.works[kind] = nil
	}
}

// worked takes the end of a slice.
func (m *Model) worked(msg workMsg) {
	w := m.works[msg.kind]
	if w == nil || w.id != msg.id {
		return
	}
	w.busy, w.done = false, msg.done
	w.after(m, msg.done)
	m.dirty = true
	if !msg.done && m.works[msg.kind] == w {
		m.step(msg.kind)
	}
}

// progress is what goes on beside the UI, for the last line; empty where
// nothing does that a person waits for.
func (m *Model) progress() string {
	for _, w := range m.works {
		if w != nil && !w.done && w.what != "" {
			text := w.what
			if w.far != nil {
				text += fmt.Sprintf(" %d%%", int(w.far()*100))
			}
			return text + ", " + keyName(m.keys.Back.Help().Key) + " ends it"
		}
	}
	return ""
}

// endWork ends what a person waits for, and reports whether there was anything.
func (m *Model) endWork() bool {
	for kind, w := range m.works {
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
