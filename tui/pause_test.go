// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/net/http2"
)

func TestPauseFreezesTheViewOnly(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(20)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "space")
	body := func() string {
		_, body, _ := strings.Cut(m.View(), "\n")
		return body
	}
	before := body()
	rows := tr.st.Snapshot().Rows
	k.more(201, 30)
	tr.requests(5)
	came := tr.st.Snapshot().Rows - rows
	for i := range 5 {
		do(m, later(i+1))
	}
	if got := body(); got != before {
		t.Errorf("the panes changed while paused:\n%s\nbefore:\n%s", got, before)
	}
	if want := fmt.Sprintf("PAUSED +%d", came); !strings.Contains(m.View(), want) {
		t.Errorf("no %q in %q", want, strings.SplitN(m.View(), "\n", 2)[0])
	}
	// Moving about shows nothing that came since.
	press(m, "g"+strings.Repeat(" pgdown", 20)+" 2 pgdown pgdown pgdown 1 j 3 j")
	if got := selectedSeq(t, m); got != rows {
		t.Errorf("row %d under the cursor, %d was the newest at the pause", got, rows)
	}
	if m.strms.end != 20 || m.conns.end != 1 {
		t.Errorf("%d streams, %d connections; at the pause 20 and 1", m.strms.end, m.conns.end)
	}
	press(m, "1 enter 3"+strings.Repeat(" pgdown", 20))
	if got := selectedSeq(t, m); got != rows {
		t.Errorf("narrowed: row %d under the cursor, %d was the newest at the pause", got, rows)
	}
	press(m, "esc esc space")
	if m.conns.end != 2 || m.shown != m.now {
		t.Error("the view did not catch up")
	}
}

// evictAll writes until nothing of what is stored now is held.
func evictAll(k *talk) {
	rows := k.t.st.Snapshot().Rows
	for stream := uint32(100_001); k.t.st.Snapshot().Evicted <= rows; stream += 200 {
		k.more(stream, 100)
	}
}

// What is looked at while paused stays when it leaves the history.
func TestEvictionWhilePaused(t *testing.T) {
	for _, keys := range []string{"", "1 g enter 3", "s", "filtered"} {
		tr := newTraffic(store.MinHistory)
		k := tr.requests(100)
		m := newScreen(tr.st, 120, 36, Options{Live: true})
		if keys == "filtered" {
			m.filterBy("type==HEADERS")
			do(m, later(1))
		} else {
			press(m, keys)
		}
		press(m, "space")
		panes := func() string {
			lines := strings.Split(m.View(), "\n")
			for i, line := range lines {
				if strings.Contains(line, " Frames ") {
					lines[i] = "" // how many rows there are has changed
				}
			}
			// The thumb of the scroll bar tells of how many.
			return strings.ReplaceAll(strings.Join(lines[1:], "\n"), "█\n", "┃\n")
		}
		before, rows := panes(), len(m.frames.entries)
		if rows == 0 {
			t.Fatalf("%q: nothing to pause on", keys)
		}
		evictAll(k)
		do(m, later(10), tea.WindowSizeMsg{Width: 121, Height: 36}, tea.WindowSizeMsg{Width: 120, Height: 36})
		if got := panes(); got != before {
			t.Errorf("%q: the screen has changed to\n%s\nfrom\n%s", keys, got, before)
		}
		if !strings.Contains(m.View(), "kept, others evicted") {
			t.Errorf("%q: the screen does not tell what is missing:\n%s", keys, m.View())
		}
		last := selectedSeq(t, m)
		press(m, "k")
		if got := selectedSeq(t, m); got >= last {
			t.Errorf("%q: k leads from row %d to row %d", keys, last, got)
		}
		press(m, "j space esc esc")
		if m.paused || m.frames.empty() || m.frames.alone || len(m.frames.kept) > 0 {
			t.Errorf("%q: space did not resume", keys)
		}
	}
}

// Around what was in sight some rows are kept, and at their ends it is said that
// there were more.
func TestEdgesOfWhatAPauseKeeps(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(200)
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "g"+strings.Repeat(" pgdown", 16)+" space m a")
	at, height := selectedSeq(t, m), uint64(m.frames.height)
	evictAll(k)
	do(m, later(10))
	press(m, strings.Repeat("pgup ", 20))
	if got := selectedSeq(t, m); got+keptMargin+height <= at || got+keptMargin > at || !strings.Contains(m.View(), "rows before this one have left") {
		t.Errorf("from row %d up to row %d, and the screen says\n%s", at, got, m.View())
	}
	press(m, strings.Repeat("pgdown ", 20))
	if got := selectedSeq(t, m); got < at+keptMargin || got > at+keptMargin+height || !strings.Contains(m.View(), "rows behind this one have left") {
		t.Errorf("from row %d down to row %d, and the screen says\n%s", at, got, m.View())
	}
	press(m, "' a")
	if got := selectedSeq(t, m); got != at {
		t.Errorf("the mark of row %d leads to row %d", at, got)
	}
	// A view that was not looked at before has those of the kept rows that belong to
	// it; where there are none, that is said.
	press(m, "s")
	stream := m.view.Stream
	if got := selectedSeq(t, m); got != at || len(m.frames.entries) != 3 || !strings.Contains(m.View(), "3 rows kept, others evicted") {
		t.Errorf("row %d, and the screen says\n%s", got, m.View())
	}
	for i := range m.frames.entries {
		if m.frames.entries[i].Header.StreamID != stream {
			t.Errorf("of stream %d: %+v", stream, m.frames.entries[i])
		}
	}
	press(m, "esc")
	for _, c := range []struct {
		text string
		rows bool
	}{{"type == DATA && comm == nginx", true}, {"path contains nowhere", false}} {
		m.filterBy(c.text)
		do(m, later(11))
		if v := m.View(); c.rows != strings.Contains(v, "kept, others evicted") || c.rows == m.frames.empty() ||
			c.rows == strings.Contains(v, "have left the history; space resumes") ||
			strings.Contains(v, "Waiting for") || strings.Contains(v, "Nothing here") || strings.Contains(v, "oldest one held") {
			t.Errorf("%s: %d rows, and the screen says\n%s", c.text, len(m.frames.rows), v)
		}
		for i := range m.frames.entries {
			if e := &m.frames.entries[i]; e.Header.Type != http2.FrameData {
				t.Errorf("%s: %+v", c.text, e)
			}
		}
		press(m, "esc")
	}
	press(m, "esc")
	if got := selectedSeq(t, m); got != at {
		t.Errorf("esc leads to row %d, it was %d", got, at)
	}
}

