// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"h2sniff/capture"
	"h2sniff/decode/store"
)

// streamOrder is the streams of a connection in the order of a column. A
// connection may have very many, so it is made beside the UI.
type streamOrder struct {
	streamOrderKey
	generation uint64 // of the store
	shown      int64  // the moment that it is of
	open       bool   // some streams had not ended
	ids        []uint32
	took       time.Duration // to make it
	at         time.Time     // when it was made
}

// streamOrderKey is what an order is made for.
type streamOrderKey struct {
	conn capture.ConnID
	by   int
}

// sortBatch is how many streams are fetched at once.
const sortBatch = 1024

// orderStreams sorts the streams of a connection that began with row last or
// before, as of a moment; nil where ctx ends. open says that some had not ended.
func orderStreams(ctx context.Context, st *store.Store, conn capture.ConnID, by int, last uint64, at int64) (ids []uint32, open bool) {
	var keys []streamKey
	c, _ := st.Conn(conn)
	until := untilOf(&c, at)
	for i := 0; ; i += sortBatch {
		if ctx.Err() != nil {
			return nil, false
		}
		list := st.Streams(conn, i, sortBatch)
		for j := range list {
			if t := &list[j]; t.FirstSeq <= last {
				keys = append(keys, keyOf(by, t, until, c.Closed != 0))
				open = open || goesOn(t) && c.Closed == 0
			}
		}
		if len(list) < sortBatch {
			break
		}
	}
	slices.SortStableFunc(keys, streamKey.compare)
	ids = make([]uint32, len(keys))
	for i := range keys {
		ids[i] = keys[i].id
	}
	return ids, open
}

// streamKey is what a stream is sorted by: n, what there is most of first, then
// text by the alphabet.
type streamKey struct {
	n    uint64
	text string
	id   uint32
}

func (a streamKey) compare(b streamKey) int {
	if c := cmp.Compare(b.n, a.n); c != 0 {
		return c
	}
	return strings.Compare(a.text, b.text)
}

func keyOf(by int, t *store.StreamSummary, until int64, connClosed bool) streamKey {
	k := streamKey{id: t.ID}
	switch by {
	case streamID:
		k.n = 1<<32 - uint64(t.ID) // from the lowest on
	case streamRequest:
		if k.text = t.Path + " " + t.Method; k.text == " " {
			k.text = "\xff" // what is not known comes last
		}
	case streamStatus:
		k.n = statusRank(t, connClosed)
	case streamState:
		k.n = stateRank(t)
	case streamFrames:
		k.n = t.Frames
	case streamSent:
		k.n = t.SentB
	case streamRecv:
		k.n = t.RecvB
	case streamWait:
		ns, _ := waitOf(t, capture.RoleUnknown, until)
		k.n = uint64(ns)
	case streamTime:
		k.n = uint64(timeOf(t, until))
	}
	return k
}

// stateRank puts streams that were reset first, and closed ones last.
func stateRank(t *store.StreamSummary) uint64 {
	switch {
	case t.Reset:
		return 3
	case t.EndSend && t.EndRecv:
		return 0
	case t.EndSend || t.EndRecv:
		return 1
	}
	return 2
}

// sortBy orders the streams by a column; unsorted where it is empty.
func (p *streamPane) sortBy(name string) error {
	by, err := p.columnNamed(name)
	if err == nil {
		p.turn(by)
	}
	return err
}

// sortNext orders by the next column that is in sight, and tells which.
func (p *streamPane) sortNext() string {
	p.turn(p.columnAfter(p.by))
	return "streams " + orderText(&p.list, p.by)
}

// titleAt sorts by the column whose title is at a cell of the titles.
func (p *streamPane) titleAt(x int) {
	if by := p.columnAt(x); by >= 0 && p.head {
		p.turn(by)
	}
}

func (p *streamPane) turn(by int) {
	p.by = by
	p.showSorted(by)
	p.resize(p.w0, p.h0)
	if by != unsorted { // from the top, where what is looked for is
		p.anchor, p.arrived = 0, true
		p.reset(0, false)
	}
	p.forget()
}

// ordered says that the list has the order that is wanted.
func (p *streamPane) ordered() bool {
	return p.by != unsorted && p.order.streamOrderKey == (streamOrderKey{p.conn, p.by})
}

// keepSorted begins to sort where the order is out of date. A long list is not
// sorted more often than a tenth of the time would do for.
func (p *streamPane) keepSorted(m *Model) {
	if p.by == unsorted || p.conn == 0 {
		m.end(workSort)
		return
	}
	generation := m.shown.Generation
	if p.ordered() && p.order.generation == generation && !p.order.aged(m) {
		return
	}
	// Where the list follows the newest row, its connection changes all the time.
	swift := m.pointed != 0 && m.frames.follow
	if (p.ordered() || swift) && time.Since(p.order.at) < 10*p.order.took {
		return
	}
	if m.works[workSort].work != nil {
		if swift || p.sorting == (streamOrderKey{p.conn, p.by}) {
			return // on its way
		}
		m.end(workSort)
	}
	p.sorting = streamOrderKey{p.conn, p.by}
	st, last := m.st, m.shown.Rows
	o := streamOrder{streamOrderKey: p.sorting, generation: generation, shown: m.at}
	m.begin(workSort, &work{
		step: func(ctx context.Context) bool {
			begin := time.Now()
			o.ids, o.open = orderStreams(ctx, st, o.conn, o.by, last, o.shown)
			o.at = time.Now()
			o.took = o.at.Sub(begin)
			return true
		},
		after: func(m *Model, _ bool) {
			m.end(workSort)
			p.order = o
			p.forget()
			p.refresh(m)
		},
	})
}

// placeOf is where a stream is in the list as it is now; first is the row that
// it began with.
func (p *streamPane) placeOf(m *Model, n int, id uint32, first uint64) int {
	if p.ordered() {
		return max(0, slices.Index(p.order.ids, id))
	}
	return p.find(m, n, first)
}

// at are n streams of the list from one on.
func (p *streamPane) at(m *Model, from, n int) (list []store.StreamSummary) {
	switch {
	case p.kept.alone:
		return slices.Clone(p.kept.list[min(from, len(p.kept.list)):min(from+n, len(p.kept.list))])
	case !p.ordered():
		return m.st.Streams(p.conn, from, n)
	}
	ids := p.order.ids
	for _, id := range ids[min(from, len(ids)):min(from+n, len(ids))] {
		t, ok := m.st.Stream(p.conn, id)
		if !ok {
			t.Conn, t.ID = p.conn, id // left a moment ago
		}
		list = append(list, t)
	}
	return list
}
