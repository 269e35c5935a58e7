// SPDX-License-Identifier: Apache-2.0

package tui

import "testing"

// TestWorker: one task at a time, the newest next, and no result of a task that
// nobody waits for.
func TestWorker(t *testing.T) {
	var w worker
	ran := map[string]int{}
	want := func(key string) { w.want(key, func(*task) any { ran[key]++; return key }) }
	finish := func() (any, bool) {
		msg := taskDone{w.running, w.running.run(w.running)}
		_, result, ok := w.take(msg)
		return result, ok
	}
	want("a")
	want("b") // a had not been started
	if w.start() == nil || w.start() != nil {
		t.Fatal("b is not started, or twice")
	}
	want("b")
	want("c")
	want("d")
	if w.start() != nil {
		t.Fatal("two at a time")
	}
	if result, ok := finish(); ok {
		t.Errorf("%v, though d was asked for since", result)
	}
	if cmd := w.start(); cmd == nil {
		t.Fatal("d is not started")
	}
	if result, ok := finish(); !ok || result != "d" {
		t.Errorf("%v, %v", result, ok)
	}
	want("e")
	w.start()
	w.leave()
	want("e") // again, since the first was told to stop
	finish()
	if w.start() == nil {
		t.Fatal("e is not started again")
	}
	if result, ok := finish(); !ok || result != "e" || ran["a"]+ran["c"] > 0 || w.running != nil {
		t.Errorf("%v, %v, %v", result, ok, ran)
	}
	if _, _, ok := w.take(taskDone{&task{}, 1}); ok {
		t.Error("the result of another worker's task")
	}
	if p := w.progress("e"); p != -1 {
		t.Errorf("progress %d of nothing", p)
	}
}
