// SPDX-License-Identifier: Apache-2.0

package tui

import "h2sniff/decode/store"

// count takes how many streams are listed, and how many the connection has had.
// A pause keeps the figures of its beginning.
func (p *streamPane) count(m *Model) {
	if m.paused && p.counted == p.conn {
		return
	}
	c, ok := m.st.Conn(p.conn)
	if !ok {
		c, _ = m.conn(p.conn)
	}
	// Those that began since the pause are in the store, and not in the list.
	gone := uint64(max(0, c.Streams-m.st.NumStreams(p.conn)))
	p.listed, p.total, p.counted = p.end, p.end+gone, p.conn
}

// sayGone says, when the cursor has come to the beginning of the list, that there
// were others before.
func (p *streamPane) sayGone(m *Model) {
	n := p.total - min(p.total, p.listed)
	came := !p.atTop
	p.atTop = m.focus == paneStreams && !p.empty() && p.cursor == p.first && p.by == unsorted && n > 0
	if !came || !p.atTop || m.notice != "" {
		return
	}
	text := commas(n) + " older streams have left the history"
	if m.now.SpillUsed > 0 {
		text = commas(n) + " older streams: only their frames are kept"
	}
	m.say(text, false)
}

// listedStream is a stream that is in the list.
func (p *streamPane) listedStream(m *Model, id uint32) (store.StreamSummary, bool) {
	if p.kept.alone {
		i := p.kept.index(id)
		if i < 0 {
			return store.StreamSummary{}, false
		}
		return p.kept.list[i], true
	}
	return m.st.Stream(p.conn, id)
}
