// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/net/http2"
)

// later is a tick after the first one.
func later(n int) tickMsg { return tickMsg(time.Unix(1000, 0).Add(time.Duration(n) * tickInterval)) }

// requests makes n requests of three frames each on a new connection.
func (t *traffic) requests(n int) *talk {
	k := t.open(capture.ConnInfo{PID: 1, Comm: "nginx", Fresh: true, Role: capture.Server})
	k.recv().raw(http2.ClientPreface)
	for _, e := range k.ends {
		e.write(func(f *http2.Framer) error { return f.WriteSettings() })
	}
	k.more(1, n)
	return k
}

// more makes n requests from a stream on.
func (k *talk) more(stream uint32, n int) {
	for i := range n {
		id := stream + 2*uint32(i)
		k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", fmt.Sprintf("/%d", id))
		k.send().headers(id, false, ":status", "200")
		k.send().data(id, true, "body")
	}
}

// selectedSeq is the number of the row under the cursor of the frames pane.
func selectedSeq(t *testing.T, m *Model) uint64 {
	t.Helper()
	e := m.frames.selected()
	if e == nil {
		t.Fatal("no row under the cursor")
	}
	return e.Seq
}

func TestFollowing(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(50)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	last := tr.st.Snapshot().Rows
	if got := selectedSeq(t, m); got != last {
		t.Fatalf("row %d under the cursor, the newest is %d", got, last)
	}
	k.more(101, 10)
	do(m, later(1))
	if got := selectedSeq(t, m); got != last+30 {
		t.Fatalf("row %d under the cursor, the newest is %d", got, last+30)
	}
	press(m, "k k")
	here := selectedSeq(t, m)
	if strings.Contains(m.View(), "FOLLOW") {
		t.Error("the screen still says FOLLOW")
	}
	k.more(121, 100)
	do(m, later(2))
	if got := selectedSeq(t, m); got != here {
		t.Fatalf("the cursor went from row %d to %d by itself", here, got)
	}
	press(m, "G")
	if got := selectedSeq(t, m); got != tr.st.Snapshot().Rows {
		t.Fatalf("G went to row %d", got)
	}
	k.more(321, 1)
	do(m, later(3))
	if got := selectedSeq(t, m); got != tr.st.Snapshot().Rows || !strings.Contains(m.View(), "FOLLOW") {
		t.Fatal("G did not follow again")
	}
}

func TestRecordingStaysAtItsBeginning(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(100)
	m := newScreen(tr.st, 120, 36, Options{})
	if got := selectedSeq(t, m); got != 1 {
		t.Fatalf("row %d under the cursor", got)
	}
}

func TestEnterNarrowsAndEscLeadsBack(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	tr.requests(20)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "j j j j j")
	at := selectedSeq(t, m)

	press(m, "1 j enter")
	if m.view != (store.View{Conn: 2}) || m.focus != paneStreams || m.strms.conn != 2 {
		t.Fatalf("view %+v, focus %d, streams of %v", m.view, m.focus, m.strms.conn)
	}
	press(m, "j j enter")
	if m.view != (store.View{Conn: 2, Stream: 5, HasStream: true}) || m.focus != paneFrames {
		t.Fatalf("view %+v, focus %d", m.view, m.focus)
	}
	if n := len(m.frames.entries); n != 3 {
		t.Fatalf("%d rows of the stream", n)
	}
	press(m, "enter")
	if m.focus != paneDetail {
		t.Fatal("enter did not open the frame")
	}
	press(m, "esc")
	if m.focus != paneFrames || !m.view.HasStream {
		t.Fatal("esc did not lead back to the frames")
	}
	press(m, "esc")
	if m.view != (store.View{Conn: 2}) || m.focus != paneStreams {
		t.Fatalf("esc led to %+v, focus %d", m.view, m.focus)
	}
	press(m, "esc")
	if m.view != (store.View{}) || m.focus != paneConns {
		t.Fatalf("esc led to %+v, focus %d", m.view, m.focus)
	}
	if got := selectedSeq(t, m); got != at {
		t.Errorf("row %d under the cursor, it was on %d", got, at)
	}
	press(m, "esc esc")
	if m.view != (store.View{}) {
		t.Error("esc with nothing to undo did something")
	}
}

