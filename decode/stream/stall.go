// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"h2sniff/capture"
	"h2sniff/decode"
)

// EmptyBy is what left a sender without a window.
type EmptyBy uint8

const (
	// UsedUp: by a DATA frame.
	UsedUp EmptyBy = iota
	// Lowered: SETTINGS took what was left to a stream that has sent DATA. The row
	// is their acknowledgement.
	Lowered
	// BeforeData: the stream began without one, or SETTINGS took it before any
	// DATA. The row ends its HEADERS or is the acknowledgement. Whether there was
	// DATA to send is not seen.
	BeforeData
)

// Stall is a window of which nothing was left, and that has octets again or never
// will.
type Stall struct {
	Seq         uint64 // of the row with which nothing was left; 0 for no stall
	Since, Till int64  // Unix nanoseconds
	Direction   capture.Direction
	By          EmptyBy
	// Next is the time of the DATA that followed, if that is what told of the end.
	Next int64
	// Ended says that the direction ended meanwhile: no DATA waited.
	Ended bool
}

// Held tells whether DATA is known to have waited, or would have: of a window that
// was empty BeforeData only DATA that follows tells, soon after it was opened.
func (s *Stall) Held() bool {
	if s.By == BeforeData {
		return s.Next != 0 && s.Next-s.Till <= s.Till-s.Since
	}
	return !s.Ended
}

// stall ends the time for which a window was empty.
func stall(w *Window, d capture.Direction, t int64) Stall {
	st := Stall{Seq: w.EmptySeq, Since: w.EmptySince, Till: t, Direction: d, By: w.EmptyBy}
	w.empty(0, 0, UsedUp)
	return st
}

// streamStall is stall for a stream, whose window can have been opened before.
func (c *Conn) streamStall(s *Stream, carries capture.Direction, t int64) Stall {
	w := &s.sides[carries].Window
	opened := w.opened
	st := stall(w, carries, t)
	if raised := c.halves[carries.Reverse()].raisedAt; st.Seq != 0 && raised > st.Since {
		st.Till = min(st.Till, raised)
	}
	if opened != 0 {
		st.Till = min(st.Till, opened)
	}
	return st
}

// lowered begins the stalls of streams to which the SETTINGS that the row
// acknowledges left nothing (RFC 9113, section 6.9.2), and tells whether there
// are any.
func (c *Conn) lowered(seq uint64, row *decode.Row) (any bool) {
	d := row.Direction & 1
	if !c.WindowSure(d) {
		return false
	}
	initial := c.halves[d.Reverse()].Acked.InitialWindowSize
	for s := c.open.first; s != nil; s = s.next {
		sd := &s.sides[d]
		w, by := &sd.Window, Lowered
		if w.Consumed == 0 {
			by = BeforeData
		}
		if sd.Headers && w.EmptySeq == 0 && w.Left(initial) <= 0 && !sd.EndStream && !s.Unseen {
			w.empty(seq, row.TimeEnd, by)
			any = true
		}
	}
	return any
}

// beginEmpty notes that a message begins without a window for its DATA.
func (c *Conn) beginEmpty(seq uint64, row *decode.Row, ch *Change) {
	d := row.Direction & 1
	s := ch.Stream
	sd := &s.sides[d]
	if w := &sd.Window; (ch.Section == Request || ch.Section == Response) && sd.Headers && w.EmptySeq == 0 && w.Consumed == 0 &&
		w.Left(c.halves[d.Reverse()].Acked.InitialWindowSize) <= 0 && s.state != Closed && !s.Unseen && c.WindowSure(d) {
		w.empty(seq, row.TimeEnd, BeforeData)
	}
}
