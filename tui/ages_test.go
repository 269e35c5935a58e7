// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/diagnose"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// hung is a connection with a request that was answered, and one that is not.
func hung(t *testing.T) (*traffic, *talk) {
	t.Helper()
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/nodata")
	return tr, k
}

// cellsOf are the time and the wait of a stream, as they are shown.
func cellsOf(t *testing.T, m *Model, id uint32) string {
	t.Helper()
	i := slices.Index(idsOf(m), id)
	if i < 0 {
		t.Fatalf("stream %d is not in sight", id)
	}
	c := m.strms.rows[i].cells
	return c[streamWait].text + " " + c[streamTime].text + " " + c[streamState].text
}

func idsOf(m *Model) (ids []uint32) {
	for i := range m.strms.streams {
		ids = append(ids, m.strms.streams[i].ID)
	}
	return ids
}

// atSecond is the tick n seconds after the first.
func atSecond(n int64) tickMsg { return tickMsg(time.Unix(1000+n, 0)) }

// What has not ended lasts until now, until a pause, until the close of its
// connection.
func TestOpenStreamLasts(t *testing.T) {
	tr, k := hung(t)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter")
	ended := cellsOf(t, m, 1)
	expect := func(when, want string) {
		t.Helper()
		if got := cellsOf(t, m, 3); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
		if got := cellsOf(t, m, 1); got[:10] != ended[:10] {
			t.Errorf("%s: of what has ended %q, it was %q", when, got, ended)
		}
		if err := checkScreen(m); err != nil {
			t.Error(err)
		}
	}
	for i := range int64(6) {
		do(m, atSecond(i))
	}
	expect("5 s in", "5.0s 5.0s hc-remote")
	if axis := m.strms.water.axis; axis.to-axis.from < int64(5*time.Second) {
		t.Errorf("the axis is %s long", span(axis.to-axis.from))
	}
	if bar := barOf(m, 3); !strings.HasSuffix(bar, "·····▷") {
		t.Errorf("5 s in: %q", bar)
	}
	press(m, "space")
	do(m, atSecond(9))
	press(m, "g j k")
	expect("while paused", "5.0s 5.0s hc-remote")
	press(m, "space")
	do(m, atSecond(10))
	expect("after the pause", "10.0s 10.0s hc-remote")
	// A row of another connection does not set the time back.
	tr.now += int64(3 * time.Second)
	tr.requests(1)
	do(m, later(301))
	expect("with the rows of others", "10.0s 10.0s hc-remote")
	tr.now += int64(9 * time.Second)
	k.close()
	do(m, atSecond(13), atSecond(20))
	expect("when the connection is closed", "12.0s 12.0s unfinished")
	if bar := barOf(m, 3); !strings.HasSuffix(bar, "······") {
		t.Errorf("when the connection is closed: %q", bar)
	}
}

// barOf is the bar of a stream as it is shown.
func barOf(m *Model, id uint32) (bar string) {
	for _, run := range m.strms.rows[slices.Index(idsOf(m), id)].runs {
		bar += run.text
	}
	return bar
}

// Ages are drawn anew once a second, and only those in sight.
func TestOpenStreamIsDrawnNowAndThen(t *testing.T) {
	tr, k := hung(t)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter")
	drawn := func(from, to int) (n int) {
		for i := from; i < to; i++ {
			m.View()
			if do(m, later(i)); m.dirty {
				n++
			}
		}
		return n
	}
	drawn(1, 60) // what else there is to show at first
	if n := drawn(60, 360); n < 9 || n > 11 {
		t.Errorf("drawn %d times in 10 s", n)
	}
	press(m, "3 z")
	if n := drawn(360, 660); n > 0 {
		t.Errorf("drawn %d times in 10 s, out of sight", n)
	}
	press(m, "z space")
	if n := drawn(660, 960); n > 0 {
		t.Errorf("drawn %d times in 10 s while paused", n)
	}
	press(m, "space")
	k.send().headers(3, true, ":status", "504")
	drawn(960, 1020)
	if n := drawn(1020, 1320); n > 0 {
		t.Errorf("drawn %d times in 10 s after the end", n)
	}
	if got := cellsOf(t, m, 3); !strings.HasSuffix(got, " closed") {
		t.Errorf("%q", got)
	}
}

// What a file tells of ends with its last row, of whatever connection, and so
// does what comes through a pipe, when that has ended.
func TestOpenStreamOfFile(t *testing.T) {
	for _, o := range []Options{{}, {Live: true, Status: func() Status { return Status{Done: true} }}} {
		tr, _ := hung(t)
		tr.now += int64(7 * time.Second)
		tr.requests(1)
		m := newScreen(tr.st, 200, 60, o)
		press(m, "1 g enter")
		do(m, atSecond(20))
		if got := cellsOf(t, m, 3); got != "7.0s 7.0s hc-remote" {
			t.Errorf("live %v: %q", o.Live, got)
		}
	}
}

