// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// sections fills a store with rows in some 50 segments.
func sections(t *testing.T) *Store {
	t.Helper()
	if before := runtime.GOMAXPROCS(0); before < 2 {
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	s := small(4000, 1000)
	for i := 0; len(s.segs) < 50; i++ {
		s.Append(frame(1, uint32(i%5), http2.FrameHeaders, 0, "x", ":path", fmt.Sprint("/", i%7)))
		s.Append(frame(1, uint32(i%5), http2.FrameData, 0, "y"))
	}
	return s
}

// Segments are examined at the same time where the predicate allows it, and the
// outcome is that of one after the other.
func TestStatelessPredicateIsAskedForSeveralSegments(t *testing.T) {
	s := sections(t)
	var within atomic.Int32
	met := make(chan struct{})
	two := byField("/3")
	match := two.Match
	two.Stateless = true
	two.Match = func(r *Record) bool {
		if within.Add(1) == 2 {
			close(met) // no more than two get here before it is closed
		}
		select {
		case <-met:
		case <-time.After(time.Minute):
			t.Error("no other segment is examined")
			close(met)
		}
		return match(r)
	}
	x, y := s.Select(View{}, two), s.Select(View{}, byField("/3"))
	for _, x := range []*Selection{x, y} {
		if !x.Advance(context.Background(), time.Hour) {
			t.Fatal("an hour was not enough")
		}
	}
	// The open segment is examined again when rows come.
	for i := range 100 {
		s.Append(frame(1, 1, http2.FrameHeaders, 0, "x", ":path", fmt.Sprint("/", i%7)))
		x.Advance(context.Background(), time.Hour)
		y.Advance(context.Background(), time.Hour)
	}
	got, want := x.Progress(), y.Progress()
	got.Took, want.Took = 0, 0
	if got != want || got.Waiting > 0 || got.Matched == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	for seq := range s.Snapshot().Rows + 2 {
		if x.Has(seq) != y.Has(seq) {
			t.Fatalf("row %d is selected: %v, want %v", seq, x.Has(seq), y.Has(seq))
		}
	}
}

func TestPredicateWithStateIsAskedInOrder(t *testing.T) {
	s := sections(t)
	last := uint64(0) // under the race detector another goroutine would be seen
	x := s.Select(View{}, Predicate{Match: func(r *Record) bool {
		if r.Seq() != last+1 {
			t.Errorf("row %d after %d", r.Seq(), last)
		}
		last = r.Seq()
		return false
	}})
	for !x.Advance(context.Background(), time.Nanosecond) {
	}
	if rows := s.Snapshot().Rows; last != rows {
		t.Errorf("%d rows of %d", last, rows)
	}
}

// What Match panics with arrives where Advance was called, whoever called Match.
func TestPanicOfPredicate(t *testing.T) {
	s := sections(t)
	for seg := range 3 {
		seq := s.segs[seg].first
		x := s.Select(View{}, Predicate{Stateless: true, Match: func(r *Record) bool {
			if r.Seq() == seq {
				panic("of a predicate")
			}
			return false
		}})
		func() {
			defer func() {
				if v := recover(); v != "of a predicate" {
					t.Errorf("segment %d: recovered %v", seg, v)
				}
			}()
			x.Advance(context.Background(), time.Hour)
		}()
	}
}
