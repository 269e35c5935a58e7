// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// What tabs tell of a row from the rows around it is not told of others when
// they have left the history: they say so, or show what they made before.
func TestTabsOfARowThatHasLeft(t *testing.T) {
	for _, sameConn := range []bool{true, false} {
		for _, tab := range []detailTab{tabBody, tabHPACK, tabFlow} {
			for _, seenBefore := range []bool{false, true} {
				tr := newTraffic(store.MinHistory)
				k := tr.requests(100)
				m := newScreen(tr.st, 120, 36, Options{Live: true})
				press(m, "g j j j j j j j j space")
				detail := func() string {
					m.detail.chooseTab(m, int(tab))
					do(m, tea.WindowSizeMsg{Width: 120, Height: 36})
					var b strings.Builder
					for _, l := range m.detail.lines {
						for _, c := range l.cells {
							b.WriteString(c.text + " ")
						}
						b.WriteByte('\n')
					}
					return b.String()
				}
				before := ""
				if seenBefore {
					before = detail()
					press(m, "[")
				}
				if sameConn {
					evictAll(k)
				} else {
					evictAll(tr.requests(1))
				}
				do(m, later(10))
				after := detail()
				says := strings.Contains(after, "left the history") || strings.Contains(after, "left in the history")
				switch {
				case seenBefore && tab != tabHPACK:
					if after != before || says {
						t.Errorf("%s, of the same connection %v: was\n%s\nis\n%s", tabNames[tab], sameConn, before, after)
					}
				case !says || strings.Contains(after, "up to here"):
					t.Errorf("%s, of the same connection %v, does not say that the row has left:\n%s", tabNames[tab], sameConn, after)
				}
			}
		}
	}
}

// Of a stream of which only the end is left that is said.
func TestBodyOfAStreamWithoutItsBeginning(t *testing.T) {
	tr := newTraffic(store.MinHistory)
	k := tr.requests(1)
	const stream = 77
	for tr.st.Snapshot().Evicted < 100 {
		k.send().data(stream, false, strings.Repeat("x", 1000))
	}
	m := newScreen(tr.st, 120, 36, Options{})
	press(m, "G")
	m.detail.chooseTab(m, int(tabBody))
	do(m, later(1))
	if v := m.View(); !strings.Contains(v, "beginning of the stream has left") {
		t.Errorf("not said on\n%s", v)
	}
}
