// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// TestDelta: what is between a row and the one above it, among the rows that
// are shown.
func TestDelta(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(30)
	m := newScreen(tr.st, 200, 30, Options{})
	check := func(what string) {
		t.Helper()
		p := m.frames
		for i, r := range p.rows {
			want := ""
			if at := p.from + uint64(i); at > p.first {
				above := m.st.Rows(p.view, at-1, 1)[0]
				want = millis(p.entries[i].Time-above.Time, 9)
			}
			if got := r.cells[frameDelta].text; got != want {
				t.Errorf("%s: row %d has %q, not %q", what, p.entries[i].Seq, got, want)
			}
		}
	}
	check("at the oldest")
	press(m, "pgdown pgdown pgdown")
	check("in the middle")
	m.filterBy("type==HEADERS")
	do(m, later(1))
	press(m, "pgdown")
	check("filtered")
}

// Where there is room for one column of time, it is that of the moment, of one
// stream that of what is between the rows; the user's choice goes before. What
// is between the rows leaves where numbers are so long that it would take the
// info's place.
func TestColumnsOfTime(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(3)
	m := newScreen(tr.st, 72, 24, Options{})
	check := func(what string, moment, delta bool) {
		t.Helper()
		if a, b := m.frames.columnWidth(frameTime) > 0, m.frames.columnWidth(frameDelta) > 0; a != moment || b != delta {
			t.Errorf("%s: time %v, delta %v", what, a, b)
		}
		if m.frames.columnWidth(frameInfo) < 12 {
			t.Errorf("%s: %d cells for what the frames say", what, m.frames.columnWidth(frameInfo))
		}
	}
	check("at 72", true, false)
	press(m, "end s")
	check("at 72 of a stream", false, true)
	press(m, "esc")
	check("at 72 again", true, false)
	m.resize(80, 24)
	check("at 80", true, true)
	m.resize(120, 36)
	check("at 120", true, true)
	tr.now += 20_000e9
	k.more(1<<31-1, 1)
	do(m, later(1))
	press(m, "end")
	check("at 120 with long numbers", true, false)
	press(m, "z")
	check("at 120 alone", true, true)
	m.resize(80, 24)
	if err := m.frames.choose([]string{"delta", "type"}); err != nil {
		t.Fatal(err)
	}
	m.arrange()
	if m.frames.columnWidth(frameTime) > 0 || m.frames.columnWidth(frameDelta) == 0 {
		t.Error("the columns are not those that were chosen")
	}
}

func TestMillis(t *testing.T) {
	for _, c := range []struct {
		ns   int64
		w    int
		want string
	}{{0, 9, "0.000"}, {18_200_000, 9, "18.200"}, {-12_000, 9, "-0.012"}, {123_456_789_012, 9, "123456.79"},
		{1 << 62, 9, "4611686018427"}} {
		if got := millis(c.ns, c.w); got != c.want {
			t.Errorf("%d in %d cells: %q, not %q", c.ns, c.w, got, c.want)
		}
	}
}

func TestNamesKeepTheirEnds(t *testing.T) {
	at := func(comm string, w int) string { return process(&capture.ConnInfo{PID: 2243, Comm: comm}, w) }
	if a, b := at("demo-server", 11), at("demo-client", 11); a == b || width(a) > 11 || width(b) > 11 {
		t.Errorf("%q and %q look alike", a, b)
	}
	if got := keepEnd("~127.0.0.1:46806", 15); got != "~…7.0.0.1:46806" {
		t.Errorf("%q", got)
	}
	if got := at("demo-server", 16); got != "demo-server/2243" {
		t.Errorf("%q", got)
	}
	if got := at("数据库服务器程序", 11); width(got) > 11 {
		t.Errorf("%q takes %d cells", got, width(got))
	}
}

// The tabs of a detail alone on the screen are all in sight.
func TestTabsOfTheDetailAlone(t *testing.T) {
	m := newScreen(sample(t).st, 80, 24, Options{})
	press(m, "j j j 4 z")
	title := strings.Split(m.View(), "\n")[1]
	for _, want := range []string{"[4 Detail #4 SETTINGS]", "[Headers]", "Hex", "Body", "HPACK", "Flow", "Problems"} {
		if !strings.Contains(title, want) {
			t.Errorf("no %q in %q", want, title)
		}
	}
}

func TestIdleStreamsAreNamed(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	m := newScreen(tr.st, 120, 36, Options{})
	k.recv().write(func(f *http2.Framer) error { return f.WritePriority(5, http2.PriorityParam{Weight: 3}) })
	do(m, later(1))
	if v := m.View(); !strings.Contains(v, "only PRIORITY") {
		t.Errorf("an idle stream is not told of:\n%s", v)
	}
}

func TestFindingsInTheHeadersTab(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "e")
	if v := m.View(); !strings.Contains(v, "The content-length of the response is 615") {
		t.Errorf("the problem is not told:\n%s", v)
	}
}

// What was diagnosed stands in a label that tells most first: for how long a
// window was used up, before that it was the connection's.
func TestFindingLabel(t *testing.T) {
	for _, c := range []struct {
		f    store.Finding
		want string
	}{
		{store.Finding{Code: "rst-stream", Stream: 1}, "rst-stream"},
		{store.Finding{Code: "stream-window-exhausted", Stream: 1}, "stream-window-exhausted"},
		{store.Finding{Code: "stream-window-exhausted", Stream: 1, Since: 5, Till: 5 + 104_400_000}, "stalled 104ms"},
		{store.Finding{Code: "connection-window-exhausted", Since: 5, Till: 5 + 1_960_000_000}, "stalled 2.0s (conn)"},
		{store.Finding{Code: "stream-window-exhausted", Stream: 1, Since: 5}, "stalled, still"},
	} {
		if got := label(&c.f); got != c.want {
			t.Errorf("%+v: %q", c.f, got)
		}
	}
}
