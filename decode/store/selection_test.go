// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/capture"
)

// byField accepts rows with a field of that value.
func byField(value string) Predicate {
	accepts := func(f *RawField) bool { return string(f.Value) == value }
	return Predicate{Memos: 1, Match: func(r *Record) bool { return r.AnyField(0, accepts) }}
}

// A Selection is advanced and read while rows come and are evicted.
func TestSelectionWhileEvicting(t *testing.T) {
	s := small(4000, 6)
	odd := byField("/odd")
	odd.Stateless = true
	x := s.Select(View{}, odd)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			x.Advance(ctx, time.Millisecond)
		}
	})
	v := View{Selection: x}
	for range 2 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				first, end := s.Span(v)
				last := uint64(0)
				for _, e := range s.Rows(v, first+(end-first)/2, 20) {
					if e.Seq%7 != 1 || len(e.Fields) != 1 || e.Fields[0].Value != "/odd" || e.Seq <= last {
						t.Errorf("row %d after %d has fields %v", e.Seq, last, e.Fields)
						return
					}
					last = e.Seq
				}
				s.Find(v, last)
				x.Has(last)
				x.Progress()
			}
		})
	}
	rows := uint64(100_000)
	if testing.Short() {
		rows = 10_000
	}
	for i := range rows {
		path := "/even"
		if i%7 == 0 {
			path = "/odd"
		}
		s.Append(frame(capture.ConnID(1+i%3), uint32(i%5), http2.FrameHeaders, 0, fmt.Sprint(i), ":path", path))
	}
	cancel()
	wg.Wait()
	if !x.Advance(context.Background(), time.Hour) {
		t.Fatal("an hour was not enough")
	}
	var want uint64
	for seq := s.Snapshot().Evicted + 1; seq <= rows; seq++ {
		if seq%7 == 1 {
			want++
		}
		if x.Has(seq) != (seq%7 == 1) {
			t.Fatalf("row %d is selected: %v", seq, x.Has(seq))
		}
	}
	if first, end := s.Span(v); end-first != want || want == 0 {
		t.Errorf("%d rows are selected, want %d", end-first, want)
	}
}

// A slice of time that is over leaves the rest for the next, and a context
// that has ended stops it.
func TestSelectionInSlices(t *testing.T) {
	s := New(Options{})
	for range 100_000 {
		s.Append(frame(1, 1, http2.FrameData, 0, ""))
	}
	x := s.Select(View{}, Predicate{Match: func(*Record) bool { return true }})
	if x.Advance(context.Background(), 0) {
		t.Fatal("everything was examined in no time")
	}
	p := x.Progress()
	if p.Examined == 0 || p.Examined+p.Waiting != 100_000 || p.Matched != p.Examined {
		t.Fatalf("%+v", p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if x.Advance(ctx, time.Hour) {
		t.Fatal("everything was examined though the context had ended")
	}
	for !x.Advance(context.Background(), 0) {
	}
	if p := x.Progress(); p.Matched != 100_000 || p.Waiting != 0 || p.Took == 0 {
		t.Fatalf("%+v", p)
	}
}

// A Predicate is asked of each row of its View once, in their order, also as
// rows come.
func TestSelectionOrder(t *testing.T) {
	s := small(1000, 6)
	for _, v := range []View{{}, {Conn: 2}, {Conn: 2, Stream: 3, HasStream: true}, {Stream: 3, HasStream: true}} {
		asked := uint64(0)
		x := s.Select(v, Predicate{Match: func(r *Record) bool {
			if r.Seq() <= asked {
				t.Fatalf("%+v: row %d after %d", v, r.Seq(), asked)
			}
			asked = r.Seq()
			return true
		}})
		for i := range uint64(3000) {
			s.Append(frame(capture.ConnID(1+i%3), uint32(i%5), http2.FrameData, 0, "x"))
			if i%700 == 0 {
				x.Advance(context.Background(), time.Hour)
			}
		}
		x.Advance(context.Background(), time.Hour)
		first, end := s.Span(v)
		if a, b := s.Span(View{Selection: x}); end-first != b-a || end == first {
			t.Errorf("%+v: %d rows, %d were accepted", v, end-first, b-a)
		}
	}
}
