// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"net/netip"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// TestOtherEnd: x goes to the other end of a connection and back, and says
// where there is none.
func TestOtherEnd(t *testing.T) {
	tr := newTraffic(0)
	near, far := tr.requests(3), tr.requests(3)
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "1 home x")
	if !strings.Contains(lastLine(m), "the other end of c1 is not captured") || m.view != (store.View{}) {
		t.Errorf("view %+v: %q", m.view, lastLine(m))
	}
	a, b := netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("192.0.2.2:50000")
	near.feed(&capture.Event{Kind: capture.Bind, Binding: &capture.Binding{Local: a, Remote: b, Evidence: capture.Exact}})
	far.feed(&capture.Event{Kind: capture.Bind, Binding: &capture.Binding{Local: b, Remote: a, Evidence: capture.Exact}})
	do(m, later(1))
	for i, want := range []capture.ConnID{2, 1} {
		press(m, "x")
		if m.view != (store.View{Conn: want}) || m.focus != paneConns {
			t.Errorf("time %d: view %+v, focus %v; want %v", i, m.view, m.focus, want)
		}
	}
	press(m, "esc esc 3 home x")
	if m.view != (store.View{Conn: 2}) || m.focus != paneFrames {
		t.Errorf("from the first frame: view %+v, focus %v", m.view, m.focus)
	}
	press(m, "4")
	if text := m.View(); !strings.Contains(text, "other end") && !strings.Contains(text, "c1") {
		t.Errorf("the detail does not tell the other end:\n%s", text)
	}
}
