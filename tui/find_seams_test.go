// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"testing"

	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// Text that frames divide is found in the frame in which it ends, whatever the
// panes are narrowed to; text that only seems to be there is not.
func TestSearchAcrossFrames(t *testing.T) {
	tr := newTraffic(0)
	other := tr.requests(1)
	k := tr.requests(3)
	begin := func(ids ...uint32) {
		for _, id := range ids {
			k.recv().headers(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
			k.send().headers(id, false, ":status", "200")
		}
	}
	begin(101, 103, 105, 107, 109, 111)
	k.send().data(101, false, "the Nee")
	k.send().data(103, false, "needl") // goes on as something else
	k.send().data(101, false, "DLE in the hay, and one more Nee")
	k.send().data(103, true, "ing")
	k.send().data(101, true, "dle")
	for _, c := range "a needl" { // a frame each
		k.send().data(105, false, string(c))
	}
	k.send().data(105, false, "")
	k.send().data(105, true, "e")
	k.send().data(107, false, "need")
	k.send().write(func(f *http2.Framer) error { return f.WriteDataPadded(109, false, []byte("need"), make([]byte, 9)) })
	k.send().data(109, true, "le")
	k.send().data(111, true, "le") // of another stream
	k.send().headers(107, true, "x-end", "1")
	begin(113)
	k.send().data(113, false, "need")
	k.send().lose(20)
	for range 9 {
		k.send().write(func(f *http2.Framer) error { return f.WritePing(true, [8]byte{}) })
	}
	k.send().data(113, true, "le")
	other.more(101, 1)

	for _, v := range []store.View{{}, {Conn: k.id}} {
		m := newScreen(tr.st, 120, 36, Options{})
		m.narrow(v, paneFrames)
		press(m, "g")
		enter(m, "search needle")
		var got []string
		for range 4 {
			e := m.frames.selected()
			got = append(got, fmt.Sprintf("%d %q", e.Header.StreamID, e.Payload))
			if !strings.Contains(m.notice, "of 4, which begins in a frame before this") {
				t.Errorf("in %+v: %q", v, m.notice)
			}
			press(m, "n")
		}
		const want = `[101 "DLE in the hay, and one more Nee" 101 "dle" 105 "e" 109 "le"]`
		if fmt.Sprint(got) != want {
			t.Errorf("in %+v: %s", v, got)
		}
	}
	m := newScreen(tr.st, 120, 36, Options{Stream: 101, HasStream: true})
	press(m, "g")
	enter(m, "search needle")
	if !strings.Contains(m.notice, "1 of 2, which begins in a frame before this") || m.detail.tab != tabBody {
		t.Errorf("in stream 101: %q, tab %v", m.notice, m.detail.tab)
	}
}

// What is remembered of the messages in progress is bounded.
func TestSearchAcrossFramesBound(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(0)
	s := newSeams(textNeedle("needle"))
	s.most = 10
	for id := uint32(1); id < 101; id += 2 {
		k.send().data(id, false, strings.Repeat("x", 100)+"need")
	}
	k.send().data(99, true, "le")
	sel := tr.st.Select(store.View{}, store.Predicate{Match: s.match})
	for !sel.Advance(t.Context(), slice) {
	}
	if len(s.tails) != 9 || sel.Progress().Matched != 1 {
		t.Errorf("%d tails, %d matches", len(s.tails), sel.Progress().Matched)
	}
	for k, tail := range s.tails {
		if len(tail.octets) != len("needl") || cap(tail.octets) > 16 {
			t.Errorf("stream %d: %d octets in %d", k.stream, len(tail.octets), cap(tail.octets))
		}
	}
}
