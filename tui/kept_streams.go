// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"

	"h2sniff/decode/store"
)

// keptStreams are copies of the streams that were in sight while paused, and of
// some around them: like rows, they stay when the store evicts them.
type keptStreams struct {
	key  streamOrderKey
	list []store.StreamSummary
	// alone says that some of them have left the store: only these can be shown.
	alone bool
	more  bool // there were others in the list
}

// index is the place of a stream in the list; -1 where it is not in it.
func (k *keptStreams) index(id uint32) int {
	return slices.IndexFunc(k.list, func(t store.StreamSummary) bool { return t.ID == id })
}

// keep keeps the streams of the window and some around them.
func (p *streamPane) keep(m *Model, from, n int) {
	first := max(0, from-keptMargin)
	p.kept = keptStreams{key: streamOrderKey{p.conn, p.by}}
	p.kept.list = p.at(m, first, min(from+n+keptMargin, int(p.end))-first)
	p.kept.more = uint64(len(p.kept.list)) < p.end
}

// keptAlone says whether only streams that are kept can be shown.
func (p *streamPane) keptAlone(m *Model) bool {
	k := &p.kept
	if !m.paused || len(k.list) == 0 || k.key != (streamOrderKey{p.conn, p.by}) {
		*k = keptStreams{}
		return false
	}
	if k.alone {
		return true
	}
	for i := range k.list {
		if t, ok := m.st.Stream(p.conn, k.list[i].ID); !ok || t.FirstSeq != k.list[i].FirstSeq {
			k.alone = true
			p.page = pageKey{}
			return true
		}
	}
	return false
}

// keptPlace is the place of a stream among those that are kept, or of the first
// that began later.
func (p *streamPane) keptPlace(id uint32, first uint64) int {
	if i := p.kept.index(id); i >= 0 {
		return i
	}
	return max(0, slices.IndexFunc(p.kept.list, func(t store.StreamSummary) bool { return t.FirstSeq >= first }))
}

// sayEdge says that there were more streams than are kept where the cursor is
// at an end of them.
func (p *streamPane) sayEdge(m *Model) {
	if p.kept.alone && p.kept.more && m.notice == "" && m.focus == paneStreams && !p.empty() && (p.cursor == 0 || p.cursor == p.end-1) {
		m.say("no more streams are kept while paused; "+keyName(m.keys.Pause.Keys()[0])+" resumes", false)
	}
}
