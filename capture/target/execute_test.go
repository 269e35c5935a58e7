// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"testing"

	"h2sniff/capture/container"
)

// A process that executes a program under the selected name is told at once,
// before its files are read, and what it maps by the notices of that.
func TestExecutedIsToldFirst(t *testing.T) {
	needRoot(t)
	ssl := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	w, err := newWatcher(context.Background(), Selection{Comm: "h2s-executed"}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	s := start(t)
	executed := now()
	s.load(ssl)
	w.t.apply(&notice{kind: noticeComm, exec: true, pid: s.pid, tid: s.pid, comm: "h2s-executed", time: executed})
	if len(w.events) != 1 {
		t.Fatalf("%d events, want 1", len(w.events))
	}
	if c := (<-w.events).(Chosen); c.Process.PID != s.pid || len(c.Process.Libraries) > 0 {
		t.Errorf("chosen %+v, want %d before what it maps is read", c, s.pid)
	}
	found, err := readMaps(s.pid, w.t.keep)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		w.t.apply(&notice{kind: noticeMap, pid: s.pid, tid: s.pid, m: m, time: now()})
	}
	if len(w.events) != 1 {
		t.Fatalf("%d events for what it maps, want 1", len(w.events))
	}
	wantLibrary(t, []Library{(<-w.events).(Mapped).Library}, ssl, OpenSSL)
}

// A process that has left its container before it executes is in none, or in
// another.
func TestExecutedOutsideContainer(t *testing.T) {
	s := start(t)
	in, err := container.Of(s.pid)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChooser(Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	var last Event
	tr := newTracker(c, nil, func(e Event) { last = e })
	p := &proc{Process: Process{PID: s.pid, Container: "0123456789ab"}, told: true}
	tr.procs[s.pid] = p
	tr.apply(&notice{kind: noticeComm, exec: true, pid: s.pid, tid: s.pid, time: 7, comm: "python3"})
	if e, ok := last.(Executed); !ok || e.Process.Container != in.ID || e.Time != 7 {
		t.Errorf("told %+v, want it in the container %q at 7", last, in.ID)
	}
}
