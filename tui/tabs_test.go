// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/net/http2"
)

// onRow is a UI with the cursor of the frames pane on a row.
func onRow(st *store.Store, w, h int, seq uint64) *Model {
	m := newScreen(st, w, h, Options{})
	m.frames.goTo(m, store.View{}, seq, false)
	m.refresh()
	return m
}

func TestTabKeys(t *testing.T) {
	m := onRow(talkative(t).st, 120, 36, 8)
	for _, step := range []struct {
		keys string
		want detailTab
	}{{"]", tabHex}, {"] ]", tabHPACK}, {"[", tabBody}, {"[ [ [", tabProblems}, {"]", tabHeaders}, {"h", tabHPACK},
		{"4 left", tabBody}, {"right right", tabFlow}} {
		if press(m, step.keys); m.detail.tab != step.want {
			t.Errorf("%q leads to %s", step.keys, tabNames[m.detail.tab])
		}
	}
	// Left and right are the octets' in the hex tab, and no tab's elsewhere
	// than in the detail.
	press(m, "3 left")
	if m.detail.tab != tabFlow {
		t.Error("left turned the tab while the frames have the focus")
	}
	for m.detail.tab != tabHex {
		press(m, "[")
	}
	press(m, "4 g right right down left")
	if at := m.detail.octet(); m.detail.tab != tabHex || at != m.detail.hex.perLine+1 {
		t.Errorf("at octet %d of %s", at, tabNames[m.detail.tab])
	}
	press(m, "G")
	do(m, tea.WindowSizeMsg{Width: 60, Height: 36})
	if at := m.detail.octet(); at/m.detail.hex.perLine != int(m.detail.cursor) || at >= m.detail.hex.len() {
		t.Errorf("at octet %d of %d after a resize", at, m.detail.hex.len())
	}
}

// cellOf finds a text on the screen.
func cellOf(t *testing.T, m *Model, text string) (x, y int) {
	t.Helper()
	for y, line := range strings.Split(m.View(), "\n") {
		if before, _, ok := strings.Cut(line, text); ok {
			return width(before), y
		}
	}
	t.Fatalf("no %q on\n%s", text, m.View())
	return 0, 0
}

// TestTabsByMouse: the tabs in the upper edge, a field's octets beside it and
// the field beside its octets.
func TestTabsByMouse(t *testing.T) {
	m := onRow(talkative(t).st, 200, 60, 8)
	for tab := detailTab(numTabs - 1); tab >= 0; tab-- {
		x, y := cellOf(t, m, tabNames[tab])
		if do(m, click(x+1, y)); m.detail.tab != tab || m.focus != paneDetail {
			t.Errorf("a click on %s shows %s", tabNames[tab], tabNames[m.detail.tab])
		}
	}
	x, y := cellOf(t, m, ":authority")
	do(m, click(x, y))
	part := m.detail.lit(true)
	if part == nil || part.name != "field" || part.n != 2 {
		t.Fatalf("a click on :authority lights %+v", part)
	}
	x, y = cellOf(t, m, "[41 89")
	do(m, click(x+1, y))
	if now := m.detail.lit(true); now == nil || *now != *part {
		t.Errorf("a click on its octets lights %+v", now)
	}
	x, y = cellOf(t, m, "00 00 4a")
	do(m, click(x+1, y))
	if now := m.detail.lit(true); now == nil || now.name != "length" {
		t.Errorf("a click on the length lights %+v", now)
	}
}

// TestTabsLeadToRows: enter on a finding, an entry, a message goes to its row,
// and ” comes back.
func TestTabsLeadToRows(t *testing.T) {
	for _, c := range []struct {
		seq  uint64
		keys string
		want uint64
	}{
		{8, "[ 4 G enter", 28}, // the reset of stream 7
		{24, "] ] 4 g", 0},
		{20, "] ] 4 g j j j enter", 21}, // the first message
		{13, "] ] ] ] 4 G enter", 0},
	} {
		m := onRow(talkative(t).st, 120, 36, c.seq)
		press(m, c.keys)
		want := c.want
		if want == 0 {
			want = c.seq
		}
		if got := selectedSeq(t, m); got != want {
			t.Errorf("%d %q leads to row %d, not %d\n%s", c.seq, c.keys, got, want, m.View())
			continue
		}
		if c.want != 0 {
			if press(m, "' '"); selectedSeq(t, m) != c.seq {
				t.Errorf("%d %q: '' leads to row %d", c.seq, c.keys, selectedSeq(t, m))
			}
		}
	}
}

