// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/decode"
	"h2sniff/decode/redact"
	"h2sniff/decode/store"
)

// recordedEvents reads a recording.
func recordedEvents(t *testing.T, path string) []capture.Event {
	t.Helper()
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var events []capture.Event
	for {
		var ev capture.Event
		if err := r.Read(&ev); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return events
		}
		ev.Data = bytes.Clone(ev.Data)
		events = append(events, ev)
	}
}

// accounts pumps events and gives what the rows say, by connection.
func accounts(t *rapid.T, src capture.Source) map[capture.ConnID]string {
	st := store.New(store.Options{})
	if err := (&pump{src: src, store: st}).run(); err != nil {
		t.Fatal(err)
	}
	text := make(map[capture.ConnID]*strings.Builder)
	for _, e := range st.Rows(store.View{}, 0, 1<<20) {
		if text[e.Conn] == nil {
			text[e.Conn] = new(strings.Builder)
		}
		fmt.Fprintf(text[e.Conn], "%v %v %v %d %+v %x %d", e.Kind, e.Direction, e.Role, e.Time, e.Header, e.Payload, e.Missing)
		for _, f := range e.Fields {
			fmt.Fprintf(text[e.Conn], " %+v", f)
		}
		if e.Kind == decode.RowGap {
			fmt.Fprint(text[e.Conn], e.GapBytes, e.GapReason)
		}
		text[e.Conn].WriteByte('\n')
	}
	out := make(map[capture.ConnID]string)
	for id, b := range text {
		out[id] = b.String()
	}
	return out
}

// TestInterleaved: what is told of a connection does not depend on which others
// there are and in what order their events come, with redaction and without.
func TestInterleaved(t *testing.T) {
	one := recordedEvents(t, recordHTTP(t))
	rapid.Check(t, func(t *rapid.T) {
		conns := rapid.IntRange(2, 5).Draw(t, "connections")
		hide := rapid.Bool().Draw(t, "redact")
		pumped := func(events script) map[capture.ConnID]string {
			if hide {
				return accounts(t, redact.New(&events, redact.Options{}))
			}
			return accounts(t, &events)
		}
		var mixed script
		at := make([]int, conns)
		late := rapid.IntRange(0, len(one)-1).Draw(t, "late") // one of them is found in its middle
		at[0] = late
		alone := make(map[capture.ConnID]string)
		event := func(conn, i int) capture.Event {
			ev := one[i]
			ev.Conn = capture.ConnID(conn + 1)
			return ev
		}
		for left := true; left; {
			open := []int{}
			for conn := range at {
				if at[conn] < len(one) {
					open = append(open, conn)
				}
			}
			if left = len(open) > 0; left {
				conn := rapid.SampledFrom(open).Draw(t, "next")
				mixed = append(mixed, event(conn, at[conn]))
				at[conn]++
			}
		}
		for conn := range conns {
			var events script
			from := 0
			if conn == 0 {
				from = late
			}
			for i := from; i < len(one); i++ {
				events = append(events, event(conn, i))
			}
			id := capture.ConnID(conn + 1)
			alone[id] = pumped(events)[id]
		}
		for id, got := range pumped(mixed) {
			if got != alone[id] {
				t.Fatalf("%v among others:\n%s\nalone:\n%s", id, got, alone[id])
			}
		}
	})
}
