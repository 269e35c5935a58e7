// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"sync/atomic"

	"h2sniff/capture"
	"h2sniff/decode/content"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// bodySearch finds text, or octets, in bodies whose content codings have to be undone for
// that, at the frames that end them. It is one for one Selection.
type bodySearch struct {
	st     *store.Store
	needle needle
	// coded are the messages in progress that have content codings; nil where
	// they are not known, being too many.
	coded map[codedBody]struct{}
	ctx   atomic.Pointer[context.Context] // of the slice under way
	// cut says that rows were examined after the end of their context, when
	// bodies are not looked into any more: the Selection is of no use.
	cut atomic.Bool
}

type codedBody struct {
	conn   capture.ConnID
	stream uint32
	dir    capture.Direction
}

const (
	// maxCoded is how many messages in progress are remembered.
	maxCoded = 1 << 16
	// headRows is how many rows of a stream are read at first: its field
	// sections are most often among them.
	headRows = 8
)

func newBodySearch(st *store.Store, n needle) *bodySearch {
	b := &bodySearch{st: st, needle: n, coded: make(map[codedBody]struct{})}
	ctx := context.Background()
	b.ctx.Store(&ctx)
	return b
}

// during says with which context the rows to come are examined.
func (b *bodySearch) during(ctx context.Context) { b.ctx.Store(&ctx) }

// hasCoding is a condition on a field for [store.Record.AnyField].
func hasCoding(f *store.RawField) bool {
	return f.NameKnown && string(f.Name) == "content-encoding" && f.ValueKnown && string(f.Value) != "identity"
}

// match says whether a row ends a body that has the needle in it once its content
// codings are undone. memo is one for hasCoding.
func (b *bodySearch) match(r *store.Record, memo int) bool {
	if !r.IsFrame() || r.StreamID() == 0 {
		return false
	}
	k := codedBody{r.Conn(), r.StreamID(), r.Direction()}
	if r.Type() == http2.FrameRSTStream {
		delete(b.coded, k)
		k.dir = k.dir.Reverse()
		delete(b.coded, k)
		return false
	}
	if r.HasFields() && b.coded != nil && r.Type() != http2.FramePushPromise && r.AnyField(memo, hasCoding) {
		if len(b.coded) == maxCoded {
			b.coded = nil
		} else {
			b.coded[k] = struct{}{}
		}
	}
	if r.Type() != http2.FrameData && r.Type() != http2.FrameHeaders || !r.Flags().Has(http2.FlagDataEndStream) {
		return false
	}
	if b.coded != nil {
		if _, ok := b.coded[k]; !ok {
			return false
		}
		delete(b.coded, k)
	}
	ctx := *b.ctx.Load()
	if ctx.Err() != nil {
		b.cut.Store(true)
		return false
	}
	return b.has(ctx, k, r.Seq())
}

// has says whether the body that ends with row last has the needle in it.
func (b *bodySearch) has(ctx context.Context, k codedBody, last uint64) (found bool) {
	v := store.View{Conn: k.conn, Stream: k.stream, HasStream: true}
	from, _ := b.st.Span(v)
	end := min(b.st.Find(v, last+1), from+maxBodyRows)
	collector := content.NewCollector(content.Limits{}, func(x *content.Exchange, d capture.Direction) {
		if d != k.dir || found {
			return
		}
		m := x.Message(d)
		// A body without codings has been searched as it was on the wire.
		if body, _ := content.Decoded(m, content.Limits{}); body != m.Body {
			found = b.needle.in(body.Data)
		}
	}, nil)
	for n := headRows; from < end; n = readBatch {
		if ctx.Err() != nil {
			b.cut.Store(true)
			return false
		}
		rows := b.st.Rows(v, from, int(min(uint64(n), end-from)))
		if len(rows) == 0 || n == headRows && b.coded == nil && uncoded(rows, k.dir) {
			return false
		}
		for i := range rows {
			collector.Add(rows[i].Seq, &rows[i].Row)
		}
		from += uint64(len(rows))
	}
	collector.Flush()
	return found
}

// uncoded says that none of the field sections of a direction, of which there
// are some, names a content coding.
func uncoded(rows []store.Entry, dir capture.Direction) bool {
	some := false
	for i := range rows {
		e := &rows[i]
		if !e.HasFields || e.Direction != dir {
			continue
		}
		if _, presence := content.Lookup(e.Fields, "content-encoding"); presence != content.Absent {
			return false
		}
		status, _ := content.Lookup(e.Fields, ":status")
		some = some || len(status) != 3 || status[0] != '1' // the final one may be behind it
	}
	return some
}
