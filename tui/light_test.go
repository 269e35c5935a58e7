// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// search searches for a text as a user does.
func search(m *Model, text string) {
	press(m, "ctrl+f")
	for _, r := range text {
		name := string(r)
		if r == ' ' {
			name = "space"
		}
		do(m, keyMsg(name))
	}
	press(m, "enter")
}

// TestSearchLightsTheMatch: what ^f finds is in sight in the detail, lit, with
// the cursor on it, in a tab that shows it.
func TestSearchLightsTheMatch(t *testing.T) {
	tr := newTraffic(0)
	k := tr.requests(2)
	json := `{"items":[` + strings.Repeat(`{"name":"nothing"},`, 60) + `{"name":"Needle"}]}`
	k.recv().headers(101, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/101",
		"content-type", "application/json", "x-long", strings.Repeat("abcdefg ", 200)+"pearl"+strings.Repeat(" hijk", 100))
	k.recv().data(101, true, json)
	k.send().headers(101, true, ":status", "200")
	k.answer(103, gzipped(t, strings.Repeat("a line of no interest\n", 50)+"the agate is here\n"), 1000, true)
	k.recv().data(105, true, strings.Repeat("\x00\x01\x02", 200)+"amber\xff"+strings.Repeat("\x03", 200))
	k.send().write(func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeNo, []byte("so long, opal")) })
	for _, c := range []struct {
		text string
		from detailTab // that is open
		tab  detailTab // that is open then
		line string    // under the cursor
	}{
		{`"name":"needle"`, tabHeaders, tabBody, `"name": "Needle"`},
		{"needle", tabFlow, tabBody, `"name": "Needle"`},
		{"needle", tabHex, tabHex, "4e"},
		{"pearl", tabBody, tabHeaders, "pearl"},
		{"pearl", tabHeaders, tabHeaders, "pearl"},
		{"agate is", tabHeaders, tabBody, "the agate is here"},
		{"amber", tabHeaders, tabBody, "amber"},
		{"0x616d626572ff", tabHeaders, tabHex, "61"},
		{"opal", tabBody, tabHeaders, "so long, opal"},
	} {
		m := newScreen(tr.st, 100, 30, Options{})
		m.detail.chooseTab(m, int(c.from))
		search(m, c.text)
		do(m, later(1))
		p := m.detail
		if p.tab != c.tab {
			t.Errorf("%q in %s: the tab is %s, not %s", c.text, tabNames[c.from], tabNames[p.tab], tabNames[c.tab])
			continue
		}
		if p.tab == tabHex {
			if got := p.hex.at(p.octet()); hexDigits[got>>4] != c.line[0] || hexDigits[got&15] != c.line[1] {
				t.Errorf("%q: the cursor is on %02x", c.text, got)
			}
			if from, n := p.window(); p.cursor < from || p.cursor >= from+uint64(n) {
				t.Errorf("%q: the cursor is at %d, in sight are %d from %d", c.text, p.cursor, n, from)
			}
			continue
		}
		lines := strings.Split(m.View(), "\n")
		lit := ""
		for i := range lines {
			if strings.HasPrefix(lines[i], "│"+markChosen) {
				lit += lines[i] + "\n"
			}
		}
		if !strings.Contains(lit, c.line) {
			t.Errorf("%q in %s: not lit\n%s", c.text, tabNames[c.from], m.View())
		}
		if from, n := p.window(); p.cursor < from || p.cursor >= from+uint64(n) || !p.found(int(p.cursor)) {
			t.Errorf("%q: the cursor is at %d, in sight are %d from %d", c.text, p.cursor, n, from)
		}
		// Another row is not lit.
		press(m, "g")
		for i := range p.lines {
			if p.found(i) {
				t.Errorf("%q: line %d of another row is lit", c.text, i)
			}
		}
	}
}