// Sorted by time or wait, what goes on passes what took longer for a while.
func TestOpenStreamsSorted(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	request := func(id uint32) {
		k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", fmt.Sprintf("/%d", id))
	}
	request(1)
	tr.now += int64(3 * time.Second)
	k.send().headers(1, true, ":status", "200")
	request(3) // never answered
	for _, by := range []string{"time", "wait"} {
		m := newScreen(tr.st, 200, 60, Options{Live: true})
		press(m, "1 g enter g")
		do(m, later(1))
		enter(m, "sort "+by)
		do(m, atSecond(1))
		if got := idsOf(m); !slices.Equal(got, []uint32{1, 3}) {
			t.Errorf("by %s: %v", by, got)
		}
		m.strms.order.took = 0 // how long it took says when there is another
		for i := int64(2); i <= 5; i++ {
			do(m, atSecond(i))
			m.strms.order.took = 0
		}
		if got := idsOf(m); !slices.Equal(got, []uint32{3, 1}) {
			t.Errorf("by %s, 5 s later: %v", by, got)
		}
	}
}

// lasts has the tracker of the connection told that time has passed.
func (k *talk) lasts(d time.Duration) {
	k.tracker.Now(k.t.now+int64(d), func(d *diagnose.Diagnosis) {
		k.t.st.Diagnose(d.Seq, store.Finding{
			Code: d.Code, Severity: d.Severity, Message: d.Text, Stream: d.Stream,
			Conn: d.Conn, Direction: d.Direction, Since: d.Since, Till: d.Till, Again: d.Again,
		})
	})
}

// A window that is still used up shows: in the bar, the header, the flow tab, and
// to e.
func TestStallThatGoesOn(t *testing.T) {
	tr, k := hung(t)
	k.send().headers(3, false, ":status", "200")
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<20) })
	for _, n := range []int{16384, 16384, 16384, 16383} {
		k.send().data(3, false, strings.Repeat("x", n))
	}
	tr.now += int64(200 * time.Millisecond)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 100) })
	k.send().data(3, false, strings.Repeat("x", 100))
	last := tr.st.Snapshot().Rows
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	do(m, atSecond(1))
	k.lasts(4 * time.Second)
	for i := range int64(6) {
		do(m, atSecond(i))
	}
	if bar := barOf(m, 3); !strings.HasSuffix(bar, "░░░░░▷") {
		t.Errorf("5 s in: %q", bar)
	}
	if bar := barOf(m, 1); strings.Contains(bar, "░") {
		t.Errorf("of what had ended before: %q", bar)
	}
	press(m, "3 g e e")
	if got := selectedSeq(t, m); got != last {
		t.Errorf("e leads to row %d, not %d", got, last)
	}
	flow := func(want string) {
		t.Helper()
		if v := m.View(); !strings.Contains(v, want) {
			t.Errorf("no %q on\n%s", want, v)
		}
	}
	flow("stalled, still")
	flow("and still is")
	press(m, "] ] ] ]")
	flow("window of stream 3 used up by")
	flow("for 5.0s so far")
	flow("held up 2 times, 5.2s in all")
	do(m, atSecond(6), atSecond(7))
	flow("for 7.0s so far")
	tr.now += int64(8 * time.Second)
	k.close()
	do(m, atSecond(8), atSecond(9))
	flow("for 8.0s until the connection closed")
	flow("stalled 8.0s")
	if bar := barOf(m, 3); !strings.HasSuffix(bar, "░░░░░") {
		t.Errorf("in the end: %q", bar)
	}
	press(m, "[ [ [ [")
	flow("was used up for 8")
}

// When the window of a connection was refilled is told also where no frame of the
// stream came after that.
func TestStallThatOthersEnd(t *testing.T) {
	tr, k := hung(t)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 1<<20) })
	k.send().headers(3, false, ":status", "200")
	for _, n := range []int{16384, 16384, 16384, 16379} { // and 4 of stream 1
		k.send().data(3, false, strings.Repeat("x", n))
	}
	last := tr.st.Snapshot().Rows
	k.recv().headers(5, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/later")
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	m.jump(last)
	do(m, atSecond(1))
	press(m, "4 ] ] ] ]")
	shows := func(want string) {
		t.Helper()
		if v := m.View(); !strings.Contains(v, want) {
			t.Errorf("no %q on\n%s", want, v)
		}
	}
	shows("and not refilled in the rows shown here")
	k.lasts(2 * time.Second)
	do(m, atSecond(2), atSecond(3))
	shows("for 3.0s so far")
	tr.now += int64(4 * time.Second)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<20) })
	do(m, atSecond(4), atSecond(5))
	shows("window of the connection used up by #14")
	shows("for 4.0s")
	if v := m.View(); strings.Contains(v, "so far") {
		t.Errorf("still:\n%s", v)
	}
}