// What a pause keeps beside the rows in sight is bounded in octets too.
func TestPauseKeepsFewOctets(t *testing.T) {
	tr := newTraffic(64 << 20)
	k := tr.requests(1)
	for range 300 {
		k.send().data(1, false, strings.Repeat("x", 100_000))
	}
	m := newScreen(tr.st, 120, 36, Options{Live: true})
	press(m, "space")
	n := 0
	for _, e := range m.frames.kept[m.frames.view].entries {
		n += len(e.Payload)
	}
	for i := range m.frames.entries {
		n -= len(m.frames.entries[i].Payload)
	}
	if n <= 0 || n > keptOctets {
		t.Errorf("%d octets beside those in sight", n)
	}
}

// The connections that a pause began with stay when they leave the history, also
// where the panes are narrowed to one.
func TestConnectionsOfAPauseStay(t *testing.T) {
	for _, sort := range []string{"", "fr", "remote"} {
		tr := newTraffic(store.MinHistory)
		var all []*talk
		for i := range 5 {
			k := tr.requests(4 + i)
			k.bind("192.0.2.1:443", fmt.Sprintf("192.0.2.9:500%d", i), capture.Exact)
			all = append(all, k)
		}
		for _, k := range all[:4] {
			k.close()
		}
		m := newScreen(tr.st, 120, 36, Options{Live: true})
		enter(m, "sort "+sort)
		press(m, "G space")
		connections := func() string {
			var b strings.Builder
			for i := range m.conns.rows {
				for _, c := range m.conns.rows[i].cells {
					b.WriteString(c.text + " ")
				}
				b.WriteByte('\n')
			}
			return b.String()
		}
		before := connections()
		evictAll(tr.requests(1))
		do(m, later(10), tea.WindowSizeMsg{Width: 121, Height: 36}, tea.WindowSizeMsg{Width: 120, Height: 36})
		if n := tr.st.NumConns(); n > 2 {
			t.Fatalf("%d connections are in the store", n)
		}
		press(m, "1 g")
		if got := connections(); got != before || m.conns.end != 5 {
			t.Errorf("by %q: the connections were\n%s\nare\n%s", sort, before, got)
		}
		id := m.conns.selected().ID
		press(m, "enter 1")
		if v := m.View(); m.view.Conn != id || connections() != before || strings.Contains(v, "none yet") {
			t.Errorf("by %q: narrowed to %v:\n%s", sort, id, v)
		}
		press(m, "esc esc 3")
		if v := m.View(); sort == "" && (!strings.Contains(v, "c4 closed") || !strings.Contains(v, "192.0.2.9:5003")) {
			t.Errorf("the detail does not tell of the connection:\n%s", v)
		}
		if !m.paused {
			t.Fatal("not paused any more")
		}
		press(m, "space")
		if m.paused || int(m.conns.end) != tr.st.NumConns() {
			t.Errorf("by %q: after the pause %d connections are listed, %d are there", sort, m.conns.end, tr.st.NumConns())
		}
	}
}

// What a pause keeps of very many connections is bounded; it is said how many
// there were.
func TestPauseOfManyConnections(t *testing.T) {
	const n = maxKeptConns + 500
	for _, sort := range []string{"", "remote"} {
		st := store.New(store.Options{})
		for i := range n {
			st.Append(&decode.Row{Kind: decode.RowOpen, Conn: capture.ConnID(i + 1), Time: int64(i + 1), Info: &capture.ConnInfo{PID: 1, Comm: "x"}})
		}
		m := newScreen(st, 120, 36, Options{Live: true})
		enter(m, "sort "+sort)
		press(m, "1 G")
		at := m.conns.selected().ID
		press(m, "space")
		if c := m.conns.selected(); c == nil || m.conns.end != maxKeptConns || !strings.Contains(m.View(), "10,000 of 10,500") {
			t.Fatalf("by %q: %d connections:\n%s", sort, m.conns.end, m.View())
		}
		if c := m.conns.selected(); sort != "" && c.ID != at {
			t.Errorf("by %q: the cursor went from %v to %v", sort, at, c.ID)
		}
	}
}
