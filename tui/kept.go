// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"slices"

	"h2sniff/decode/store"
)

const (
	// keptMargin is how many rows before and behind those in sight a pause
	// keeps, keptOctets how many octets of payload they may have together.
	keptMargin = 64
	keptOctets = 1 << 20
	// maxKept is how many views rows are kept of.
	maxKept = 8
)

// keptRows are copies of the rows of a view that were in sight while paused, and
// of some around them: what a person looks at stays when the store evicts it,
// which goes on within its bound.
type keptRows struct {
	from    uint64 // ordinal of the first
	entries []store.Entry
	bound   uint64 // end of the view at that time
}

func (k *keptRows) end() uint64 { return k.from + uint64(len(k.entries)) }

func (k *keptRows) has(ordinal uint64) bool { return ordinal >= k.from && ordinal < k.end() }

// rows are up to n rows from an ordinal on; none where that one is not kept.
func (k *keptRows) rows(from uint64, n int) []store.Entry {
	if !k.has(from) {
		return nil
	}
	return slices.Clone(k.entries[from-k.from : min(k.end(), from+uint64(n))-k.from])
}

// widen adds the rows that are kept to those that the store holds, where the
// cursor is on one. Where rows between the two have left, only those that are
// kept can be shown.
func (k *keptRows) widen(cursor, first, end uint64) (_, _ uint64, alone bool) {
	switch {
	case !k.has(cursor):
		return first, end, false
	case first >= end || first > k.end():
		return k.from, k.end(), true
	}
	return min(first, k.from), max(end, k.end()), false
}

// keep keeps what is in sight and some rows around it.
func (p *framePane) keep(m *Model) {
	k := p.kept[p.view]
	if n := uint64(len(p.entries)); n == 0 || k.has(p.from) && k.has(p.from+n-1) {
		return
	}
	// In any order but one of the middle outwards the margin could cost more
	// than it may.
	kept := keptRows{from: p.from, entries: slices.Clone(p.entries), bound: p.end}
	octets := 0
	add := func(at uint64) (e store.Entry, ok bool) {
		rows, from := p.rowsFrom(m, at, 1)
		if len(rows) == 0 || from != at {
			return e, false
		}
		octets += len(rows[0].Payload)
		return rows[0], octets <= keptOctets
	}
	var before []store.Entry
	for i := range uint64(keptMargin) {
		if p.from <= p.first+i {
			break
		}
		e, ok := add(p.from - i - 1)
		if !ok {
			break
		}
		before = append(before, e)
	}
	for range keptMargin {
		if kept.end() >= p.end {
			break
		}
		e, ok := add(kept.end())
		if !ok {
			break
		}
		kept.entries = append(kept.entries, e)
	}
	slices.Reverse(before)
	kept.from -= uint64(len(before))
	kept.entries = append(before, kept.entries...)
	if len(p.kept) == maxKept {
		clear(p.kept)
	}
	p.kept[p.view] = kept
}

// keptPlace is the ordinal of a row that is kept.
func (p *framePane) keptPlace(v store.View, seq uint64) (uint64, bool) {
	k := p.kept[v]
	i, ok := slices.BinarySearchFunc(k.entries, seq, func(e store.Entry, seq uint64) int { return cmp.Compare(e.Seq, seq) })
	return k.from + uint64(i), ok
}

// placeKept is the ordinal of the first row from seq on that is kept of the view, or
// of the last one.
func (p *framePane) placeKept(seq uint64) uint64 {
	at, _ := p.keptPlace(p.view, seq)
	k := p.kept[p.view]
	return min(at, k.end()-1)
}

// gone says that a row has left the history, so that what is told of the rows
// around it cannot be what it was.
func gone(st *store.Store, seq uint64) bool { return seq <= st.Snapshot().Evicted }

// sayEdge says why there is nothing more where only what was kept is shown and
// the cursor is at an end of it.
func (p *framePane) sayEdge(m *Model) {
	switch {
	case !p.alone || p.empty() || m.notice != "":
	case p.cursor == p.first && p.first > 0:
		m.say("the rows before this one have left the history", false)
	case p.cursor == p.end-1 && p.end < p.kept[p.view].bound:
		m.say("the rows behind this one have left the history", false)
	}
}
