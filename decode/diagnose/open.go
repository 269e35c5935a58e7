// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"slices"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"
)

// emptied is a window of which nothing was left.
type emptied struct {
	stream    uint32 // 0: of the connection
	direction capture.Direction
	seq       uint64 // of the frame with which nothing was
}

// toldKey is a diagnosis of a window that was told of while it was used up. One
// frame can use up its stream's and its connection's, SETTINGS those of many
// streams.
type toldKey struct {
	id     ruleID
	stream uint32
	seq    uint64
}

// lowered notes the windows of streams to which the SETTINGS that the present frame
// acknowledges left nothing.
func (t *Tracker) lowered(d capture.Direction) {
	t.conn.Each(func(s *stream.Stream) bool {
		if s.Side(d).Window.EmptySeq == t.seq {
			t.note(emptied{s.ID, d, t.seq})
		}
		return true
	})
}

// emptied notes the windows that the present frame of a stream has used up, or
// that it has begun without.
func (t *Tracker) emptied(d capture.Direction, s *stream.Stream) {
	if t.conn.Half(d).Window.EmptySeq == t.seq {
		t.note(emptied{0, d, t.seq})
	}
	if s != nil && s.Side(d).Window.EmptySeq == t.seq {
		t.note(emptied{s.ID, d, t.seq})
	}
}

func (t *Tracker) note(e emptied) {
	if len(t.empty) == maxEmpty {
		t.empty = slices.DeleteFunc(t.empty, func(e emptied) bool { return t.window(e) == nil })
	}
	if len(t.empty) < maxEmpty {
		t.empty = append(t.empty, e)
	}
}

// window is the window of e; nil where it has octets again, or none are waited
// for.
func (t *Tracker) window(e emptied) *stream.Window {
	w, initial := &t.conn.Half(e.direction).Window, uint32(connectionWindow)
	if e.stream != 0 {
		s := t.conn.Stream(e.stream)
		if s == nil || s.State() == stream.Closed || s.Side(e.direction).EndStream {
			return nil
		}
		w, initial = &s.Side(e.direction).Window, t.conn.Half(e.direction.Reverse()).Acked.InitialWindowSize
	}
	if w.EmptySeq != e.seq || w.Left(initial) > 0 {
		return nil
	}
	return w
}

// Waits says that Now may have something to tell.
func (t *Tracker) Waits() bool { return len(t.empty) > 0 }

// Now says that it is now, Unix nanoseconds, for what lasts: windows that have
// been used up for long are told of before it is known for how long. What is told
// when the window has octets again, or at the end, takes its place.
func (t *Tracker) Now(now int64, emit func(*Diagnosis)) {
	if t.ended {
		return
	}
	for len(t.empty) > 0 {
		e := t.empty[0]
		w := t.window(e)
		if w != nil && now-w.EmptySince < windowOpen {
			return
		}
		t.empty = t.empty[1:]
		if w == nil || !t.conn.WindowSure(e.direction) {
			continue
		}
		id := connectionWindowExhausted
		if e.stream != 0 {
			id = streamWindowExhausted
		}
		if t.full(id) {
			continue
		}
		unseen := ""
		if w.EmptyBy == stream.BeforeData {
			unseen = notSeen
		}
		if t.told == nil {
			t.told = make(map[toldKey]bool)
		}
		t.told[toldKey{id, e.stream, e.seq}] = true
		emit(&Diagnosis{
			Code: rules[id].Code, Severity: decode.Warning, Conn: t.id, Direction: e.direction, Stream: e.stream,
			Seq: e.seq, Time: w.EmptySince, Section: rules[id].Section, Since: w.EmptySince,
			Text: t.exhausted(id, e.direction, "can") + " has " + emptyText(w.EmptyBy, "been") + " for more than " + duration(windowOpen) + ", and still is" + unseen + ".",
		})
	}
}

// endStalls tells of all windows that d uses which are used up, and takes them for
// refilled.
func (t *Tracker) endStalls(d capture.Direction, till int64, until string) {
	end := func(id ruleID, streamID uint32, w *stream.Window) {
		if w.EmptySeq == 0 {
			return
		}
		st := stream.Stall{Seq: w.EmptySeq, Since: w.EmptySince, Till: till, Direction: d, By: w.EmptyBy}
		w.EmptySeq, w.EmptySince, w.EmptyBy = 0, 0, stream.UsedUp
		t.stalled(id, streamID, st, until)
	}
	end(connectionWindowExhausted, 0, &t.conn.Half(d).Window)
	t.conn.Each(func(s *stream.Stream) bool {
		end(streamWindowExhausted, s.ID, &s.Side(d).Window)
		return true
	})
}

// loseWindows ends what is told of windows that d uses where a WINDOW_UPDATE may
// have been missed before the present frame: whether they are still used up is not
// known any more.
func (t *Tracker) loseWindows(d capture.Direction) {
	sd, sure := &t.sides[d], t.conn.WindowSure(d)
	if sd.windowSure && !sure {
		t.endStalls(d, t.row.Time, " until octets were lost, which may have refilled it")
	}
	sd.windowSure = sure
}

// exhausted begins a sentence about a window that d uses: whom it holds up, and
// who gives it.
func (t *Tracker) exhausted(id ruleID, d capture.Direction, can string) string {
	what := "connection"
	if id == streamWindowExhausted {
		what = "stream"
	}
	return "The " + t.sender(d) + " " + can + " send no DATA: the window that the " + t.sender(d.Reverse()) + " gives the " + what
}

// notSeen is said of a stream that has no window before its first DATA.
const notSeen = "; whether it has DATA to send is not seen"

// emptyText says that nothing was left of a window.
func emptyText(by stream.EmptyBy, was string) string {
	switch by {
	case stream.Lowered:
		return was + " at 0 or below, lowered by SETTINGS,"
	case stream.BeforeData:
		return was + " 0 before any DATA"
	}
	return was + " used up"
}
