// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

func TestMarks(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(50)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "j j j")
	at := selectedSeq(t, m)
	press(m, "m a")
	if !strings.Contains(m.View(), "row 4 is mark a") {
		t.Errorf("the mark is not told:\n%s", m.View())
	}
	press(m, "G")
	end := selectedSeq(t, m)
	press(m, "' a")
	if got := selectedSeq(t, m); got != at {
		t.Errorf("row %d, marked was %d", got, at)
	}
	rows := tr.st.Rows(store.View{}, 0, int(end))
	apart := span(rows[end-1].Time - rows[at-1].Time)
	if want := fmt.Sprintf("row %d, %s before row %d", at, apart, end); !strings.Contains(lastLine(m), want) {
		t.Errorf("%q, want %q", lastLine(m), want)
	}
	press(m, "' '")
	if got := selectedSeq(t, m); got != end {
		t.Errorf("row %d, the jump began at %d", got, end)
	}
	if press(m, "' b"); selectedSeq(t, m) != end || !strings.Contains(lastLine(m), "no mark b") {
		t.Errorf("%q", lastLine(m))
	}
	if press(m, "' esc j m 1"); !strings.Contains(lastLine(m), "a letter from a to z") {
		t.Errorf("%q", lastLine(m))
	}
	if typeText(m, "'a"); selectedSeq(t, m) != at {
		t.Error("keys that come at once do something else")
	}
	for stream := uint32(101); tr.st.Snapshot().Evicted < at; stream += 200 {
		k.more(stream, 100)
	}
	if press(m, "G ' a"); !strings.Contains(lastLine(m), "row 4 has left the history") {
		t.Errorf("%q", lastLine(m))
	}
}

// A jump out of what is shown widens it, and esc leads back.
func TestJumpWidensTheView(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(10)
	tr.requests(10)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "j j j m a G s")
	view, at := m.view, selectedSeq(t, m)
	if view.Conn != 2 || !view.HasStream {
		t.Fatalf("view %+v", view)
	}
	press(m, "' a")
	if m.view != (store.View{}) || selectedSeq(t, m) != 4 {
		t.Errorf("view %+v, row %d", m.view, selectedSeq(t, m))
	}
	press(m, "esc")
	if m.view != view || selectedSeq(t, m) != at {
		t.Errorf("back: view %+v, row %d", m.view, selectedSeq(t, m))
	}
	m.filterBy("type==SETTINGS")
	do(m, later(1))
	press(m, ": 3 0 enter")
	if m.filter != nil || selectedSeq(t, m) != 30 {
		t.Errorf("row %d, filter %v", selectedSeq(t, m), m.filter)
	}
	if press(m, "esc"); m.filter == nil {
		t.Error("esc does not lead back to the filter")
	}
}

func TestFramesOfTheStream(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	for range 3 {
		for _, stream := range []uint32{1, 3, 5} {
			k.recv().data(stream, false, "x")
		}
	}
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "G")
	last := selectedSeq(t, m)
	for i, step := range []struct {
		key  string
		want uint64
	}{{"o", last}, {"O", last - 3}, {"O", last - 6}, {"O", last - 6}, {"o", last - 3}} {
		if press(m, step.key); selectedSeq(t, m) != step.want {
			t.Errorf("step %d: row %d, want %d", i, selectedSeq(t, m), step.want)
		}
	}
	if press(m, "g o"); !strings.Contains(lastLine(m), "belongs to no stream") {
		t.Errorf("%q", lastLine(m))
	}
}

