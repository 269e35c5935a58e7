// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"h2sniff/capture"
)

// TestTeeStartsAndStops: of what a source yields, a recording from one event to
// another holds those between, in connections found in their middle.
func TestTeeStartsAndStops(t *testing.T) {
	events := traffic()
	for from := 0; from < len(events); from += 37 {
		src := newFakeSource()
		src.stats.Bytes = 500
		tee := NewTee(src, nil)
		next := 0
		pass := func(to int) {
			for ; next < to; next++ {
				go func(ev capture.Event) { src.events <- ev }(events[next])
				var ev capture.Event
				if err := tee.Read(&ev); err != nil || ev.Offset != events[next].Offset {
					t.Fatalf("event %d: %+v, %v", next, ev, err)
				}
			}
		}
		pass(from)
		to := min(from+150, len(events))
		middle := (from + to) / 2
		record := func(from, to int) {
			var file bytes.Buffer
			w, err := NewWriter(&file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := tee.Start(w, 0); err != nil {
				t.Fatal(err)
			}
			if err := tee.Start(w, 0); !errors.Is(err, ErrRecording) {
				t.Fatalf("begun twice: %v", err)
			}
			pass(to)
			src.stats.Bytes += 70
			if err := tee.Stop(); err != nil {
				t.Fatal(err)
			}
			wantPart(t, file.Bytes(), events, from, to)
		}
		record(from, middle)
		record(middle, to) // again, into another file
		if err := tee.Stop(); err != nil {
			t.Error(err)
		}
		pass(len(events))
		if err := tee.Close(); err != nil {
			t.Error(err)
		}
		if err := tee.Start(nil, 0); err == nil {
			t.Error("begun after Close")
		}
	}
}

// TestTeeStartsInTime: nothing in a recording is from before it began, whatever
// had been captured and not been read.
func TestTeeStartsInTime(t *testing.T) {
	const since = 1_000_000
	info := &capture.ConnInfo{PID: 7, Comm: "nginx", Fresh: true}
	bind := &capture.Binding{Local: netip.MustParseAddrPort("192.0.2.1:1"), Remote: netip.MustParseAddrPort("192.0.2.2:2"), Evidence: capture.Exact}
	data := func(conn capture.ConnID, at uint64, time int64) capture.Event {
		return capture.Event{Kind: capture.Data, Conn: conn, Offset: at, Length: 3, Data: []byte("abc"), Time: time}
	}
	before := []capture.Event{
		{Kind: capture.Open, Conn: 1, Time: 100, Info: info}, {Kind: capture.Bind, Conn: 1, Time: 101, Binding: bind}, data(1, 0, 102),
		{Kind: capture.Open, Conn: 2, Time: 200, Info: info},
	}
	after := []capture.Event{
		data(1, 3, since-9), // captured before
		{Kind: capture.Open, Conn: 3, Time: since - 8, Info: info},
		{Kind: capture.Open, Conn: 4, Time: since - 7, Info: info}, {Kind: capture.Close, Conn: 4, Time: since - 6},
		data(1, 6, since+1), data(2, 0, since+2), data(3, 0, since+3),
	}
	src := newFakeSource()
	tee := NewTee(src, nil)
	pass := func(events []capture.Event) {
		for _, ev := range events {
			go func() { src.events <- ev }()
			if err := tee.Read(&capture.Event{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass(before)
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{Start: since})
	if err != nil {
		t.Fatal(err)
	}
	if err := tee.Start(w, since); err != nil {
		t.Fatal(err)
	}
	pass(after)
	if err := tee.Stop(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(&file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var told []string
	for _, ev := range got {
		s := fmt.Sprint(ev.Conn, " ", ev.Kind, " ", ev.Offset, " at ", ev.Time-since)
		if ev.Kind == capture.Open {
			s += fmt.Sprint(" fresh ", ev.Info.Fresh)
		}
		told = append(told, s)
	}
	want := []string{
		"c1 1 0 at 0 fresh false", "c1 2 0 at 0", "c1 3 0 at 1",
		"c2 1 0 at 0 fresh true", "c2 3 0 at 2",
		"c3 1 0 at 0 fresh true", "c3 3 0 at 3",
	}
	if !slices.Equal(told, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// wantPart compares a recording with events[from:to].
func wantPart(t *testing.T, file []byte, events []capture.Event, from, to int) {
	t.Helper()
	var origin [4][2]uint64 // reached before
	begun := make(map[capture.ConnID]bool)
	for _, ev := range events[:from] {
		if ev.Kind == capture.Data || ev.Kind == capture.Lost {
			origin[ev.Conn][ev.Direction] = ev.Offset + ev.Length
		}
		begun[ev.Conn] = true
	}
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if r.Stats().Bytes != 70 {
		t.Errorf("%d octets counted in the time of the recording", r.Stats().Bytes)
	}
	var rest []capture.Event
	opened := make(map[capture.ConnID]int)
	for _, ev := range got {
		switch {
		case ev.Kind == capture.Open && begun[ev.Conn]:
			if ev.Info.Fresh && origin[ev.Conn] != [2]uint64{} || ev.Info.Comm != "nginx" || opened[ev.Conn] != 0 {
				t.Errorf("from %d: %+v %+v", from, ev, ev.Info)
			}
			opened[ev.Conn] = 1
		case ev.Kind == capture.Bind && opened[ev.Conn] == 1:
			opened[ev.Conn] = 2
		default:
			if begun[ev.Conn] && opened[ev.Conn] == 0 {
				t.Errorf("from %d: %v of %v before it opens", from, ev.Kind, ev.Conn)
			}
			rest = append(rest, ev)
		}
	}
	if len(rest) != to-from {
		t.Fatalf("%d to %d: %d events", from, to, len(rest))
	}
	for i, ev := range rest {
		want := events[from+i]
		if ev.Kind == capture.Data || ev.Kind == capture.Lost {
			ev.Offset += origin[ev.Conn][ev.Direction]
		}
		if ev.Kind != want.Kind || ev.Conn != want.Conn || ev.Time != want.Time ||
			ev.Offset != want.Offset || ev.Length != want.Length || !bytes.Equal(ev.Data, want.Data) {
			t.Fatalf("event %d: got %+v, want %+v", from+i, ev, want)
		}
	}
}
