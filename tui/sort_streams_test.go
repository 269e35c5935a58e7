// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

func TestSortStreams(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	statuses := []string{"200", "503", "404", "204"}
	for i, status := range statuses {
		id := uint32(1 + 2*i)
		k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", fmt.Sprintf("/%c", "dbca"[i]))
		k.send().headers(id, false, ":status", status)
		for range (i * 3) % 4 { // 0, 3, 2, 1
			k.send().data(id, false, strings.Repeat("x", 10))
		}
	}
	other := tr.requests(3)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter g j")
	order := func() (ids []uint32) {
		for i := range m.strms.streams {
			ids = append(ids, m.strms.streams[i].ID)
		}
		return ids
	}
	for _, c := range []struct {
		by   string
		want []uint32
	}{
		{"", []uint32{1, 3, 5, 7}},
		{"fr", []uint32{3, 5, 7, 1}},
		{"st", []uint32{3, 5, 7, 1}},
		{"request", []uint32{7, 3, 5, 1}},
		{"time", []uint32{1, 3, 5, 7}}, // none has ended
		{"→oct", []uint32{3, 5, 7, 1}},
		{"sid", []uint32{1, 3, 5, 7}},
		{"fr", []uint32{3, 5, 7, 1}},
	} {
		enter(m, "sort "+c.by)
		if got := order(); !slices.Equal(got, c.want) {
			t.Errorf("by %q: %v, want %v", c.by, got, c.want)
		}
		if got := m.strms.selected().ID; c.by != "" && got != c.want[0] {
			t.Errorf("by %q: the cursor is on %d, not on the first", c.by, got)
		}
	}
	press(m, "j")
	at := m.strms.selected().ID
	if m.conns.by != unsorted {
		t.Error("the connections were sorted too")
	}
	// Live, the order follows, at times that depend on how long it takes to make.
	tick := 5
	settle := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			do(m, later(tick))
			if tick++; m.strms.ordered() && m.strms.order.generation == m.shown.Generation {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the order does not follow: %v", order())
			}
		}
	}
	for range 9 {
		k.send().data(7, false, "x")
	}
	k.more(9, 1)
	settle()
	if got, want := order(), []uint32{7, 3, 5, 9, 1}; !slices.Equal(got, want) {
		t.Errorf("after more of stream 7: %v, want %v", got, want)
	}
	if got := m.strms.selected().ID; got != at {
		t.Errorf("the cursor went from %d to %d", at, got)
	}
	press(m, "space")
	k.more(11, 5)
	settle()
	if got := order(); len(got) != 5 {
		t.Errorf("while paused: %v", got)
	}
	press(m, "space")
	settle()
	if got := order(); len(got) != 10 {
		t.Errorf("after the pause: %v", got)
	}
	// A stream that the panes are narrowed to is found in any order.
	press(m, "g j enter")
	if got := m.view.Stream; got != 3 {
		t.Errorf("enter opened stream %d", got)
	}
	// Another connection: from the top.
	press(m, "esc 1 G enter")
	if m.strms.conn != other.id || m.strms.cursor != 0 || len(order()) != 3 {
		t.Errorf("of %v: %v, cursor %d", m.strms.conn, order(), m.strms.cursor)
	}
	// A click on a title sorts; the waterfall is no column to sort by.
	enter(m, "sort")
	var line string
	y := 0
	for i, l := range strings.Split(m.View(), "\n") {
		if strings.Contains(l, "request") {
			line, y = l, i
		}
	}
	before, _, _ := strings.Cut(line, " st ")
	do(m, click(width(before)+2, y))
	if m.strms.by != streamStatus {
		t.Errorf("a click on st sorts by %d: %q", m.strms.by, line)
	}
	do(m, click(m.lay.boxes[1].x+m.lay.boxes[1].w-4, y))
	if m.strms.by != streamStatus {
		t.Errorf("a click on the waterfall sorts by %d", m.strms.by)
	}
	for range 12 {
		press(m, "2 S")
		if err := checkScreen(m); err != nil {
			t.Error(err)
		}
	}
}

