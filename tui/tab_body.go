// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/store"
)

// bodyKey is what the body tab was made for.
type bodyKey struct {
	conn   capture.ConnID
	stream uint32
	own    capture.Direction // its body comes first
	w      int
	frames uint64 // of the stream
	seq    uint64 // of the frame that is looked at
}

// bodyResult is what is made of the bodies of a stream.
type bodyResult struct {
	key    bodyKey
	lines  []detailLine
	octets []hexView
}

const (
	// maxBodyRows is how many rows of a stream are read for its bodies, and
	// maxGapRows of its connection where octets are missing in it.
	maxBodyRows = 1 << 14
	maxGapRows  = 1 << 17
	// maxBodyOctets is how many of the octets that are no text are shown.
	maxBodyOctets = 64 << 10
	bodyPause     = 250 * time.Millisecond
)

// showBody shows the bodies of the frame's stream, when they are made.
func (p *detailPane) showBody(m *Model) {
	e := &p.entry
	if e.Kind != decode.RowFrame || e.Header.StreamID == 0 {
		p.lines = p.note(m, "This row belongs to no stream, so it is part of no body.")
		return
	}
	s, ok := m.st.Stream(e.Conn, e.Header.StreamID)
	if !ok {
		m.end(workDetail)
		was := &p.body.key
		if was.conn == e.Conn && was.stream == e.Header.StreamID && was.own == e.Direction && was.w == p.w {
			p.lines, p.octets = p.body.lines, p.body.octets // as it was when it was made
			return
		}
		p.lines = p.note(m, "The stream has left the history.")
		return
	}
	key := bodyKey{conn: e.Conn, stream: s.ID, own: e.Direction, w: p.w, frames: s.Frames, seq: e.Seq}
	if p.body.key == key {
		p.lines, p.octets = p.body.lines, p.body.octets
		return
	}
	was := p.body.key
	growing := was.conn == key.conn && was.stream == key.stream && was.w == key.w && was.own == key.own
	st, sty, schema := m.st, m.sty, m.o.Schema
	pause := time.Duration(0)
	if growing && was.frames != key.frames {
		pause = bodyPause
	}
	p.want(m, key, func(ctx context.Context) any {
		select { // a stream that grows is not read again all the time
		case <-time.After(pause):
		case <-ctx.Done():
		}
		return makeBody(ctx, st, sty, schema, key)
	})
	if growing {
		p.lines, p.octets = p.body.lines, p.body.octets
		return
	}
	p.lines = p.note(m, "Reading the stream "+ellipsis)
}

// note is a page of one sentence.
func (p *detailPane) note(m *Model, text string) []detailLine {
	d := page{sty: m.sty, w: p.w}
	d.text(m.sty.dim, text)
	return d.lines
}

// makeBody reads a stream's rows and lays its bodies out.
func makeBody(ctx context.Context, st *store.Store, sty *styles, schema *content.Schema, key bodyKey) bodyResult {
	r := bodyResult{key: key}
	x := exchangeOf(ctx, st, key.conn, key.stream)
	b := bodyPage{page: page{sty: sty, w: key.w}}
	if x == nil {
		b.text(sty.dim, "No frame of the stream is left in the history.")
	} else {
		if first, _ := st.Span(store.View{Conn: key.conn, Stream: key.stream, HasStream: true}); first > 0 {
			b.text(sty.warn, "The beginning of the stream has left the history.")
		}
		for _, d := range [2]capture.Direction{key.own, key.own.Reverse()} {
			b.side(x, d, schema, key)
		}
	}
	r.lines, r.octets = b.lines, b.octets
	return r
}

// exchangeOf assembles the exchange of a stream from the rows that are held;
// nil where there are none. Of a very long stream it reads the beginning and
// the end.
func exchangeOf(ctx context.Context, st *store.Store, conn capture.ConnID, stream uint32) (x *content.Exchange) {
	c := content.NewCollector(content.Limits{}, nil, func(got *content.Exchange) {
		if x == nil {
			x = got
		}
	})
	v := store.View{Conn: conn, Stream: stream, HasStream: true}
	first, end := st.Span(v)
	if end == first {
		return nil
	}
	if summary, ok := st.Conn(conn); ok && summary.Gaps > 0 {
		// Where octets of the connection are missing, some could be this
		// stream's: the gaps are rows of the connection.
		whole := store.View{Conn: conn}
		from, to := wholeRange(st, v, first, end)
		if to-from <= maxGapRows {
			read(ctx, st, whole, from, to, func(e *store.Entry) {
				if e.Kind == decode.RowGap || e.Kind == decode.RowFrame && e.Header.StreamID == stream {
					c.Add(e.Seq, &e.Row)
				}
			}, c.Missed)
			c.Flush()
			return x
		}
		defer func() {
			if x != nil {
				for d := range x.Sides {
					side := &x.Sides[d].Body
					side.Holes = append(side.Holes, content.Hole{At: len(side.Data),
						Reason: "octets of the connection are missing, this stream's could be among them"})
				}
			}
		}()
	}
	add := func(e *store.Entry) { c.Add(e.Seq, &e.Row) }
	if end-first <= maxBodyRows {
		read(ctx, st, v, first, end, add, c.Missed)
	} else {
		read(ctx, st, v, first, first+maxBodyRows-tailRows, add, c.Missed)
		c.Missed(end - first - maxBodyRows)
		read(ctx, st, v, end-tailRows, end, add, c.Missed)
	}
	c.Flush()
	return x
}

// tailRows is how much of maxBodyRows is for the end of a stream.
const tailRows = 256

// wholeRange gives the rows of the connection from a stream's first to its
// last.
func wholeRange(st *store.Store, v store.View, first, end uint64) (from, to uint64) {
	whole := store.View{Conn: v.Conn}
	if e := st.Rows(v, first, 1); len(e) > 0 {
		from = st.Find(whole, e[0].Seq)
	}
	to = from
	if e := st.Rows(v, end-1, 1); len(e) > 0 {
		to = st.Find(whole, e[0].Seq+1)
	}
	return from, max(from, to)
}

// readBatch is how many rows are fetched at once.
const readBatch = 256

// read hands over the rows [from,to) of a view in order, and tells of those
// that were evicted first, until ctx ends.
func read(ctx context.Context, st *store.Store, v store.View, from, to uint64, row func(*store.Entry), missed func(uint64)) {
	for from < to && ctx.Err() == nil {
		if first, _ := st.Span(v); first > from {
			missed(min(first, to) - from)
			from = first
			continue
		}
		rows := st.Rows(v, from, int(min(readBatch, to-from)))
		if len(rows) == 0 {
			return
		}
		for i := range rows {
			row(&rows[i])
		}
		from += uint64(len(rows))
	}
}
