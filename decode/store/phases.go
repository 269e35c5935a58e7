// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Phase is what one direction of a stream has carried and when, Unix
// nanoseconds; 0 where there was none. Interim responses (1xx) are left out: they
// are not what a client waits for. Times of a stream that began more than
// seconds ago are good to about a ten-millionth of its age.
type Phase struct {
	Begin int64 // first octet of the first HEADERS or DATA frame
	Data  int64 // first octet of the first DATA frame
	Last  int64 // last octet of the last HEADERS or DATA frame
}

// phaseRec is a Phase as it is kept: nanoseconds since the stream's first
// frame, which a float32 holds in 4 octets for a stream of any age.
type phaseRec struct {
	begin, data, last float32
	begun, hasData    bool
	final             bool // a field section was seen that is no interim response's
}

// add takes a frame of a stream that began at first.
func (p *phaseRec) add(first int64, row *decode.Row) {
	switch row.Header.Type {
	case http2.FrameData:
		if !p.hasData {
			p.hasData, p.data = true, float32(row.Time-first)
		}
	case http2.FrameHeaders, http2.FrameContinuation:
	default:
		return
	}
	if !p.begun {
		p.begun, p.begin = true, float32(row.Time-first)
	}
	p.last = max(p.last, float32(max(row.Time, row.TimeEnd)-first))
	switch {
	case !row.HasFields || p.final:
	case interim(row.Fields) && !p.hasData:
		*p = phaseRec{}
	default:
		p.final = true
	}
}

func (p *phaseRec) phase(first int64) (out Phase) {
	if p.begun {
		out.Begin = first + int64(p.begin)
		out.Last = max(first+int64(p.last), out.Begin)
	}
	if p.hasData {
		out.Data = first + int64(p.data)
	}
	return out
}

// Stall is a time for which flow control held up a sender: a window that was
// used up.
type Stall struct {
	Stream      uint32 // 0: the window of the connection
	Direction   capture.Direction
	Since, Till int64 // Unix nanoseconds; Till is 0 where it goes on
}

// maxStalls is how many stalls of a connection are kept, the newest.
const maxStalls = 512

const stallCost = 24

// addStall keeps a stall that a finding of a DATA frame of direction d tells of. What
// is told of its end takes the place of what was before.
func (s *Store) addStall(c *connState, d capture.Direction, f *Finding) {
	if f.Since == 0 {
		return
	}
	if f.Again {
		c.stalls = slices.DeleteFunc(c.stalls, func(st Stall) bool {
			return st.Stream == f.Stream && st.Direction == d && st.Since == f.Since && st.Till == 0
		})
	}
	if f.Stream == 0 {
		c.NoWindow[d&1] = 0
		if f.Till == 0 {
			c.NoWindow[d&1] = f.Since
		}
	}
	st := Stall{Stream: f.Stream, Direction: d, Since: f.Since, Till: f.Till}
	if len(c.stalls) == maxStalls {
		c.stalls = append(c.stalls[:0], c.stalls[1:]...)
	}
	before := cap(c.stalls)
	c.stalls = append(c.stalls, st)
	s.connBytes += int64(cap(c.stalls)-before) * stallCost
}

// Stalls returns the newest stalls of a connection and of its streams, in the
// order in which they ended or, those that go on, were told of, and whether there may have been older ones.
func (s *Store) Stalls(id capture.ConnID) (stalls []Stall, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.conns[id]
	if c == nil {
		return nil, false
	}
	return append(stalls, c.stalls...), len(c.stalls) == maxStalls
}
