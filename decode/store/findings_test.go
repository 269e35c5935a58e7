// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

func finds(code string, sev decode.Severity, stream uint32) Finding {
	return Finding{Code: code, Severity: sev, Message: "It is " + code + ".", Section: "RFC 9113, section 5.1", Stream: stream}
}

// TestFindings: what was said of a row comes back with it, wherever it is read,
// and is counted by severity.
func TestFindings(t *testing.T) {
	s := small(2000, 0)
	s.limit = 1 << 30
	for i := range 500 {
		appendRPC(s, 1, uint32(1+2*i), i)
	}
	note, warn, bad := finds("a", decode.Note, 1), finds("b", decode.Warning, 0), finds("c", decode.Error, 5)
	last := s.Snapshot().Rows
	for _, x := range []struct {
		seq uint64
		f   Finding
	}{{last, note}, {3, warn}, {16, bad}, {3, note}, {last + 1, note}} {
		s.Diagnose(x.seq, x.f)
	}
	e, err := s.Frame(3)
	if err != nil || len(e.Findings) != 2 || e.Findings[0] != warn || e.Findings[1] != note {
		t.Errorf("row 3: %+v, %v", e.Findings, err)
	}
	for _, v := range []View{{}, {Conn: 1}} {
		found := map[uint64]int{}
		for _, e := range s.Rows(v, 0, int(last)) {
			if len(e.Findings) > 0 {
				found[e.Seq] = len(e.Findings)
			}
		}
		if len(found) != 3 || found[3] != 2 || found[16] != 1 || found[last] != 1 {
			t.Errorf("%v: %v", v, found)
		}
	}
	want := FindingCounts{Notes: 3, Warnings: 1, Errors: 1}
	if got := s.Snapshot().Findings; got != want {
		t.Errorf("%+v in all, want %+v", got, want)
	}
	want.Notes = 2 // one is about a row that is not there
	if c, _ := s.Conn(1); c.Findings != want {
		t.Errorf("%+v of the connection", c.Findings)
	}
	for id, worst := range map[uint32]decode.Severity{1: decode.Note, 3: 0, 5: decode.Error} {
		if st, ok := s.Stream(1, id); !ok || st.Worst != worst {
			t.Errorf("stream %d: %v, want %v", id, st.Worst, worst)
		}
	}
}

// TestFindingsAreBounded: any number of findings takes no more than its share,
// and leaves with the rows.
func TestFindingsAreBounded(t *testing.T) {
	const limit = 8 << 20
	s := New(Options{History: limit})
	before := heap()
	n := 0
	for ; s.Snapshot().Evicted < 200_000; n++ {
		seq := s.Append(frame(1, 1, http2.FrameRSTStream, 0, "\x00\x00\x00\x08"))
		for range 20 {
			s.Diagnose(seq, finds(fmt.Sprint("x", n%7), decode.Warning, 1))
		}
		s.Diagnose(seq, Finding{Code: "long", Severity: decode.Error, Message: strings.Repeat("m", 300) + fmt.Sprint(n)})
	}
	if s.findBytes > limit/findingsShare {
		t.Errorf("findings take %d bytes", s.findBytes)
	}
	if used := heap() - before; used > limit*12/10 {
		t.Errorf("the heap grew by %d bytes, the limit is %d", used, limit)
	}
	snap := s.Snapshot()
	if snap.Findings.Warnings != uint64(20*n) || snap.Findings.Errors != uint64(n) || snap.HistoryUsed > limit {
		t.Errorf("%+v after %d", snap, n)
	}
	if e, err := s.Frame(snap.Evicted + 1); err != nil || len(e.Findings) > maxRowFindings {
		t.Errorf("%d findings, %v", len(e.Findings), err)
	}
	for len(s.segs) > 1 {
		s.mu.Lock()
		s.evict()
		s.dropIdle()
		s.mu.Unlock()
	}
	if kept := s.segs[0].findBytes; s.findBytes != kept {
		t.Errorf("%d bytes of findings of evicted rows", s.findBytes-kept)
	}
}

// TestFindingsOf: the newest findings of one connection, and whether there are
// more.
func TestFindingsOf(t *testing.T) {
	s := small(2000, 0)
	s.limit = 1 << 30
	for i := range 100 {
		for id := capture.ConnID(1); id <= 2; id++ {
			seq := s.Append(frame(id, 1, http2.FrameRSTStream, 0, "\x00\x00\x00\x08"))
			s.Diagnose(seq, finds(fmt.Sprint("x", i), decode.Note, uint32(i%2)))
		}
	}
	if len(s.segs) < 3 {
		t.Fatal("all in one segment")
	}
	list, more := s.FindingsOf(2, 1000, nil)
	if len(list) != 100 || more {
		t.Fatalf("%d, %v", len(list), more)
	}
	for i, f := range list {
		if f.Seq != uint64(2*i+2) || f.Code != fmt.Sprint("x", i) {
			t.Fatalf("%d: %+v", i, f)
		}
	}
	list, more = s.FindingsOf(2, 10, func(f *Found) bool { return f.Stream == 1 })
	if len(list) != 10 || !more || list[9].Code != "x99" || list[0].Code != "x81" {
		t.Errorf("%v, %+v", more, list)
	}
	if list, more := s.FindingsOf(3, 10, nil); len(list) > 0 || more {
		t.Error("a connection that is not there has some")
	}
}
