// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// TestPhases: when each direction of a stream carried what.
func TestPhases(t *testing.T) {
	const begin = int64(1_700_000_000_000_000_000)
	s := New(Options{})
	at := func(ns int64, row *decode.Row) {
		row.Time, row.TimeEnd = begin+ns, begin+ns+10
		s.Append(row)
	}
	at(0, frame(1, 5, http2.FramePriority, 0, "\x00\x00\x00\x00\x00"))
	at(1000, recv(frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":method", "POST", ":path", "/")))
	at(2000, recv(frame(1, 5, http2.FrameData, 0, "x")))
	at(3000, recv(frame(1, 5, http2.FrameData, http2.FlagDataEndStream, "y")))
	at(3500, recv(frame(1, 5, http2.FrameWindowUpdate, 0, "\x00\x00\x00\x01")))
	got, _ := s.Stream(1, 5)
	want := Phase{Begin: begin + 1000, Data: begin + 2000, Last: begin + 3010}
	if got.Phases[capture.Recv] != want || got.Phases[capture.Send] != (Phase{}) {
		t.Errorf("%+v after the request", got.Phases)
	}
	// A day later, and still to the millisecond or so.
	const day = int64(24 * 3600 * 1e9)
	at(day, frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, "", ":status", "204"))
	got, _ = s.Stream(1, 5)
	p := got.Phases[capture.Send]
	if d := p.Begin - begin - day; d < -10e6 || d > 10e6 || p.Data != 0 || p.Last < p.Begin || got.Phases[capture.Recv] != want {
		t.Errorf("%+v after the response", got.Phases)
	}
}

// TestPhasesOfInterimResponses: what is waited for is the final response, also
// where it is told only by a CONTINUATION frame which one it is.
func TestPhasesOfInterimResponses(t *testing.T) {
	const begin = int64(1_700_000_000_000_000_000)
	s := New(Options{})
	at := func(ns int64, row *decode.Row) {
		row.Time, row.TimeEnd = begin+ns, begin+ns+10
		s.Append(row)
	}
	response := func(want Phase) {
		t.Helper()
		got, _ := s.Stream(1, 5)
		if got.Phases[capture.Send] != want || got.Phases[capture.Recv].Begin != begin {
			t.Errorf("%+v, want %+v", got.Phases, want)
		}
	}
	at(0, recv(frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":method", "POST", ":path", "/")))
	at(1000, frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":status", "100"))
	response(Phase{})
	first := frame(1, 5, http2.FrameHeaders, 0, "")
	first.HasFields = false
	at(2000, first)
	at(2500, frame(1, 5, http2.FrameContinuation, http2.FlagContinuationEndHeaders, "", ":status", "103"))
	response(Phase{})
	at(5000, frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":status", "200"))
	response(Phase{Begin: begin + 5000, Last: begin + 5010})
	at(6000, frame(1, 5, http2.FrameData, 0, "x"))
	// What is against the rules does not take back what was.
	at(7000, frame(1, 5, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":status", "103"))
	response(Phase{Begin: begin + 5000, Data: begin + 6000, Last: begin + 7010})
}

// TestStalls: what findings say of windows that were used up is kept for the
// connection, the newest of it, and is counted as memory.
func TestStalls(t *testing.T) {
	s := New(Options{})
	seq := s.Append(recv(frame(1, 5, http2.FrameData, 0, "x")))
	before := s.Snapshot().HistoryUsed
	s.Diagnose(seq, Finding{Code: "a", Severity: decode.Note, Stream: 5})
	if list, more := s.Stalls(1); len(list) != 0 || more {
		t.Errorf("%v without any", list)
	}
	for i := range int64(maxStalls + 3) {
		s.Diagnose(seq, Finding{Code: "b", Severity: decode.Warning, Stream: 5, Since: 10 * i, Till: 10*i + 5})
	}
	list, more := s.Stalls(1)
	if len(list) != maxStalls || !more {
		t.Fatalf("%d, %v", len(list), more)
	}
	if want := (Stall{Stream: 5, Direction: capture.Recv, Since: 30, Till: 35}); list[0] != want || list[maxStalls-1].Till != 10*(maxStalls+2)+5 {
		t.Errorf("%+v to %+v", list[0], list[maxStalls-1])
	}
	if used := s.Snapshot().HistoryUsed - before; used < maxStalls*stallCost {
		t.Errorf("they count as %d bytes", used)
	}
	if list, more := s.Stalls(2); list != nil || more {
		t.Error("a connection that is not there has some")
	}
}

// TestStallThatGoesOn: what is told of its end takes the place of what was told
// before, and is counted once.
func TestStallThatGoesOn(t *testing.T) {
	s := New(Options{})
	seq := s.Append(recv(frame(1, 5, http2.FrameData, 0, "x")))
	s.Diagnose(seq, Finding{Code: "other", Severity: decode.Note, Stream: 5})
	s.Diagnose(seq, Finding{Code: "a", Severity: decode.Warning, Message: "so far", Stream: 5, Since: 10})
	before := s.Rows(View{}, 0, 1)[0].Findings
	if list, _ := s.Stalls(1); len(list) != 1 || list[0] != (Stall{Stream: 5, Direction: capture.Recv, Since: 10}) {
		t.Errorf("%+v so far", list)
	}
	end := Finding{Code: "a", Severity: decode.Warning, Message: "in the end", Stream: 5, Since: 10, Till: 30, Again: true}
	s.Diagnose(seq, end)
	if got := s.Rows(View{}, 0, 1)[0].Findings; len(got) != 2 || got[1] != end {
		t.Errorf("%+v", got)
	}
	if before[1].Message != "so far" {
		t.Error("what was read before has changed")
	}
	if list, _ := s.Stalls(1); len(list) != 1 || list[0].Till != 30 {
		t.Errorf("%+v in the end", list)
	}
	want := FindingCounts{Notes: 1, Warnings: 1}
	if c, _ := s.Conn(1); c.Findings != want || s.Snapshot().Findings != want {
		t.Errorf("%+v, %+v", c.Findings, s.Snapshot().Findings)
	}
}

// TestConnectionWithoutWindow: a connection's summary says that its window is used
// up, until its end is told, also where the row has been evicted meanwhile.
func TestConnectionWithoutWindow(t *testing.T) {
	for _, evict := range []bool{false, true} {
		s := small(2000, 4)
		seq := s.Append(recv(frame(1, 5, http2.FrameData, 0, "x")))
		f := Finding{Code: "a", Severity: decode.Warning, Conn: 1, Direction: capture.Recv, Since: 10}
		s.Diagnose(seq, f)
		s.Diagnose(seq, Finding{Code: "a", Severity: decode.Warning, Conn: 1, Direction: capture.Recv, Stream: 5, Since: 12})
		if c, _ := s.Conn(1); c.NoWindow != [2]int64{capture.Recv: 10} {
			t.Errorf("%v", c.NoWindow)
		}
		for evict && s.Snapshot().Evicted < seq {
			s.Append(frame(1, 7, http2.FrameData, 0, "x"))
		}
		f.Till, f.Again = 30, true
		s.Diagnose(seq, f)
		if c, _ := s.Conn(1); c.NoWindow != [2]int64{} {
			t.Errorf("evicted %v: %v in the end", evict, c.NoWindow)
		}
		if list, _ := s.Stalls(1); len(list) != 2 || list[1] != (Stall{Direction: capture.Recv, Since: 10, Till: 30}) {
			t.Errorf("evicted %v: %+v", evict, list)
		}
	}
}