// TestFlowTab: the figures are those of the stream's window at the frame.
func TestFlowTab(t *testing.T) {
	st := talkative(t).st
	for seq, want := range map[uint64]string{
		11: "→ stream 1: 20,000 left", 12: "→ stream 1: 13,999 left", 15: "→ stream 1: 0 left (0 to 32,768)",
		16: "→ stream 1: 32,768 left", 17: "→ stream 1: 32,766 left", 5: "→ connection: 65,535 left",
		22: "→ stream 3: 19,977 left",
	} {
		m := onRow(st, 120, 36, seq)
		press(m, "] ] ] ]")
		if !strings.Contains(m.View(), want) {
			t.Errorf("row %d: no %q on\n%s", seq, want, m.View())
		}
		if seq == 15 && !strings.Contains(m.View(), "used up by #15 at 0.013918 s, for 104ms") {
			t.Errorf("no wait on\n%s", m.View())
		}
	}
	// A connection that was found in its middle has no known window.
	m := onRow(sample(t).st, 120, 36, 50)
	press(m, "] ] ] ]")
	if !strings.Contains(m.View(), "not known") {
		t.Errorf("row 50 of\n%s", m.View())
	}
}

// TestFlowFromCheckpoints: windows far from the beginning are the same whether
// they are read from there or from what was kept on the way.
func TestFlowFromCheckpoints(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	k.more(1, 3*flowEvery/3) // three frames each
	last := tr.st.Snapshot().Rows
	fresh := func(seq uint64) string {
		m := onRow(tr.st, 120, 36, seq)
		press(m, "] ] ] ] 4 z")
		return m.View()
	}
	m := onRow(tr.st, 120, 36, last)
	press(m, "] ] ] ] 4 z")
	if len(m.detail.past.points) == 0 {
		t.Fatal("nothing was kept on the way")
	}
	for _, seq := range []uint64{last - 1, last / 2, 100, last} {
		m.frames.goTo(m, store.View{}, seq, false)
		m.refresh()
		do(m, later(1))
		got, want := m.View(), fresh(seq)
		if got, want = got[strings.Index(got, "[Flow]"):], want[strings.Index(want, "[Flow]"):]; got != want {
			t.Errorf("row %d:\n%s\nfrom the beginning:\n%s", seq, got, want)
		}
	}
	// Many of them are thinned out.
	var past flowPast
	_, c := past.before(1, 0)
	for at := uint64(0); at < 500*flowEvery; at += flowEvery / 4 {
		past.passed(at, c)
	}
	if n := len(past.points); n > maxFlowPoints || past.points[n-1].at < 300*flowEvery {
		t.Errorf("%d points up to %d", n, past.points[n-1].at)
	}
}

// TestBodyTab: what is missing of a body is said, and so is where it ends.
func TestBodyTab(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	k.recv().headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/", "content-type", "text/plain")
	k.recv().data(1, false, "the beginning, ")
	k.recv().lose(1000)
	for range 30 {
		k.recv().write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
	}
	k.recv().data(1, true, "the end")
	m := onRow(tr.st, 120, 36, 9)
	press(m, "/ 1 enter ] ]")
	for _, want := range []string{"the beginning,", "the end", "octets missing"} {
		if !strings.Contains(m.View(), want) {
			t.Errorf("no %q on\n%s", want, m.View())
		}
	}

	// A stream that goes on is read again.
	tr = newTraffic(0)
	k = tr.requests(0)
	k.recv().headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/", "content-type", "text/plain")
	k.recv().data(1, false, "one, ")
	m = onRow(tr.st, 120, 36, 6)
	press(m, "] ]")
	if v := m.View(); !strings.Contains(v, "one,") || strings.Contains(v, "two") {
		t.Errorf("not the body so far:\n%s", v)
	}
	k.recv().data(1, true, "two.")
	do(m, later(1))
	if v := m.View(); !strings.Contains(v, "one, two.") {
		t.Errorf("not the whole body:\n%s", v)
	}
}