// The flow tab and the bar tell of windows of which no DATA frame took the last.
func TestStallWithoutDataFrame(t *testing.T) {
	tr, k := hung(t)
	initial := func(n uint32) {
		k.recv().write(func(f *http2.Framer) error {
			return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: n})
		})
		k.send().write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	}
	k.send().write(func(f *http2.Framer) error { return f.WriteSettingsAck() }) // of the first ones
	k.send().headers(3, false, ":status", "200")
	k.send().data(3, false, strings.Repeat("x", 1000))
	initial(0)
	lowered := tr.st.Snapshot().Rows
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 100) }) // too few
	tr.now += int64(time.Second)
	k.recv().headers(5, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/later")
	k.send().headers(5, false, ":status", "200")
	began := tr.st.Snapshot().Rows
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter")
	k.lasts(4 * time.Second)
	for i := range int64(6) {
		do(m, atSecond(i))
	}
	shows := func(seq uint64, want string) {
		t.Helper()
		m.jump(seq)
		do(m, atSecond(6), atSecond(7))
		if v := m.View(); !strings.Contains(v, want) {
			t.Errorf("no %q on\n%s", want, v)
		}
	}
	if bar := barOf(m, 3); !strings.HasSuffix(bar, "░░░░░▷") {
		t.Errorf("stream 3: %q", bar)
	}
	if bar := barOf(m, 5); !strings.HasSuffix(bar, "?????▷") || strings.Contains(bar, "░") {
		t.Errorf("stream 5: %q", bar)
	}
	press(m, "4 ] ] ] ]")
	shows(lowered-2, fmt.Sprintf("window of stream 3 lowered to 0 or below by SETTINGS, acknowledged in #%d at", lowered))
	shows(began, fmt.Sprintf("window of stream 5 at 0 before any DATA, since #%d at", began))
	shows(began, "whether stream 5, without DATA so")
	tr.now += int64(4 * time.Second)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(5, 100) })
	k.send().data(5, true, "x")
	do(m, atSecond(8), atSecond(9))
	if bar := barOf(m, 5); !strings.Contains(bar, "░░░") || strings.Contains(bar, "?") {
		t.Errorf("stream 5 with its DATA: %q", bar)
	}
}

// A connection without window says so in its row. A stream that has begun a message
// and sent none of its DATA may wait for it or not; one whose message has ended, or
// has not begun, does not.
func TestStallOfStreamsWithoutData(t *testing.T) {
	tr, k := hung(t)
	for _, id := range []uint32{5, 7, 9} {
		k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/later")
	}
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 1<<20) })
	k.send().headers(3, false, ":status", "200")
	for _, n := range []int{16384, 16384, 16384, 16379} { // and 4 of stream 1
		k.send().data(3, false, strings.Repeat("x", n))
	}
	tr.now += int64(time.Second)
	k.send().headers(5, false, ":status", "200")
	k.send().headers(7, true, ":status", "204")
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter")
	row := func() string { return m.conns.rows[0].cells[connMarks].text }
	if got := row(); strings.Contains(got, "░") {
		t.Errorf("before it is told of: %q", got)
	}
	k.lasts(2 * time.Second)
	for i := range int64(6) {
		do(m, atSecond(i))
	}
	if got := row(); got != "░ !1" {
		t.Errorf("the connection's row has %q", got)
	}
	for id, want := range map[uint32]string{3: "░░░░░▷", 5: "?????▷", 9: "·····▷"} {
		if bar := barOf(m, id); !strings.HasSuffix(bar, want) || id == 5 && strings.Contains(bar, "░") {
			t.Errorf("stream %d: %q", id, bar)
		}
	}
	if bar := barOf(m, 7); strings.ContainsAny(bar, "?░") {
		t.Errorf("stream 7, which has ended: %q", bar)
	}
	last := tr.st.Snapshot().Rows
	m.jump(last - 1) // of stream 5
	press(m, "4 ] ] ] ]")
	if v := m.View(); !strings.Contains(v, "whether stream 5, without DATA so far, wait") {
		t.Errorf("the flow tab does not tell:\n%s", v)
	}
	tr.now += int64(4 * time.Second)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<20) })
	k.send().data(5, true, "x")
	do(m, atSecond(6))
	if got := row(); strings.Contains(got, "░") {
		t.Errorf("with the window back the connection's row has %q", got)
	}
	if bar := barOf(m, 5); !strings.Contains(bar, "???") || strings.Contains(bar, "░") {
		t.Errorf("with its DATA: %q", bar)
	}
}
