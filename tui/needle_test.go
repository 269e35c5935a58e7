// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"
)

// A field is found by its name, by its value, and as it is written elsewhere.
func TestSearchFields(t *testing.T) {
	for _, c := range []struct {
		text, name, value string
		want              bool
	}{
		{"x-req", "x-request-id", "abc", true},
		{"BC", "x-request-id", "abc", true},
		{"x-request-id: abc", "x-request-id", "abc", true},
		{"X-Request-Id: AB", "x-request-id", "abc", true},
		{"id:abc", "x-request-id", "abc", true},
		{"x-request-id:  abc", "x-request-id", "abc", true},
		{"x-request-id:", "x-request-id", "abc", true},
		{":path: /a", ":path", "/a", true},
		{"x: a: b", "x", "a: b", true},
		{"host: 127.0.0.1:80", "host", "127.0.0.1:8080", true},
		{"x-request-id: bc", "x-request-id", "abc", false},
		{"y-request-id: abc", "x-request-id", "abc", false},
		{"request: abc", "x-request-id", "abc", false},
		{"x-request-id: abcd", "x-request-id", "abc", false},
		{":", "x", "y", false}, // what is typed next makes it one
	} {
		if got := textNeedle(c.text).inField([]byte(c.name), []byte(c.value)); got != c.want {
			t.Errorf("%q in %s: %s is %v", c.text, c.name, c.value, got)
		}
	}
	// What is not known has nothing in it.
	for _, text := range []string{":", "x: ", "abc"} {
		n := textNeedle(text)
		if n.inField([]byte("x"), nil) || n.inField(nil, []byte("y")) || n.inField(nil, nil) {
			t.Errorf("%q is found in what is not known", text)
		}
	}
}

// Octets are found where text is: in a frame, across the frames of a body, and
// in a body whose content coding is undone. Their case counts.
func TestSearchOctets(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(1)
	k.recv().headers(101, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/101")
	k.recv().data(101, false, strings.Repeat("\x00\x01", 300)+"Am\xfe")
	k.recv().data(101, true, "\xffber"+strings.Repeat("\x02", 300))
	k.answer(103, gzipped(t, strings.Repeat("\x00\x01", 300)+"am\xfe\xffber"+strings.Repeat("\x02", 300)), 20, false)
	k.recv().data(1, false, "Am\xfe\xffber")

	m := newScreen(tr.st, 100, 30, Options{})
	found := func(keys string, stream uint32, notice string, tab detailTab) {
		t.Helper()
		press(m, keys)
		do(m, later(1))
		e := m.frames.selected()
		if e.Header.StreamID != stream || !strings.Contains(m.notice, notice) || m.detail.tab != tab {
			t.Errorf("row %d of stream %d, %q, tab %s", e.Seq, e.Header.StreamID, m.notice, tabNames[m.detail.tab])
		}
	}
	search(m, "0x416dfeff62")
	found("", 101, "1 of 2, which begins in a frame before this", tabBody)
	if at := int(m.detail.cursor); !m.detail.found(at) {
		t.Errorf("the cursor of the body is on line %d, which has no match:\n%s", at, m.View())
	}
	found("n", 1, "2 of 2", tabHex)
	search(m, "0x616dfeff62")
	found("", 103, "in the decoded body that ends here", tabBody)
	if at := int(m.detail.cursor); !m.detail.found(at) {
		t.Errorf("the cursor of the decoded body is on line %d, which has no match:\n%s", at, m.View())
	}
}
