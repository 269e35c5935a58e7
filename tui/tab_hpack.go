// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"slices"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// wideEncoding is the width of the detail from which the fields' table has
// their representation too, on screens of at least fullEncoding columns.
const (
	wideEncoding = 70
	fullEncoding = 120
)

// encodingHead stands over what encoding gives.
const encodingHead = " form   index oct"

// encoding is how a field was represented: form and Huffman, index into the
// static or the dynamic table, octets on the wire.
func encoding(e decode.Encoding) string {
	form, huff, index := "?", " ", "name"
	switch e.Form() {
	case decode.FormUnknown:
		return fmt.Sprintf("%*s", len(encodingHead), "")
	case decode.FormIndexed:
		form = "idx"
	case decode.FormIncremental:
		form = "inc"
	case decode.FormLiteral:
		form = "lit"
	case decode.FormNever:
		form = "nev"
	}
	if e.NameHuffman() || e.ValueHuffman() {
		huff = "H"
	}
	switch {
	case e.Static():
		index = fmt.Sprint("s", e.Index())
	case e.Index() != 0:
		index = fmt.Sprint("d", e.Index())
	}
	return fmt.Sprintf(" %s %s %6s %3d", form, huff, index, e.Octets())
}

// tables describes the dynamic tables as of the row, that of the frame's own
// direction first.
func (d *details) tables() {
	e, s := d.e, d.m.sty
	d.line(s.bold, "HPACK  "+e.Conn.String()+" as of #"+commas(e.Seq))
	own := e.Direction
	if e.Kind != decode.RowFrame {
		own = capture.Send
	}
	d.table(own)
	d.line(s.plain, "")
	d.table(own.Reverse())
}

func (d *details) table(dir capture.Direction) {
	e, s := d.e, d.m.sty
	a := arrow(s, dir)
	t, ok := d.m.st.TableAt(e.Conn, dir, e.Seq)
	if first, _ := d.m.st.Span(store.View{Conn: e.Conn}); !ok && first > 0 || gone(d.m.st, e.Seq) {
		d.line(s.bold, a.text+" "+dir.String()+"  dynamic table: not known")
		d.text(s.warn, "The rows that tell of it have left the history.")
		return
	}
	if !ok {
		d.line(s.bold, a.text+" "+dir.String()+"  dynamic table: no field block up to here")
		return
	}
	if broken, before, known := d.broken(&t, dir); broken {
		d.line(s.bold, a.text+" "+dir.String()+"  dynamic table: not known after the error in #"+commas(t.Seq))
		if known {
			d.text(s.dim, "Before it:")
			d.state(&before, dir)
		}
		return
	}
	d.state(&t, dir)
}

// broken says that a table is not known because a field block had an error, and
// gives what it was before that.
func (d *details) broken(t *store.Table, dir capture.Direction) (broken bool, before store.Table, known bool) {
	if t.Complete || t.Inserted > 0 || t.Trust != decode.UnknownSinceGap {
		return false, before, false
	}
	st := d.m.st
	rows := st.Rows(store.View{}, st.Find(store.View{}, t.Seq), 1)
	if len(rows) == 0 || rows[0].Seq != t.Seq || rows[0].Err == nil || rows[0].Err.Code != http2.ErrCodeCompression {
		return false, before, false
	}
	before, known = st.TableAt(d.e.Conn, dir, t.Seq-1)
	return true, before, known && before.Epoch+1 == t.Epoch // not more: a gap between the two
}

// state describes a dynamic table.
func (d *details) state(t *store.Table, dir capture.Direction) {
	e, s := d.e, d.m.sty
	a := arrow(s, dir)
	capacity := "of " + commas(t.Max) + " octets"
	if t.MaxAssumed {
		capacity = "octets, capacity not known"
	}
	entries := "entries"
	if t.Held == 1 {
		entries = "entry"
	}
	size := commas(t.Size)
	if !t.Complete || slices.ContainsFunc(t.Entries, func(f store.TableEntry) bool { return !f.NameKnown || !f.ValueKnown }) {
		size = "at least " + size
	}
	d.line(s.bold, fmt.Sprintf("%s %s  dynamic table: %s %s, %s %s", a.text, dir, commas(uint64(t.Held)), entries, size, capacity))
	// What is evicted depends on the size of what is there, and on the capacity.
	evicted := func(n uint64) string {
		if n == 0 && (!t.Complete || t.MaxAssumed) {
			return "evicted: not known"
		}
		return "evicted " + commas(n)
	}
	if t.Seq == e.Seq {
		d.property("this block", "inserted "+commas(uint64(t.Added))+", "+evicted(uint64(t.Evicted)), s.plain)
	} else {
		d.property("unchanged", "since #"+commas(t.Seq), s.plain)
	}
	d.property("so far", "inserted "+commas(uint64(t.Inserted))+", "+evicted(uint64(t.Inserted)-uint64(t.Held)), s.plain)
	if !t.Complete {
		d.sentence("older", "entries may be there that were not seen: "+t.Trust.String(), s.warn)
	}
	if len(t.Entries) == 0 && t.Held == 0 {
		return
	}
	nw := 4
	for i := range t.Entries[:min(len(t.Entries), maxItems)] {
		nw = max(nw, width(fieldName(&t.Entries[i].Field, 28)))
	}
	nw = min(nw, 28, max(4, d.w*2/5))
	widths := []int{5, 6, 5, nw}
	d.wrapped([]cell{{"index", s.dim}, {"insert", s.dim}, {" size", s.dim}, {"name", s.dim}}, widths, "value", s.dim, nil)
	for i := range t.Entries {
		if d.enough(i, len(t.Entries)) {
			return
		}
		f := &t.Entries[i]
		value, style := d.fieldValue(&f.Field)
		d.wrapped([]cell{
			{fmt.Sprintf("%5d", decode.StaticEntries+1+i), s.plain}, {fmt.Sprintf("%6d", f.Inserted), s.plain},
			{fmt.Sprintf("%5s", entrySize(&f.Field)), s.plain}, {fieldName(&f.Field, nw), s.headers},
		}, widths, value, style, nil)
	}
	if n := t.Held - len(t.Entries); n > 0 {
		d.line(s.warn, ellipsis+" "+commas(uint64(n))+" more, inserted by rows that left the history")
	}
}

// entrySize is that of RFC 7541, section 4.1, as far as it is known.
func entrySize(f *decode.Field) string {
	size := fmt.Sprint(f.TableSize())
	if !f.NameKnown || !f.ValueKnown {
		size = "≥" + size
	}
	return size
}
