// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"golang.org/x/net/http2"
)

// Whatever fills the history, no Append forgets much of what an evicted segment
// kept alive at once, since readers wait for it; and the limit holds.
func TestEvictionIsSpreadOverAppends(t *testing.T) {
	const limit = 16 << 20
	for _, tt := range boundTraffics()[:5] {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Options{History: limit})
			evictions, most := 0, 0
			for i := 0; evictions < 100; i++ {
				before := progress(s)
				num := s.segs[0].num
				tt.add(s, i)
				after := progress(s)
				switch {
				case s.segs[0].num > num:
					evictions += int(s.segs[0].num - num)
					if len(before) > 0 && before[0].g == after[0].g || len(after) > 1 {
						t.Fatalf("segment %d leaves before another has left", after[len(after)-1].g.num)
					}
				case len(before) > 0 && len(after) > 0:
					most = max(most, after[0].at-before[0].at)
				case len(before) > 0:
					most = max(most, 2*len(before[0].dir.entries)-before[0].at)
				}
				if used := s.used(); used > limit {
					t.Fatalf("%d octets are used of %d", used, limit)
				}
			}
			if most > 512 {
				t.Errorf("%d entries were forgotten at once", most)
			}
		})
	}
}

// progress is a copy of what is leaving.
func progress(s *Store) []departure {
	var list []departure
	for _, d := range s.leaving {
		list = append(list, *d)
	}
	return list
}

// A stream whose rows have been evicted, and which goes on before it has been
// forgotten, or just after, keeps its place in its views.
func TestStreamGoesOnWhileItsSegmentLeaves(t *testing.T) {
	const streams = 200
	for late := range 2 * streams {
		s := New(Options{History: MinHistory})
		end := make(map[View]uint64)
		row := func(id uint32) {
			s.Append(frame(1, id, http2.FrameData, 0, "x"))
			for _, v := range []View{{Stream: id, HasStream: true}, {Conn: 1, Stream: id, HasStream: true}} {
				_, n := s.Span(v)
				end[v] = n
			}
		}
		for id := range uint32(streams) {
			row(1 + 2*id)
		}
		for s.segs[0].num == 0 {
			s.Append(frame(2, 1, http2.FrameData, 0, "y"))
		}
		for range late {
			s.Append(frame(2, 1, http2.FrameData, 0, "y"))
		}
		if left := len(s.leaving) > 0 && s.leaving[0].g.num == 0; !left {
			if late == 0 {
				t.Fatal("nothing is leaving")
			}
			return
		}
		for id := range uint32(streams) {
			id = 1 + 2*id
			if id == 1 {
				continue // which the other connection has too
			}
			for _, v := range []View{{Stream: id, HasStream: true}, {Conn: 1, Stream: id, HasStream: true}} {
				was := end[v]
				s.Append(frame(1, id, http2.FrameData, 0, "x"))
				if first, n := s.Span(v); first < was || n != first+1 && n != first+2 {
					t.Fatalf("%d rows later: the rows of %+v ended with %d, the next are %d to %d", late, v, was, first, n)
				}
			}
		}
	}
	t.Error("it never left")
}