func TestOnlyThisStream(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(3)
	tr.requests(30)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "G k k k k s")
	if m.view != (store.View{Conn: 2, Stream: 57, HasStream: true}) {
		t.Fatalf("view %+v", m.view)
	}
	// The lists point at what was chosen.
	if c := m.conns.selected(); c == nil || c.ID != 2 {
		t.Errorf("connection under the cursor: %+v", c)
	}
	if s := m.strms.selected(); s == nil || s.ID != 57 {
		t.Errorf("stream under the cursor: %+v", s)
	}
	press(m, "esc g s")
	if m.view != (store.View{}) || !strings.Contains(m.View(), "belongs to no stream") {
		t.Error("a row that opens a connection has no stream")
	}
}

// What a filter has found is shown with all of its stream.
func TestOnlyThisStreamOfAFilter(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(30)
	m := newScreen(tr.st, 120, 36, Options{})
	m.filterBy("type==DATA")
	do(m, later(1))
	press(m, "3 g j j")
	at, found := m.frames.selected().Seq, m.frames.end
	stream := m.frames.selected().Header.StreamID
	press(m, "s")
	if m.view != (store.View{Conn: 1, Stream: stream, HasStream: true}) || m.filter != nil || selectedSeq(t, m) != at || m.frames.end != 3 {
		t.Fatalf("row %d, %d rows\n%s", selectedSeq(t, m), m.frames.end, m.View())
	}
	if line := lastLine(m); !strings.Contains(line, "esc goes back to the filter") {
		t.Errorf("%q", line)
	}
	press(m, "esc")
	if m.view != (store.View{}) || m.filter == nil || selectedSeq(t, m) != at || m.frames.end != found {
		t.Errorf("esc did not bring the filter back\n%s", m.View())
	}
}

func TestStreamOfTheCommandLine(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	m := newScreen(tr.st, 80, 24, Options{Stream: 5, HasStream: true})
	if len(m.frames.entries) != 3 {
		t.Fatalf("%d rows", len(m.frames.entries))
	}
	press(m, "esc")
	if m.view != (store.View{}) {
		t.Error("esc did not widen the view")
	}
}

func TestEvictionUnderTheCursor(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(100)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "g j j")
	if got := selectedSeq(t, m); got != 3 {
		t.Fatalf("row %d under the cursor", got)
	}
	stream := uint32(201)
	for tr.st.Snapshot().Evicted < 3 {
		k.more(stream, 100)
		stream += 200
	}
	do(m, later(1))
	if got, first := selectedSeq(t, m), tr.st.Snapshot().Evicted+1; got != first {
		t.Errorf("row %d under the cursor, the oldest is %d", got, first)
	}
	if !strings.Contains(m.View(), "was evicted") || !strings.Contains(m.View(), "evicted "+compact(m.now.Evicted)) {
		t.Errorf("the screen does not say so:\n%s", m.View())
	}
	press(m, "j")
	if strings.Contains(m.View(), "was evicted") {
		t.Error("the notice is still there after a key")
	}
}

// Connections leave the list when they are closed and their rows evicted; the
// cursor stays with its own.
func TestListCursorsStayWithTheirOwn(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	for range 20 {
		tr.requests(1).close()
	}
	keep := tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "1 G k k j j")
	m.conns.follow = false
	if c := m.conns.selected(); c == nil || c.ID != keep.id {
		t.Fatalf("connection under the cursor: %+v", c)
	}
	press(m, "2 j j j j j j j j j")
	stream := uint32(21)
	for i := 1; m.st.NumConns() > 1; i++ {
		keep.more(stream, 100)
		stream += 200
		do(m, later(i))
		if c := m.conns.selected(); c == nil || c.ID != keep.id {
			t.Fatalf("connection under the cursor: %+v", c)
		}
		held, ok := tr.st.Stream(keep.id, 19)
		if s := m.strms.selected(); ok && (s == nil || s.ID != held.ID) {
			t.Fatalf("stream under the cursor: %+v", s)
		}
	}
}

func TestNothingIsDrawnWhereNothingChanged(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	m.View()
	do(m, later(1000), later(1001))
	m.View()
	do(m, later(1002))
	if m.dirty {
		t.Error("a tick without news asks for a new screen")
	}
	k.more(101, 1)
	do(m, later(1003))
	if !m.dirty {
		t.Error("a tick with news does not")
	}
}