func TestProblems(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(20)
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(1, 0) })
	malformed := tr.st.Snapshot().Rows
	k.more(101, 20)
	k.send().lose(100)
	k.recv().data(0, false, "x")
	gap := malformed
	for seq := malformed + 1; ; seq++ {
		if e, err := tr.st.Frame(seq); err != nil {
			t.Fatal(err)
		} else if e.GapBytes > 0 {
			gap = seq
			break
		}
	}
	data := tr.st.Snapshot().Rows
	tr.requests(20)
	m := newScreen(tr.st, 120, 36, Options{})
	for i, step := range []struct {
		key  string
		want uint64
		say  string
	}{
		{"e", malformed, "problem 1 of"}, {"e", gap, ""}, {"e", data, ""}, {"e", malformed, "going on from the oldest"},
		{"E", data, "going on from the newest"}, {"E", gap, ""}, {"E", malformed, ""},
	} {
		if press(m, step.key); selectedSeq(t, m) != step.want || !strings.Contains(lastLine(m), step.say) {
			t.Errorf("step %d: row %d, want %d: %q", i, selectedSeq(t, m), step.want, lastLine(m))
		}
	}
	// Only among the rows that are shown.
	press(m, "1 G enter 3 e")
	if !strings.Contains(lastLine(m), "no problem among the rows shown") {
		t.Errorf("%q", lastLine(m))
	}
	// One that comes later is found too.
	press(m, "esc esc 3 g")
	k.send().lose(5)
	k.send().data(0, false, "x")
	do(m, later(2))
	press(m, "E")
	if got := selectedSeq(t, m); got <= data {
		t.Errorf("row %d is not the new problem", got)
	}
}

func TestPartnerKey(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(3)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "G k")
	response := selectedSeq(t, m)
	press(m, "r")
	request := selectedSeq(t, m)
	if e := m.frames.selected(); request >= response || e.Header.Type != http2.FrameHeaders {
		t.Fatalf("from row %d to %d", response, request)
	}
	if press(m, "r"); selectedSeq(t, m) != response {
		t.Errorf("from row %d to %d, not back to %d", request, selectedSeq(t, m), response)
	}
	if press(m, "g r"); !strings.Contains(lastLine(m), store.ErrNoPartner.Error()) {
		t.Errorf("%q", lastLine(m))
	}
}

func TestSearch(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(5)
	k.recv().headers(101, false, ":method", "POST", ":path", "/Upload", "x-trace", "Needle")
	inField := tr.st.Snapshot().Rows
	k.more(201, 5)
	k.recv().data(101, false, "hay NEEDLE hay")
	inBody := tr.st.Snapshot().Rows
	k.more(301, 5)
	k.recv().data(101, false, "\x00\xff\x1a")
	inHex := tr.st.Snapshot().Rows
	k.more(401, 5)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "g ctrl+f")
	typeText(m, "needle")
	press(m, "enter")
	for i, step := range []struct {
		key  string
		want uint64
		say  string
	}{
		{"", inField, "match of needle 1 of 2"}, {"n", inBody, "2 of 2"}, {"n", inField, "from the oldest"}, {"N", inBody, "from the newest"}, {"N", inField, ""},
	} {
		if press(m, step.key); selectedSeq(t, m) != step.want || !strings.Contains(lastLine(m), step.say) {
			t.Errorf("step %d: row %d, want %d: %q", i, selectedSeq(t, m), step.want, lastLine(m))
		}
	}
	press(m, "ctrl+f")
	typeText(m, "0xff 1A")
	if press(m, "enter"); selectedSeq(t, m) != inHex {
		t.Errorf("row %d, want %d: %q", selectedSeq(t, m), inHex, lastLine(m))
	}
	press(m, "ctrl+f")
	typeText(m, "x-trac")
	if press(m, "enter"); selectedSeq(t, m) != inField {
		t.Errorf("row %d, want %d: %q", selectedSeq(t, m), inField, lastLine(m))
	}
	if press(m, "n"); !strings.Contains(lastLine(m), "no other match") {
		t.Errorf("%q", lastLine(m))
	}
	press(m, "ctrl+f")
	typeText(m, "nowhere")
	if press(m, "enter"); !strings.Contains(lastLine(m), "no match of nowhere in any row") {
		t.Errorf("%q", lastLine(m))
	}
	press(m, "ctrl+f")
	typeText(m, "0xf")
	if press(m, "enter"); m.typing == nil || !strings.Contains(lastLine(m), "in pairs") {
		t.Errorf("%q", lastLine(m))
	}
	// With a filter only what it lets pass is found.
	press(m, "esc")
	m.filterBy("type==DATA")
	do(m, later(1))
	press(m, "g ctrl+f")
	typeText(m, "needle")
	if press(m, "enter"); selectedSeq(t, m) != inBody {
		t.Errorf("row %d, want %d: %q", selectedSeq(t, m), inBody, lastLine(m))
	}
}

