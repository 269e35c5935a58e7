// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"slices"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Table is the dynamic table of one direction of a connection as of a row.
type Table struct {
	decode.TableState
	// Seq is the row that the state is from: what came after it, up to the
	// row that was asked for, did not change it.
	Seq uint64
	// Entries are those in the table, newest first: the first one has index
	// decode.StaticEntries+1. There are fewer than Held if rows that inserted
	// some have been evicted.
	Entries []TableEntry
}

// TableEntry is an entry of a dynamic table.
type TableEntry struct {
	Inserted int64 // insert index
	Seq      uint64
	decode.Field
}

// maxCertain is the size up to which an entry surely is in a table whose
// capacity is not known, octets of RFC 7541, section 4.1. Of a larger one it
// is unknown whether it fitted.
const maxCertain = 64 << 10

// TableAt gives the dynamic table that the frames of one direction of a
// connection left behind as of the row seq: what the rows held tell of it. It
// returns false where none does. It reads back through the connection's rows
// to the one that inserted the oldest entry; nothing is kept for it.
func (s *Store) TableAt(conn capture.ConnID, dir capture.Direction, seq uint64) (Table, bool) {
	v := View{Conn: conn}
	first, _ := s.Span(v)
	n := int(s.Find(v, seq+1) - first)
	if n <= 0 {
		return Table{}, false
	}
	key, offset, all := v.key()
	parts, _ := s.pin(key, all, first, n)
	defer func() {
		for _, p := range parts {
			p.g.pins.Add(-1)
		}
	}()
	var t Table
	var locals []uint16
	for _, p := range slices.Backward(parts) {
		block, err := s.blockOf(p.g, p.block)
		if err != nil {
			return t, t.Seq != 0 // what is older is not known
		}
		locals = chain(locals[:0], block, offset, p.tail, p.count, p.lo, p.hi)
		for _, local := range slices.Backward(locals) {
			rowSeq := p.g.first + uint64(local)
			if rowSeq > seq {
				continue
			}
			st, ok := tableState(block, int(local), dir)
			if !ok {
				continue
			}
			if t.Seq == 0 {
				t.TableState, t.Seq = st, rowSeq
			}
			if st.Epoch != t.Epoch {
				return t, true
			}
			oldest := t.Inserted - int64(t.Held) + 1
			if st.Added > 0 && st.Inserted >= oldest {
				t.take(readRow(block, p.g.first, int(local)), oldest)
			}
			if st.Inserted-int64(st.Added) < oldest {
				return t, true
			}
		}
	}
	return t, t.Seq != 0
}

// take adds the entries from oldest on that the row inserted, newest first.
func (t *Table) take(e Entry, oldest int64) {
	st := e.Table
	from := len(t.Entries)
	n := st.Inserted - int64(st.Added)
	for i := range e.Fields {
		f := e.Fields[i]
		size := f.TableSize()
		// An entry larger than the table empties it (RFC 7541, section 4.4).
		if f.Encoding.Form() != decode.FormIncremental || !st.MaxAssumed && size > st.Max {
			continue
		}
		if n++; n < oldest || n > t.Inserted {
			continue
		}
		if st.MaxAssumed && size > maxCertain {
			f = decode.Field{Trust: st.Trust, Unknown: n, Epoch: st.Epoch}
		}
		t.Entries = append(t.Entries, TableEntry{Inserted: n, Seq: e.Seq, Field: f})
	}
	slices.Reverse(t.Entries[from:])
}

// tableState reads what a row of the given direction says of the table.
func tableState(block []byte, local int, dir capture.Direction) (st decode.TableState, ok bool) {
	rec := record(block, local)
	stream := binary.LittleEndian.Uint32(rec[16:])
	if decode.RowKind(rec[25]&recKindMask) != decode.RowFrame || capture.Direction(stream>>31) != dir {
		return st, false
	}
	b, ok := locate(block, rec, hasTable)
	if !ok {
		return st, false
	}
	b.table(&st)
	return st, true
}
