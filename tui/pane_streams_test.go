// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// Long waits are shown to the second, and never cut; which end asks is known
// without a waterfall too.
func TestStreamThatTakesLong(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().headers(3, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/slow")
	tr.now += int64(12*time.Minute + 34*time.Second)
	k.send().headers(3, true, ":status", "200")
	m := newScreen(tr.st, 200, 60, Options{})
	press(m, "2")
	for _, w := range []int{200, 160, 110, 200} {
		do(m, tea.WindowSizeMsg{Width: w, Height: 40})
		shown := 0
		for _, at := range []int{streamWait, streamTime} {
			if m.strms.columnWidth(at) > 0 {
				shown++
			}
		}
		if got := strings.Count(m.View(), "12m34s"); got < shown || w == 200 && shown != 2 {
			t.Errorf("%d cells: the time is on the screen %d times, in %d columns:\n%s", w, got, shown, m.View())
		}
	}
}

// The streams that are looked at while paused stay when they leave the history,
// and the cursor goes on among them.
func TestStreamsKeptWhilePaused(t *testing.T) {
	for _, sorted := range []string{"", "S "} {
		tr := newTraffic(store.MinHistory)
		k := tr.requests(300)
		m := newScreen(tr.st, 120, 36, Options{Live: true})
		press(m, "2 "+sorted+"g"+strings.Repeat(" pgdown", 4)+" space")
		pane := func() string {
			var b strings.Builder
			for _, r := range m.strms.rows {
				for i := range r.cells {
					b.WriteString(r.cells[i].text + " ")
				}
				for i := range r.runs {
					b.WriteString(r.runs[i].text)
				}
				b.WriteString("\n")
			}
			return b.String()
		}
		before, at := pane(), m.strms.selected().ID
		evictAll(k)
		do(m, later(10))
		press(m, "k j")
		if got := pane(); got != before || m.strms.selected().ID != at {
			t.Errorf("%q: stream %d, it was %d; the streams are\n%s\nand were\n%s", sorted, m.strms.selected().ID, at, got, before)
		}
		press(m, "k k")
		if got := m.strms.selected().ID; got != at-4 {
			t.Errorf("%q: k k leads from stream %d to %d", sorted, at, got)
		}
		for _, end := range []string{"pgup", "pgdown"} {
			press(m, strings.Repeat(end+" ", 20))
			if v := m.View(); len(m.strms.rows) == 0 || !strings.Contains(v, "no more streams are kept") || strings.Contains(v, "none yet") {
				t.Errorf("%q: at the end:\n%s", sorted, v)
			}
		}
		press(m, "enter")
		if v := m.View(); !strings.Contains(v, "have left the history; space resumes") {
			t.Errorf("%q: the frames of a stream that has left:\n%s", sorted, v)
		}
		press(m, "esc space")
		// How long the first sorting took says when there is another.
		for i, begin := 11, time.Now(); m.strms.end < 1000 && time.Since(begin) < time.Minute; i++ {
			do(m, later(i))
		}
		if m.strms.kept.alone || len(m.strms.rows) == 0 || m.strms.end < 1000 {
			t.Errorf("%q: space does not resume:\n%s", sorted, m.View())
		}
	}
}

// Streams that have left the list are counted in its title, and no other stands
// for one of them.
func TestStreamsThatHaveLeft(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(300)
	k.recv().headers(7001, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/long")
	m := newScreen(tr.st, 160, 36, Options{Live: true})
	enter(m, "goto "+commas(tr.st.Snapshot().Rows))
	press(m, "s")
	if got := m.strms.selected(); got == nil || got.ID != 7001 {
		t.Fatalf("under the cursor is %+v", got)
	}
	evictAll(k)
	do(m, later(1))
	if got := m.strms.selected(); got != nil {
		t.Errorf("stream %d stands for one that has left", got.ID)
	}
	for line := range strings.SplitSeq(m.View(), "\n") {
		if strings.HasPrefix(line, "│"+markCursor) && strings.Contains(line, "GET /") {
			t.Errorf("the cursor is on %q", line)
		}
	}
	view := m.view
	press(m, "2 enter")
	if m.view != view || !strings.Contains(lastLine(m), "the stream has left this list") {
		t.Errorf("enter led from %+v to %+v: %q", view, m.view, lastLine(m))
	}
	press(m, "j")
	if m.strms.selected() == nil {
		t.Error("j leads to no stream")
	}
	c, _ := tr.st.Conn(k.id)
	held := tr.st.NumStreams(k.id)
	title := "Streams of c1: " + commas(uint64(held)) + " of " + commas(uint64(c.Streams))
	if held >= c.Streams || !strings.Contains(m.View(), title) {
		t.Errorf("no %q on\n%s", title, m.View())
	}
	press(m, "g")
	if got, want := lastLine(m), commas(uint64(c.Streams-held))+" older streams have left the history"; !strings.Contains(got, want) {
		t.Errorf("at the top: %q, want %q", got, want)
	}
	// While paused the title stays, whatever comes and leaves.
	press(m, "space")
	evictAll(k)
	for id, keys := range []string{"j", "pgdown", "k", "pgup", "g"} {
		do(m, later(10+id))
		if press(m, keys); !strings.Contains(m.View(), title) {
			t.Errorf("paused, after %s: no %q on\n%s", keys, title, m.View())
		}
	}
	// Also where the streams that leave are not those in sight.
	press(m, "space")
	do(m, later(20))
	press(m, "G k space")
	info, ended := m.strms.info(m), tr.st.NumStreams(k.id)
	first := tr.st.Streams(k.id, 0, 1)[0].ID
	for id := uint32(500_001); tr.st.Streams(k.id, 0, 1)[0].ID == first; id += 20 {
		k.more(id, 10)
	}
	press(m, "k k k")
	if got := m.strms.info(m); got != info || m.strms.kept.alone {
		t.Errorf("paused on %q, and after %d streams became %d on %q", info, ended, tr.st.NumStreams(k.id), got)
	}
}

// The streams of frames that are in a spill file leave the list first: it is
// said, and a row of such a stream points at none.
func TestStreamsOfASpillFile(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	spill, err := store.OpenSpill(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer spill.Close()
	tr.st = store.New(store.Options{History: store.MinHistory, Spill: spill})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); tr.st.RunSpill(ctx) }()
	defer func() { cancel(); <-done }()
	k := tr.requests(100)
	for stream := uint32(1001); ; stream += 200 {
		k.more(stream, 100)
		tr.st.AwaitSpill(ctx)
		c, _ := tr.st.Conn(k.id)
		if _, held := tr.st.Stream(k.id, 1); !held && tr.st.NumStreams(k.id) < c.Streams {
			break
		}
	}
	if evicted := tr.st.Snapshot().Evicted; evicted > 0 {
		t.Fatalf("%d rows were evicted", evicted)
	}
	m := newScreen(tr.st, 160, 36, Options{})
	press(m, "2 j g")
	if got := lastLine(m); !strings.Contains(got, " older streams: only their frames are kept") {
		t.Errorf("at the top: %q", got)
	}
	press(m, "3 g j j j j j")
	if e := m.frames.selected(); !hasStream(e) || e.Header.StreamID != 1 {
		t.Fatalf("under the cursor is %+v", e)
	}
	if got := m.strms.selected(); got != nil {
		t.Errorf("stream %d stands for stream 1", got.ID)
	}
	press(m, "s")
	if m.view.Stream != 1 || len(m.frames.entries) != 3 || m.strms.selected() != nil {
		t.Errorf("view %+v, %d rows", m.view, len(m.frames.entries))
	}
	press(m, "1 enter")
	if m.view.HasStream || m.strms.selected() == nil {
		t.Errorf("of the whole connection, view %+v: no stream under the cursor", m.view)
	}
}
