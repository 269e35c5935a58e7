// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"

	"pgregory.net/rapid"
)

func barText(w *waterfall, t *store.StreamSummary, role capture.Role, n int) string {
	var b strings.Builder
	for _, s := range w.bar(t, role, n) {
		b.WriteString(waterSigns[s])
	}
	return b.String()
}

func TestWaterfallBars(t *testing.T) {
	const t0 = int64(1e18)
	phase := func(begin, data, last int64) store.Phase {
		p := store.Phase{Begin: t0 + begin, Last: t0 + last}
		if data > 0 {
			p.Data = t0 + data
		}
		return p
	}
	w := &waterfall{axis: timeRange{t0, t0 + 100}, until: t0 + 100}
	stalled := *w
	stalled.stalls = []store.Stall{{Stream: 1, Since: t0 + 40, Till: t0 + 60}, {Stream: 3, Since: t0, Till: t0 + 100},
		{Stream: 0, Since: t0 + 70, Till: t0 + 200}}
	whole := store.StreamSummary{ID: 1, Frames: 9, First: t0, Last: t0 + 90, EndSend: true, EndRecv: true,
		Phases: [2]store.Phase{phase(0, 5, 20), phase(50, 60, 90)}}
	swapped := whole
	swapped.Phases = [2]store.Phase{whole.Phases[1], whole.Phases[0]}
	upload := whole
	upload.Phases = [2]store.Phase{phase(0, 5, 80), phase(81, 81, 90)}
	both := whole
	both.Phases = [2]store.Phase{phase(0, 5, 80), phase(30, 40, 90)}
	waits := store.StreamSummary{ID: 1, Frames: 1, First: t0 + 10, Last: t0 + 10, EndSend: true, Phases: [2]store.Phase{phase(10, 0, 10)}}
	now, closed := *w, *w
	now.until, closed.until, closed.closed = t0+70, t0+70, t0+70
	short := whole
	short.Phases = [2]store.Phase{phase(35, 0, 35), phase(44, 44, 45)}
	swift := whole
	swift.Phases = [2]store.Phase{phase(38, 0, 38), phase(41, 41, 55)}
	reset := whole
	reset.Reset = true
	pushed := store.StreamSummary{ID: 2, Frames: 2, First: t0 + 20, Last: t0 + 40, EndSend: true, EndRecv: true,
		Phases: [2]store.Phase{capture.Recv: phase(20, 30, 40)}}
	for _, c := range []struct {
		name string
		w    *waterfall
		t    store.StreamSummary
		role capture.Role
		want string
	}{
		{"request and response", w, whole, capture.Client, "▒▒▒··█████"},
		{"both at once", w, both, capture.Client, "▒▒▒▓▓▓▓▓▓█"},
		{"as the server sees it", w, swapped, capture.Server, "▒▒▒··█████"},
		{"held up", &stalled, upload, capture.Client, "▒▒▒▒░░░░░█"},
		{"no answer yet", w, waits, capture.Client, " ▒·······▷"},
		{"no answer yet, the axis goes beyond now", &now, waits, capture.Client, " ▒·····▷  "},
		{"never answered", &closed, waits, capture.Client, " ▒······  "},
		{"a wait of one column", w, short, capture.Client, "   ·█     "},
		{"a short wait", w, swift, capture.Client, "   ▒██    "},
		{"reset", w, reset, capture.Client, "▒▒▒··████✗"},
		{"pushed", w, pushed, capture.Client, "  ███     "},
		{"pushed, as it is without a role", w, pushed, capture.RoleUnknown, "  ███     "},
		{"nothing", w, store.StreamSummary{ID: 1}, capture.Client, "          "},
	} {
		if got := barText(c.w, &c.t, c.role, 10); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestWaterfallAxis: the axis holds what is in sight until it is moved, and 0
// brings it back.
func TestWaterfallAxis(t *testing.T) {
	m := newScreen(talkative(t).st, 120, 36, Options{})
	press(m, "1 enter g")
	w := &m.strms.water
	fit := w.axis
	if fit.empty() || w.manual {
		t.Fatalf("%+v", fit)
	}
	press(m, "+")
	if n := w.axis.to - w.axis.from; n != (fit.to-fit.from)/2 {
		t.Errorf("+ gives %d of %d", n, fit.to-fit.from)
	}
	before := w.axis
	press(m, "right")
	if w.axis.from <= before.from || w.axis.to-w.axis.from != before.to-before.from {
		t.Errorf("%+v after %+v", w.axis, before)
	}
	press(m, "left - 0")
	if w.axis != fit {
		t.Errorf("0 gives %+v, not %+v", w.axis, fit)
	}
	press(m, "W")
	if !m.zoomed || m.focus != paneStreams || m.strms.columnWidth(streamBar) < 59 {
		t.Errorf("W: the bars have %d cells", m.strms.columnWidth(streamBar))
	}
	press(m, "W")
	if m.zoomed || m.strms.wide {
		t.Error("W again does not lead back")
	}
	press(m, "W z")
	if m.zoomed || m.strms.wide {
		t.Error("z does not lead back")
	}
}

// Two messages in each direction, one of them across frames.
func TestGRPCMarks(t *testing.T) {
	tr := talkative(t)
	marks := func(stream uint32) []int64 {
		return messageTimes(tr.st.Rows(store.View{Conn: 1, Stream: stream, HasStream: true}, 0, maxMarkRows))
	}
	if n := len(marks(3)); n != 3 {
		t.Errorf("%d messages are marked", n)
	}
	if n := len(marks(1)); n != 0 {
		t.Errorf("%d messages of what is no gRPC", n)
	}
}

// The status of a gRPC call is shown where that of HTTP tells nothing: in the
// streams, and in the frame that has both.
func TestGRPCStatus(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	call := func(id uint32) {
		k.recv().headers(id, true, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/shop.v1.Orders/Get", "content-type", "application/grpc")
	}
	call(1) // succeeds
	k.send().headers(1, false, ":status", "200", "content-type", "application/grpc")
	k.send().data(1, false, "\x00\x00\x00\x00\x01x")
	k.send().headers(1, true, "grpc-status", "0")
	call(3) // fails at once
	k.send().headers(3, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12", "grpc-message", "nope")
	call(5) // fails before gRPC
	k.send().headers(5, true, ":status", "503", "content-type", "application/grpc", "grpc-status", "14")
	call(7) // goes on
	k.send().headers(7, false, ":status", "200", "content-type", "application/grpc")
	k.recv().headers(9, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "grpc-status", "5")
	k.send().headers(9, true, ":status", "200")

	call(11)
	k.send().headers(11, true, ":status", "200", "grpc-status", "99") // no code that has a name
	call(13)
	k.send().headers(13, true, ":status", "200", "grpc-status", "none")

	k.recv().headers(15, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/get")
	k.send().headers(15, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5")

	m := newScreen(tr.st, 200, 60, Options{})
	type want struct{ sid, status, state string }
	check := func(all []want) {
		t.Helper()
		for _, want := range all {
			found := false
			for _, r := range m.strms.rows {
				if r.cells[streamID].text == want.sid {
					found = r.cells[streamStatus].text == want.status && r.cells[streamState].text == want.state
				}
			}
			if !found {
				t.Errorf("stream %s has no status %s, %s:\n%s", want.sid, want.status, want.state, m.View())
			}
		}
	}
	check([]want{{"1", "OK", "closed"}, {"3", "g12", "UNIMPLEMENTED"}, {"5", "503", "closed"}, {"7", "200", "hc-remote"},
		{"9", "200", "closed"}, {"11", "g99", "closed"}, {"13", "g?", "closed"}, {"15", "g5", "NOT_FOUND"}})
	press(m, "2 z")
	check([]want{{"1", "OK", "closed"}, {"3", "UNIMPLEMENTED", "closed"}})
	press(m, "z")
	enter(m, "sort st")
	var order []uint32
	for i := range m.strms.streams {
		order = append(order, m.strms.streams[i].ID)
	}
	if want := []uint32{5, 11, 3, 15, 13, 1, 9, 7}; !slices.Equal(order, want) {
		t.Errorf("sorted by status: %v, want %v", order, want)
	}
	enter(m, "sort")
	press(m, "3")
	press(m, "G k k k k k k k k k k k k k")
	if v := m.View(); !strings.Contains(v, "grpc-status 12 UNIMPLEMENTED, :status: 200") {
		t.Errorf("the frame does not tell its status:\n%s", v)
	}
	m.resize(84, 24)
	if v := press(m, "j j").View(); !strings.Contains(v, "grpc 12 UNIMPLEMENTED") {
		t.Errorf("in few cells the frame does not tell its status:\n%s", v)
	}
}

// Whatever the times, a bar has its width.
func TestAnyBar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.OneOf(rapid.Int64Range(-10, 200), rapid.Int64())
		one := func() store.Phase {
			return store.Phase{Begin: times.Draw(t, "b"), Data: times.Draw(t, "d"), Last: times.Draw(t, "l")}
		}
		s := store.StreamSummary{ID: 1, Frames: 3, First: times.Draw(t, "first"), Last: times.Draw(t, "last"),
			Reset: rapid.Bool().Draw(t, "reset"), EndSend: rapid.Bool().Draw(t, "end"), Phases: [2]store.Phase{one(), one()}}
		w := &waterfall{axis: timeRange{times.Draw(t, "from"), times.Draw(t, "to")},
			stalls: []store.Stall{{Stream: uint32(rapid.IntRange(0, 1).Draw(t, "stalled")), Since: times.Draw(t, "since"), Till: times.Draw(t, "till")}}}
		n := rapid.IntRange(0, 80).Draw(t, "n")
		if got := barText(w, &s, capture.Role(rapid.IntRange(0, 2).Draw(t, "role")), n); width(got) != n {
			t.Fatalf("%q is not %d wide", got, n)
		}
		for range 3 {
			w.zoom(rapid.Bool().Draw(t, "in"), &s)
			w.pan(rapid.IntRange(-1, 1).Draw(t, "pan"))
		}
		if h := w.head(n, 0); width(h) > n {
			t.Fatalf("head %q for %d", h, n)
		}
	})
}

// The messages of a stream that goes on are marked in the end, and those found
// before stay in sight meanwhile.
func TestMarksOfAStreamThatGoesOn(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	message := "\x00\x00\x00\x00\x01x"
	k.recv().headers(1, true, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/s.S/Watch", "content-type", "application/grpc")
	k.send().headers(1, false, ":status", "200", "content-type", "application/grpc")
	k.send().data(1, false, message)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	marks := func() int { return len(m.strms.water.marks[markKey{1, 1}].times) }
	if marks() != 1 {
		t.Fatalf("%d messages are marked", marks())
	}
	m.strms.water.sought = time.Hour
	k.send().data(1, false, message)
	do(m, later(1))
	if marks() != 1 || !m.strms.water.late {
		t.Errorf("%d messages are marked before it is time", marks())
	}
	m.strms.water.sought = 0
	do(m, later(2)) // nothing is new
	if marks() != 2 || m.strms.water.late {
		t.Errorf("%d messages are marked in the end", marks())
	}
}