func TestContainsFold(t *testing.T) {
	for _, c := range []struct {
		text, needle string
		want         bool
	}{
		{"", "a", false}, {"a", "a", true}, {"A", "a", true}, {"xxAbxx", "ab", true}, {"aaB", "ab", true}, {"aaaa", "ab", false},
		{"ab", "abc", false}, {"1-2", "-2", true}, {"AaAaB", "aab", true}, {"\xc3\xa4", "\xc3\xa4", true}, {"[", "{", false}, {"@", "`", false},
	} {
		if got := textNeedle(c.needle).in([]byte(c.text)); got != c.want {
			t.Errorf("%q in %q: %v", c.needle, c.text, got)
		}
	}
}

// A panic beside the UI ends it as one in the UI does.
func TestPanicBesideTheUI(t *testing.T) {
	g := &guard{Model: newScreen(sample(t).st, 80, 24, Options{})}
	g.begin(workSearch, &work{step: func(context.Context) bool { panic("a test") }, after: func(*Model, bool) {}})
	_, cmd := g.Update(g.handed()[0]())
	if cmd == nil || g.panicked == nil || len(g.panicked.Stack) == 0 {
		t.Fatalf("panic %v", g.panicked)
	}
}

// What a jump leads to has rows before and after it in sight.
func TestJumpShowsWhatIsAround(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(100)
	k.recv().headers(1001, true, ":method", "GET", ":path", "/the-one")
	k.more(1003, 100)
	m := newScreen(tr.st, 120, 36, Options{})
	search(m, "/the-one")
	from, n := m.frames.window()
	if at := m.frames.cursor - from; at < 4 || int(at) > n-4 {
		t.Errorf("the row is line %d of %d", at, n)
	}
	press(m, "j j ' '") // back to where it began, and there again
	press(m, "' '")
	top := m.frames.top
	press(m, "r r k k r")
	if m.frames.top != top {
		t.Errorf("jumps among rows in sight scroll from %d to %d", top, m.frames.top)
	}
}

// A search ends at the newest row that there was when it was asked for, however
// fast others come.
func TestSearchEndsUnderTraffic(t *testing.T) {
	for _, paused := range []bool{false, true} {
		tr := newTraffic(0)
		k := tr.requests(10)
		s := beside{m: newScreen(tr.st, 120, 36, Options{Live: true})}
		if paused {
			press(s.m, "space")
			k.more(101, 10)
		}
		stream := uint32(1001)
		s.m.searched = &finder{kind: workSearch, name: "match", match: func(*Model) store.Predicate {
			return store.Predicate{Match: func(*store.Record) bool {
				k.more(stream, 1) // more rows than are examined
				stream += 2
				return false
			}}
		}}
		s.key("n")
		for range 3 {
			if len(s.cmds) > 0 {
				s.run()
			}
		}
		if s.m.notice != "no match in any row" || len(s.cmds) > 0 {
			t.Errorf("paused %v: %q, %d slices under way, %s", paused, s.m.notice, len(s.cmds), s.m.progress())
		}
	}
}

func TestRowsThatAreNot(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(10)
	rows := commas(tr.st.Snapshot().Rows)
	m := newScreen(tr.st, 120, 36, Options{Status: func() Status { return Status{Done: true} }})
	press(m, ": 9 9 9 9 9 9 enter")
	if got, want := lastLine(m), "there is no row 999,999; the last is "+rows; !strings.Contains(got, want) {
		t.Errorf("of a file: %q", got)
	}
	m = newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, ": 9 9 9 9 9 9 enter")
	if got, want := lastLine(m), "there is no row 999,999 yet; the last is "+rows; !strings.Contains(got, want) {
		t.Errorf("live: %q", got)
	}
	press(m, "space")
	tr.requests(10)
	press(m, ": 6 0 enter")
	if got, want := lastLine(m), "row 60 is not shown yet; space resumes"; !strings.Contains(got, want) {
		t.Errorf("paused: %q", got)
	}
}
