// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// million is a store of 1 M rows on 100 connections, all of them held.
func million(b *testing.B) *traffic {
	b.Helper()
	tr := newTraffic(4 << 30)
	var conns []*talk
	for range 100 {
		conns = append(conns, tr.requests(0))
	}
	for i := 0; tr.st.Snapshot().Rows < 1_000_000; i++ {
		for _, k := range conns {
			k.more(uint32(1+2*i), 1)
		}
	}
	if n := tr.st.Snapshot(); n.Evicted > 0 {
		b.Fatalf("%d rows were evicted", n.Evicted)
	}
	return tr
}

// BenchmarkView draws a screen of 200x60 from nothing, over 1 M rows.
func BenchmarkView(b *testing.B) {
	tr := million(b)
	for _, bb := range []struct {
		name    string
		colours bool
	}{{"colours", true}, {"plain", false}} {
		b.Run(bb.name, func(b *testing.B) {
			m := newScreen(tr.st, 200, 60, Options{Live: true, Source: "nginx", Renderer: renderer(bb.colours)})
			b.ReportAllocs()
			for b.Loop() {
				m.dirty = true
				m.View()
			}
		})
	}
}

// BenchmarkKey is a key press and the screen that answers it, at 200x60 over
// 1 M rows.
func BenchmarkKey(b *testing.B) {
	tr := million(b)
	pages := []string{"pgdown", "pgdown", "pgdown", "pgdown", "pgup", "pgup", "pgup", "pgup"}
	for _, bb := range []struct {
		name string
		view store.View
		keys []string
	}{
		{"down", store.View{}, []string{"j"}},
		{"page", store.View{}, pages},
		{"ends", store.View{}, []string{"g", "G"}},
		{"page of one connection", store.View{Conn: 50}, pages},
		{"page of one stream id", store.View{Stream: 1001, HasStream: true}, pages},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m := newScreen(tr.st, 200, 60, Options{Renderer: renderer(true)})
			m.view = bb.view
			m.refresh()
			msgs := make([]tea.Msg, len(bb.keys))
			for i, k := range bb.keys {
				msgs[i] = keyMsg(k)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Update(msgs[i%len(msgs)])
				m.View()
			}
		})
	}
}

// BenchmarkTick is a tick that finds new rows, and the screen that shows them.
func BenchmarkTick(b *testing.B) {
	tr := million(b)
	k := tr.requests(0)
	m := newScreen(tr.st, 200, 60, Options{Live: true, Renderer: renderer(true)})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k.more(uint32(1+2*i), 1)
		m.Update(later(i))
		m.View()
	}
}

// BenchmarkTabs is a key press and the screen that answers it with each tab of
// the detail in sight, and the waterfall; without what is done beside the UI.
func BenchmarkTabs(b *testing.B) {
	tr := million(b)
	bench := func(name string, m *Model, keys ...string) {
		b.Run(name, func(b *testing.B) {
			msgs := make([]tea.Msg, len(keys))
			for i, k := range keys {
				msgs[i] = keyMsg(k)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				m.Update(msgs[i%len(msgs)])
				m.View()
			}
		})
	}
	for tab := range numTabs {
		m := newScreen(tr.st, 200, 60, Options{Renderer: renderer(true)})
		m.detail.chooseTab(m, int(tab))
		bench(tabNames[tab], m, "j")
	}
	m := newScreen(tr.st, 200, 60, Options{Renderer: renderer(true)})
	press(m, "1 g enter W")
	bench("waterfall", m, "pgdown", "pgdown", "pgup", "pgup")
}

// BenchmarkFlow is what is done beside the UI for the flow tab: of the last row
// of 1 M on 100 connections, from the beginning and from what is known.
func BenchmarkFlow(b *testing.B) {
	tr := million(b)
	m := newScreen(tr.st, 200, 60, Options{Renderer: renderer(true)})
	press(m, "G")
	e := *m.frames.selected()
	m.detail.entry = e
	key, ok := m.detail.flowRange(m)
	if !ok {
		b.Fatal("nothing to show")
	}
	var past flowPast
	for _, bb := range []struct {
		name string
		past *flowPast
	}{{"from the beginning", nil}, {"from what is known", &past}} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				past := bb.past
				if past == nil {
					past = &flowPast{}
				}
				makeFlow(b.Context(), tr.st, m.sty, past, &steps{}, key, e.Direction, e.Time, flowUntil{})
			}
		})
	}
}

// BenchmarkSearch searches 660,000 rows, among them 20,000 bodies of 10 kB in
// gzip, for a text that is nowhere.
func BenchmarkSearch(b *testing.B) {
	tr := newTraffic(1 << 30)
	for range 10 {
		tr.requests(20_000)
	}
	body := gzipped(b, strings.Repeat(`some json {"a": 1}, `, 500))
	k := tr.requests(0)
	for i := range 20_000 {
		k.answer(uint32(2*i+1), body, 1000, false)
	}
	for _, bb := range []struct {
		name string
		view store.View
	}{{"all", store.View{}}, {"without codings", store.View{Conn: 1}}, {"with codings", store.View{Conn: k.id}}} {
		b.Run(bb.name, func(b *testing.B) {
			m := newScreen(tr.st, 120, 36, Options{})
			m.view = bb.view
			f, err := newSearch("no such text")
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				sel := tr.st.Select(m.view, f.match(m))
				for !sel.Advance(b.Context(), slice) {
				}
				if p := sel.Progress(); p.Matched > 0 || p.Waiting > 0 {
					b.Fatalf("%+v", p)
				}
			}
		})
	}
}
