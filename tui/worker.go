// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"sync/atomic"

	tea "github.com/charmbracelet/bubbletea"
)

// worker does what may take longer than a key may wait, beside the UI: one task
// at a time, and behind it the newest that was asked for. Its methods belong to
// the goroutine of Update; a task runs in one of Bubble Tea's.
type worker struct {
	running, next *task
	starting      bool // running has not been handed to Bubble Tea
}

// task is a piece of work. Whoever runs it looks at stopped often.
type task struct {
	key  any // what for; comparable
	run  func(*task) any
	stop atomic.Bool
	// done of all steps are done, for whoever shows how far it is.
	done, all atomic.Int64
}

// taskDone is the message that a task has ended.
type taskDone struct {
	task   *task
	result any
}

func (t *task) stopped() bool { return t.stop.Load() }

// want asks for a task unless that of the key is on its way. What else is on
// its way is stopped.
func (w *worker) want(key any, run func(*task) any) {
	t := &task{key: key, run: run}
	switch {
	case w.running == nil:
		w.running, w.starting = t, true
	case w.running.key == key && !w.running.stopped():
		w.next = nil
	case w.starting:
		w.running = t
	case w.next == nil || w.next.key != key:
		w.running.stop.Store(true)
		w.next = t
	}
}

// leave stops what is on its way: nobody waits for it any more.
func (w *worker) leave() {
	w.next = nil
	switch {
	case w.starting:
		w.running, w.starting = nil, false
	case w.running != nil:
		w.running.stop.Store(true)
	}
}

// start gives the command that runs the next task; nil where there is none.
func (w *worker) start() tea.Cmd {
	if !w.starting {
		return nil
	}
	w.starting = false
	t := w.running
	return func() tea.Msg { return taskDone{t, t.run(t)} }
}

// take takes the result of a task of this worker; of one that was stopped
// there is none.
func (w *worker) take(msg taskDone) (key, result any, ok bool) {
	if w.running != msg.task {
		return nil, nil, false
	}
	w.running = w.next
	w.next = nil
	w.starting = w.running != nil
	return msg.task.key, msg.result, !msg.task.stopped()
}

// progress tells how far the task of a key is, in percent; -1 where it is not
// on its way or has not said.
func (w *worker) progress(key any) int {
	if w.running == nil || w.running.key != key {
		return -1
	}
	all := w.running.all.Load()
	if all <= 0 {
		return -1
	}
	return int(min(100, 100*w.running.done.Load()/all))
}
