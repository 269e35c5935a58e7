// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"strings"
	"testing"

	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// answer is a response with a body in gzip, in frames of size octets.
func (k *talk) answer(id uint32, body string, size int, trailers bool) {
	k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", fmt.Sprintf("/%d", id))
	k.send().headers(id, false, ":status", "200", "content-encoding", "gzip")
	for len(body) > size {
		k.send().data(id, false, body[:size])
		body = body[size:]
	}
	k.send().data(id, !trailers, body)
	if trailers {
		k.send().headers(id, true, "x-end", "1")
	}
}

// Text in a body in gzip is found at the frame that ends the body, whatever the
// panes are narrowed to.
func TestSearchDecodedBodies(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(3)
	text := strings.Repeat("nothing to see here; ", 40) + "The Needle in the haystack"
	body := gzipped(t, text)
	k.answer(101, body, 20, false)
	k.answer(103, gzipped(t, "other"), 1000, false)
	k.answer(105, body, 1000, true)
	// Without the coding being named these octets are not text.
	k.recv().headers(107, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/107")
	k.send().headers(107, false, ":status", "200")
	k.send().data(107, true, body)
	// Reset before its end.
	k.answer(109, body[:len(body)-4], 1000, true)
	k.recv().headers(111, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/111")
	k.send().headers(111, false, ":status", "200", "content-encoding", "gzip")
	k.send().data(111, false, body)
	k.send().write(func(f *http2.Framer) error { return f.WriteRSTStream(111, http2.ErrCodeCancel) })
	last := tr.requests(1)

	search := func(m *Model) (streams []uint32) {
		enter(m, "search the needle")
		for range 3 {
			e := m.frames.selected()
			if !e.Header.Flags.Has(http2.FlagDataEndStream) {
				t.Errorf("found row %d, which ends nothing", e.Seq)
			}
			if !strings.Contains(m.notice, "in the decoded body that ends here") {
				t.Errorf("notice: %q", m.notice)
			}
			streams = append(streams, e.Header.StreamID)
			press(m, "n")
		}
		return streams
	}
	for _, v := range []store.View{{}, {Conn: k.id}} {
		m := newScreen(tr.st, 120, 36, Options{})
		m.narrow(v, paneFrames)
		if got := fmt.Sprint(search(m)); got != "[101 105 109]" {
			t.Errorf("in %+v: streams %v", v, got)
		}
	}
	m := newScreen(tr.st, 120, 36, Options{Stream: 105, HasStream: true})
	enter(m, "search the needle")
	if e := m.frames.selected(); e.Header.StreamID != 105 || e.Header.Type != http2.FrameHeaders {
		t.Errorf("in stream 105: row %d, %q", e.Seq, m.notice)
	}
	m = newScreen(tr.st, 120, 36, Options{})
	m.narrow(store.View{Conn: last.id}, paneFrames)
	enter(m, "search the needle")
	if !strings.Contains(m.notice, "no match") {
		t.Errorf("in another connection: %q", m.notice)
	}
}

// What was examined after the end of its context is examined again.
func TestSearchBodiesCut(t *testing.T) {
	tr := newTraffic(0)
	tr.requests(0).answer(1, gzipped(t, "the needle"), 1000, false)
	m := newScreen(tr.st, 120, 36, Options{})
	f, err := newSearch("needle")
	if err != nil {
		t.Fatal(err)
	}
	m.searched = f
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sel := tr.st.Select(m.view, f.match(m))
	f.base, f.sel = m.view, sel
	f.bodies.during(ctx)
	for !sel.Advance(t.Context(), slice) {
	}
	if sel.Progress().Matched != 0 || !f.cut() {
		t.Fatalf("matched %d, cut %v", sel.Progress().Matched, f.cut())
	}
	press(m, "n")
	if e := m.frames.selected(); e.Header.Type != http2.FrameData {
		t.Errorf("row %d, %q", e.Seq, m.notice)
	}
}

// The field that was found is lit, also while another pane has the focus.
func TestFoundFieldIsLit(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().headers(101, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "x-one", "1", "x-two", "Precious")
	m := newScreen(tr.st, 200, 60, Options{Renderer: renderer(true)})
	lit := func() string {
		for _, line := range strings.Split(m.View(), "\n") {
			if _, after, ok := strings.Cut(line, m.sty.unselected.on+markChosen); ok {
				return withoutColours(after)
			}
		}
		return ""
	}
	enter(m, "search precious")
	if got := strings.Fields(lit()); len(got) < 2 || got[0] != "x-two" || got[1] != "Precious" {
		t.Errorf("lit: %q", got)
	}
	if p := m.detail.lit(false); p == nil || p.name != "field" || p.n != 5 {
		t.Errorf("lit among the octets: %+v", p)
	}
	if err := checkScreen(m); err != nil {
		t.Error(err)
	}
	// The cursor is there when the pane gets the keys, in the tab when it is
	// turned to.
	press(m, "4")
	if l := m.detail.chosen(); l == nil || l.field != 6 {
		t.Errorf("under the cursor: %+v", l)
	}
	m.detail.chooseTab(m, int(tabHex))
	m.detail.chooseTab(m, int(tabHeaders))
	if l := m.detail.chosen(); l == nil || l.field != 0 {
		t.Errorf("the cursor was taken back to %+v", l)
	}
	press(m, "3 k")
	if got := lit(); got != "" {
		t.Errorf("lit in another row: %q", got)
	}
}