// A connection of very many streams is sorted beside the UI, and no more often
// than a tenth of the time does for.
func TestSortManyStreams(t *testing.T) {
	const n = 30_000
	tr := newTraffic(0)
	k := tr.requests(n)
	m := newScreen(tr.st, 200, 60, Options{Live: true})
	press(m, "1 g enter")
	begin := time.Now()
	m.take(keyMsg("S"))
	took := time.Since(begin)
	if m.works[workSort].work == nil {
		t.Error("the key leaves no work")
	}
	do(m, later(1))
	t.Logf("%d streams were sorted in %v, the key took %v", n, m.strms.order.took, took)
	if len(m.strms.order.ids) != n || !m.strms.ordered() {
		t.Fatalf("%d streams are in order", len(m.strms.order.ids))
	}
	m.strms.order.took = time.Hour
	k.more(2*n+101, 1)
	m.take(later(2))
	if m.works[workSort].work != nil {
		t.Error("sorted again at once")
	}
	m.strms.order.took = 0
	do(m, later(3))
	if len(m.strms.order.ids) != n+1 {
		t.Errorf("%d streams are in order", len(m.strms.order.ids))
	}
}

// What a list is sorted by is in sight, also where there was no room for it, and S
// comes by every column.
func TestSortedColumnInSight(t *testing.T) {
	m := newScreen(sample(t).st, 120, 36, Options{})
	press(m, "1 g enter")
	if m.strms.columnWidth(streamTime) != 0 {
		t.Fatal("there is room for the time")
	}
	for by := streamRequest; by < streamBar; by++ {
		press(m, "S")
		if m.strms.by != by || m.strms.columnWidth(by) == 0 || by == streamTime && m.strms.columnWidth(streamBar) == 0 {
			t.Errorf("sorted by column %d, want %d:\n%s", m.strms.by, by, m.View())
		}
	}
	if press(m, "S"); m.strms.by != unsorted || m.strms.columnWidth(streamTime) != 0 || m.strms.columnWidth(streamBar) == 0 {
		t.Errorf("in their order:\n%s", m.View())
	}
}

// What was reset or never ended has failed too, whatever its status; what goes on
// has neither failed nor gone well.
func TestSortByStatus(t *testing.T) {
	summary := func(status string, code store.GRPCStatus, ended bool) store.StreamSummary {
		return store.StreamSummary{ID: 1, Method: "POST", Status: status, GRPCStatus: code, EndRecv: true, EndSend: ended,
			Phases: [2]store.Phase{{Begin: 2}, {Begin: 1}}}
	}
	reset := func(s store.StreamSummary, code http2.ErrCode) store.StreamSummary {
		s.Reset, s.ResetCode, s.ResetCodeKnown = true, uint32(code), true
		return s
	}
	answered := reset(summary("204", 0, true), http2.ErrCodeNo)
	answered.EndRecv = false
	late := reset(summary("202", 0, true), http2.ErrCodeStreamClosed)
	for _, c := range []struct {
		closed bool
		want   []store.StreamSummary
	}{
		{true, []store.StreamSummary{
			summary("503", 0, true), reset(summary("404", 0, false), http2.ErrCodeCancel), summary("200", 15, true), summary("200", store.GRPCUnknown, true),
			reset(summary("200", 0, false), http2.ErrCodeCancel), reset(summary("", 0, false), http2.ErrCodeRefusedStream),
			summary("200", 0, false), answered, late, summary("201", 0, true), summary("200", 1, true), summary("200", 0, true),
		}},
		{false, []store.StreamSummary{
			summary("404", 0, false), reset(summary("200", 0, false), http2.ErrCodeNo), summary("200", 0, true), summary("200", 0, false), summary("", 0, false),
		}},
	} {
		for i := range c.want[1:] {
			if a, b := statusRank(&c.want[i], c.closed), statusRank(&c.want[i+1], c.closed); a <= b {
				t.Errorf("closed %v: %d has rank %d, %d has %d", c.closed, i, a>>32, i+1, b>>32)
			}
		}
	}
}
