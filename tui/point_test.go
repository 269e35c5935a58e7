// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// The connections and the streams are those of the row under the cursor of the
// frames, however it came there.
func TestListsFollowTheFrames(t *testing.T) {
	tr := newTraffic(0)
	a := tr.requests(3)
	b := tr.requests(3)
	a.recv().headers(101, false, ":method", "POST", ":path", "/needle")
	b.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(3, 0) })
	a.more(201, 3)
	check := func(m *Model, how string) {
		t.Helper()
		e, c, s := m.frames.selected(), m.conns.selected(), m.strms.selected()
		if e == nil || c == nil || s == nil || c.ID != e.Conn || m.strms.conn != e.Conn || e.Header.StreamID != 0 && s.ID != e.Header.StreamID {
			t.Errorf("%s: the lists are on %v and %v beside %v", how, c, s, e)
		}
	}
	m := newScreen(tr.st, 200, 60, Options{})
	for _, keys := range []string{"j j j", "e", "' '", "O", "r", "1 G g 3", "G", ": 2 0 enter", "m a G ' a", "k k"} {
		press(m, keys)
		check(m, keys)
	}
	press(m, "g ctrl+f")
	typeText(m, "needle")
	press(m, "enter")
	check(m, "search")
	for _, conn := range []string{"1", "2", "1"} {
		m.filterBy("conn==" + conn)
		do(m, later(1))
		check(m, "filter of c"+conn)
	}
	enter(m, "sort fr")
	m.filterBy("conn==2")
	do(m, later(2))
	check(m, "sorted")
	// One that the panes were narrowed to stays.
	press(m, "/ ctrl+u enter 1 g enter 3 j")
	if m.view.Conn == 0 || m.strms.conn != m.view.Conn {
		t.Errorf("narrowed to %v, the streams are of %v", m.view.Conn, m.strms.conn)
	}
	// Live, with the newest row.
	m = newScreen(tr.st, 200, 60, Options{Live: true})
	check(m, "live")
	b.more(301, 2)
	do(m, later(3))
	check(m, "the newest is of c2")
	a.more(401, 2)
	do(m, later(4))
	check(m, "the newest is of c1")
	// The connections can be moved through all the same.
	press(m, "1 G")
	if c := m.conns.selected(); c.ID != 2 || m.strms.conn != 2 {
		t.Errorf("on %v, the streams are of %v", c.ID, m.strms.conn)
	}
	do(m, later(5))
	if m.strms.conn != 2 {
		t.Errorf("a tick took the connections to %v", m.strms.conn)
	}
}

// While the newest row is now of one connection and now of another, their
// streams are sorted no more often than a tenth of the time does for.
func TestSortWhileTheConnectionChanges(t *testing.T) {
	tr := newTraffic(0)
	a := tr.requests(3)
	b := tr.requests(3)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	m.strms.turn(streamFrames)
	do(m, later(1))
	if !m.strms.ordered() {
		t.Fatal("the streams are not sorted")
	}
	m.strms.order.took = time.Hour
	for i, k := range []*talk{a, b, a} {
		k.more(uint32(101+i*100), 2)
		m.take(later(2 + i))
		if m.works[workSort].work != nil || m.strms.conn != k.id {
			t.Errorf("streams of %v, newest of %v, sorted %v", m.strms.conn, k.id, m.works[workSort].work)
		}
	}
	press(m, "k")
	do(m, later(9))
	m.strms.order.took = 0
	do(m, later(10))
	if !m.strms.ordered() || m.strms.order.conn != m.strms.conn {
		t.Errorf("the streams of %v stay unsorted", m.strms.conn)
	}
}

// What follows the newest ends a pause.
func TestFollowResumes(t *testing.T) {
	for _, keys := range []string{"G", "F", "end", ": f o l l o w enter"} {
		tr := newTraffic(0)
		k := tr.requests(3)
		m := newScreen(tr.st, 120, 36, Options{Live: true})
		press(m, "k space")
		if line := lastLine(m); !strings.Contains(line, "space resume") {
			t.Errorf("the hints of a pause: %q", line)
		}
		k.more(101, 3)
		do(m, later(1))
		press(m, keys)
		if last := tr.st.Snapshot().Rows; m.paused || !m.frames.follow || selectedSeq(t, m) != last {
			t.Errorf("%s: paused %v, row %d of %d", keys, m.paused, selectedSeq(t, m), last)
		}
		if line := lastLine(m); !strings.Contains(line, "space pause") {
			t.Errorf("the hints: %q", line)
		}
	}
}

// The way out of a filter keeps the row, and ” leads to where it began.
func TestLeavingAFilterKeepsTheRow(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(50)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "j j")
	old := selectedSeq(t, m)
	m.filterBy("type==DATA")
	do(m, later(1))
	press(m, "j j j j j")
	at := selectedSeq(t, m)
	if press(m, "esc"); m.filter != nil || selectedSeq(t, m) != at || at == old {
		t.Errorf("row %d, in the filter it was %d", selectedSeq(t, m), at)
	}
	if press(m, "' '"); selectedSeq(t, m) != old {
		t.Errorf("row %d, before the filter it was %d", selectedSeq(t, m), old)
	}
}

func TestStatesOfUnfinishedStreams(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().write(func(f *http2.Framer) error { return f.WritePriority(5, http2.PriorityParam{Weight: 3}) })
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(7, 1) })
	k.recv().headers(9, false, ":method", "POST", ":path", "/a")
	k.recv().headers(11, true, ":method", "GET", ":path", "/b")
	m := newScreen(tr.st, 200, 60, Options{})
	check := func(want ...string) {
		t.Helper()
		m.strms.forget()
		m.refresh()
		for i, r := range m.strms.rows {
			if got := r.cells[streamState].text; i >= len(want) || got != want[i] {
				t.Errorf("stream %d is %s, want %v", m.strms.streams[i].ID, got, want)
			}
		}
	}
	check("closed", "idle", "open", "open", "hc-remote")
	k.close()
	do(m, later(1))
	check("closed", "idle", "unfinished", "unfinished", "unfinished")
	if c := m.conns.rows[0].cells[connID].text; c != "○c1" {
		t.Errorf("a closed connection is %q", c)
	}
}