// A stream of very many frames is not read whole, and that is said.
func TestBodyOfALongStream(t *testing.T) {
	tr := newTraffic(0)
	k := tr.open(capture.ConnInfo{Fresh: true, Role: capture.Server})
	k.recv().raw(http2.ClientPreface)
	k.recv().write(func(f *http2.Framer) error { return f.WriteSettings() })
	k.recv().headers(1, false, ":method", "PUT", ":scheme", "https", ":authority", "a", ":path", "/", "content-type", "text/plain")
	for i := range maxBodyRows + 1000 {
		k.recv().data(1, false, fmt.Sprintln(i))
	}
	k.recv().data(1, true, "the end")
	x := exchangeOf(t.Context(), tr.st, 1, 1)
	b := &x.Sides[capture.Recv].Body
	if len(b.Holes) != 1 || !b.Ended || !strings.HasPrefix(string(b.Data), "0\n1\n") || !strings.HasSuffix(string(b.Data), "the end") {
		t.Errorf("%d holes, ended %v, %d octets", len(b.Holes), b.Ended, len(b.Data))
	}
}

// A frame that the end of the connection cut off is not malformed.
func TestFrameThatIsCutOff(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.send().raw("\x00\x10\x00\x00\x00\x00\x00\x00\x01half of it")
	k.close()
	seq := uint64(0)
	for s := uint64(1); s <= tr.st.Snapshot().Rows; s++ {
		if e, err := tr.st.Frame(s); err == nil && e.Err != nil {
			seq = s
		}
	}
	m := onRow(tr.st, 200, 36, seq)
	for _, tab := range []detailTab{tabHeaders, tabProblems} {
		m.detail.chooseTab(m, int(tab))
		do(m, tea.WindowSizeMsg{Width: 200, Height: 36})
		if v := m.View(); strings.Count(v, "! cut: the connection ended") != 2 || strings.Contains(v, "NO_ERROR") || strings.Contains(v, "malformed") {
			t.Errorf("%s:\n%s", tabNames[tab], v)
		}
	}
}

// What an entry takes in the table is not known where its name is not, nor what
// was evicted.
func TestTableOfUnknownSize(t *testing.T) {
	tr := newTraffic(0)
	k := tr.open(capture.ConnInfo{PID: 1, Comm: "curl"})
	k.send().encode("x-request-id", "1") // sent before the attach
	k.send().headers(101, true, ":method", "GET", ":scheme", "https", ":path", "/", "x-request-id", "23")
	m := onRow(tr.st, 120, 36, tr.st.Snapshot().Rows)
	press(m, "h z")
	for _, want := range []string{"1 entry, at least 34 octets, capacity not known", "inserted 1, evicted: not known", "  ≥34 ‹unknown› 23"} {
		if !strings.Contains(m.View(), want) {
			t.Errorf("no %q in\n%s", want, m.View())
		}
	}
}

// After an error in a field block the table is not known. That it was known before,
// and what was in it then, is shown.
func TestTableAfterAnError(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	k.recv().headers(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "x-first", "one")
	before := tr.st.Snapshot().Rows
	k.recv().write(func(fr *http2.Framer) error {
		return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, BlockFragment: []byte{0x82, 0x80 | 100}})
	})
	broken := tr.st.Snapshot().Rows
	k.recv().write(func(fr *http2.Framer) error { return fr.WritePing(false, [8]byte{}) })
	for seq := broken; seq <= tr.st.Snapshot().Rows; seq++ {
		m := onRow(tr.st, 120, 60, seq)
		m.detail.chooseTab(m, int(tabHPACK))
		v := m.View()
		for _, want := range []string{"not known after the error in #" + commas(broken), "Before it:", "dynamic table: 2 entries", "since #" + commas(before), "x-first"} {
			if !strings.Contains(v, want) {
				t.Errorf("#%d does not say %q:\n%s", seq, want, v)
			}
		}
		if strings.Contains(v, "since gap") {
			t.Errorf("#%d tells of a gap:\n%s", seq, v)
		}
	}
}