func TestResize(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "j j j j j j j j j")
	at := selectedSeq(t, m)
	for _, size := range [][2]int{{80, 24}, {1, 1}, {0, 0}, {200, 60}, {-1, -5}, {10, 3}, {3, 10}, {1000, 2}, {2, 500}, {120, 36}} {
		do(m, tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		if err := checkScreen(m); err != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
	if got := selectedSeq(t, m); got != at {
		t.Errorf("row %d under the cursor, it was on %d", got, at)
	}
}

func TestBeforeTheFirstSize(t *testing.T) {
	m := newModel(t.Context(), sample(t).st, Options{Renderer: renderer(false)})
	if m.Init() == nil {
		t.Error("no clock")
	}
	do(m, later(0))
	press(m, "j G enter esc / 1 enter ? 1 2 3 4 tab space q")
	if v := m.View(); v != "" {
		t.Errorf("a screen without a size shows %q", v)
	}
}

func TestFocus(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	for _, step := range []struct {
		keys string
		want paneID
	}{{"", paneFrames}, {"tab", paneDetail}, {"tab", paneConns}, {"shift+tab", paneDetail}, {"1", paneConns}, {"2", paneStreams}, {"4", paneDetail}, {"3", paneFrames}} {
		if press(m, step.keys); m.focus != step.want {
			t.Errorf("%q focused %d, want %d", step.keys, m.focus, step.want)
		}
	}
}

func TestKeysThatComeAtOnce(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	one, other := newScreen(tr.st, 120, 36, Options{}), newScreen(tr.st, 120, 36, Options{})
	press(one, "3 G k k / 1 3 enter")
	press(other, "3Gkk/13 enter")
	if one.View() != other.View() {
		t.Errorf("keys read at once do something else:\n%s\nthan one by one:\n%s", other.View(), one.View())
	}
	press(one, "2 enter enter esc esc")
	press(other, "2 enter enter")
	do(other, tea.KeyMsg{Type: tea.KeyEsc, Alt: true})
	if one.View() != other.View() {
		t.Errorf("esc twice at once does something else:\n%s\nthan one by one:\n%s", other.View(), one.View())
	}
	before := one.View()
	do(one, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q"), Paste: true}, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("Gq/"), Paste: true})
	if one.View() != before {
		t.Errorf("a paste was taken for commands:\n%s", one.View())
	}
}

// z gives the focused pane the screen, | goes through the layouts, and neither
// loses the place.
func TestZoomAndLayouts(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(50)
	for _, size := range [][2]int{{80, 24}, {120, 36}, {200, 60}, {10, 3}} {
		m := newScreen(tr.st, size[0], size[1], Options{})
		press(m, "j j j")
		at := selectedSeq(t, m)
		for i, keys := range []string{"z", "z", "|", "|", "|", "| z", "tab z", "3 | | z z"} {
			press(m, keys)
			if err := checkScreen(m); err != nil {
				t.Errorf("%v, step %d: %v", size, i, err)
			}
			if got := selectedSeq(t, m); got != at {
				t.Errorf("%v, step %d: row %d under the cursor, it was on %d", size, i, got, at)
			}
		}
	}
	m := newScreen(tr.st, 120, 36, Options{})
	for _, step := range []struct {
		keys  string
		boxes int
	}{{"", 4}, {"z", 1}, {"z", 4}, {"|", 2}, {"|", 2}, {"|", 4}, {"z |", 2}} {
		if press(m, step.keys); len(m.lay.boxes) != step.boxes {
			t.Errorf("%q: %d boxes, want %d", step.keys, len(m.lay.boxes), step.boxes)
		}
	}
}

// No step through the layouts, or through the orders of a list, leaves the screen
// as it is.
func TestStepsThatShow(t *testing.T) {
	m := newScreen(sample(t).st, 80, 24, Options{})
	for i := range 5 {
		before := strings.Join(strings.Split(m.View(), "\n")[:23], "\n")
		press(m, "|")
		if after := strings.Join(strings.Split(m.View(), "\n")[:23], "\n"); after == before {
			t.Errorf("step %d to %v changes nothing", i, m.arrangement)
		}
	}
	if press(newScreen(sample(t).st, 10, 3, Options{}), "|").arrangement != arrangeAll {
		t.Error("a layout without room was chosen")
	}
	press(m, "1 S")
	if m.conns.by == connID {
		t.Error("S sorts connections by what they are in the order of")
	}
	press(m, "2 S")
	if m.strms.by == streamID {
		t.Error("S sorts streams by what they are in the order of")
	}
}

// Enter on a stream leads to its request, also while the newest row is followed.
func TestEnterOnAStreamWhileFollowing(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(20)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "2 g j enter")
	first := tr.st.Rows(m.view, 0, 1)[0].Seq
	if got := selectedSeq(t, m); got != first || m.frames.follow {
		t.Errorf("row %d, the request is row %d; follows: %v", got, first, m.frames.follow)
	}
	press(m, "esc")
	if !m.frames.follow {
		t.Error("esc does not lead back to following")
	}
}
