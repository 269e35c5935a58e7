// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"math"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// TestEncodings: the examples of RFC 7541, appendix C, and the corners.
func TestEncodings(t *testing.T) {
	for _, c := range []struct {
		name, octets string
		want         Encoding
		static       bool
	}{
		{"C.2.1", "400a637573746f6d2d6b65790d637573746f6d2d686561646572", NewEncoding(FormIncremental, 0, false, false, 26), false},
		{"C.2.2", "040c2f73616d706c652f70617468", NewEncoding(FormLiteral, 4, false, false, 14), true},
		{"C.2.3", "100870617373776f726406736563726574", NewEncoding(FormNever, 0, false, false, 17), false},
		{"C.2.4", "82", NewEncoding(FormIndexed, 2, false, false, 1), true},
		{"C.4.1", "418cf1e3c2e5f23a6ba0ab90f4ff", NewEncoding(FormIncremental, 1, false, true, 14), true},
		{"C.4.3", "408825a849e95ba97d7f8925a849e95bb8e8b4bf", NewEncoding(FormIncremental, 0, true, true, 20), false},
		{"last of the static table", "bd", NewEncoding(FormIndexed, 61, false, false, 1), true},
		{"first of the dynamic table", "be", NewEncoding(FormIndexed, 62, false, false, 1), false},
		{"an index of five octets", "ffc1feffff0f", NewEncoding(FormIndexed, math.MaxUint32&^0x3f, false, false, 6), false},
		{"longer than it need be", "0f80808000 0161", NewEncoding(FormLiteral, 15, false, false, 7), true},
		{"a size update before it", "3fe11f 82", NewEncoding(FormIndexed, 2, false, false, 1), true},
	} {
		d := fromStart()
		d.limitKnown = false
		d.table.attach()
		if err := d.block(unhex(c.octets)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := d.fields[0].Encoding
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, tell(got), tell(c.want))
		}
		if got.Static() != c.static {
			t.Errorf("%s: static %v", c.name, got.Static())
		}
	}
	e := NewEncoding(FormNever, math.MaxUint32, true, true, 2*maxStringLength+100)
	if e.Form() != FormNever || e.Index() != math.MaxUint32 || !e.NameHuffman() || !e.ValueHuffman() || e.Octets() != 2*maxStringLength+100 {
		t.Errorf("%v", tell(e))
	}
	if e := NewEncoding(FormIndexed, 1, false, false, math.MaxInt32); e.Form() != FormIndexed || e.NameHuffman() {
		t.Errorf("too many octets spill over: %v", tell(e))
	}
	if len(staticTable) != StaticEntries+1 {
		t.Errorf("%d static entries", len(staticTable)-1)
	}
}

func tell(e Encoding) string {
	return fmt.Sprint(e.Form(), " ", e.Index(), " ", e.NameHuffman(), " ", e.ValueHuffman(), " ", e.Octets())
}

// TestEncodingsFillTheBlock: the octets of the representations, and those of
// the table size updates, are all that a field block holds, however it was cut
// into frames and calls.
func TestEncodingsFillTheBlock(t *testing.T) {
	blocks := 0
	for seed := range uint64(20) {
		tr := generate(seed, 30)
		for _, size := range []int{1, 7, 1 << 20} {
			c := NewConn(1)
			var octets [2]int
			var first [2]byte
			emit := func(r *Row) {
				if r.Kind != RowFrame || (r.Header.Type != http2.FrameHeaders && r.Header.Type != http2.FramePushPromise && r.Header.Type != http2.FrameContinuation) {
					return
				}
				from, to, ok := FieldBlockFragment(r.Header, r.Payload)
				if !ok {
					t.Fatalf("%+v", r.Header)
				}
				p := r.Payload[from:to]
				if octets[r.Direction] == 0 {
					first[r.Direction] = p[0]
				}
				octets[r.Direction] += len(p)
				if !r.HasFields {
					return
				}
				blocks++
				sum := 0
				for i := range r.Fields {
					sum += r.Fields[i].Encoding.Octets()
				}
				update := first[r.Direction]&0xe0 == 0x20
				if left := octets[r.Direction] - sum; (left != 0) != update || left > 8 || left < 0 {
					t.Fatalf("seed %d, in calls of %d: the fields make %d octets of %d, update %v", seed, size, sum, octets[r.Direction], update)
				}
				octets[r.Direction] = 0
			}
			c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: true}}, emit)
			for _, ev := range tr.calls {
				for _, part := range split(ev.Data, ev.Direction, func(left int) int { return min(left, size) }) {
					part.Offset += ev.Offset
					c.Feed(&part, emit)
				}
			}
		}
	}
	if blocks < 1000 {
		t.Errorf("%d blocks", blocks)
	}
}

// TestTableState: what rows say of the table is what the table is, and what
// they say of changes adds up, with and without lost calls.
func TestTableState(t *testing.T) {
	told := 0
	for seed := range uint64(60) {
		tr := generate(seed, 30)
		c := NewConn(1)
		var last [2]TableState
		emit := func(r *Row) {
			table := &c.dirs[r.Direction].fields.table
			if r.HasFields && r.Table == nil {
				t.Fatalf("seed %d: a field block ends without a table: %+v", seed, r.Header)
			}
			if r.Table == nil {
				return
			}
			told++
			s, was := *r.Table, last[r.Direction]
			last[r.Direction] = s
			// A table given up is told of with the block's first frame, and
			// what the block inserts with its last.
			open := c.dirs[r.Direction].block.open
			if !open && (s.Held != table.n || s.Size != table.size || s.Inserted != table.inserted || s.Max != table.max || s.Epoch != table.epoch) || open && (s.Held != 0 || s.Epoch != table.epoch) {
				t.Fatalf("seed %d: %+v, the table is %+v", seed, s, table)
			}
			if s.Epoch != was.Epoch {
				was = TableState{}
			}
			if s.Inserted != was.Inserted+int64(s.Added) || s.Held != was.Held+s.Added-s.Evicted || s.Evicted < 0 || s.Added < 0 {
				t.Fatalf("seed %d: %+v after %+v", seed, s, was)
			}
			added := 0
			for i := range r.Fields {
				if r.Fields[i].Encoding.Form() == FormIncremental && r.Fields[i].TableSize() <= s.Max {
					added++
				}
			}
			if r.HasFields && r.Err == nil && added != s.Added {
				t.Fatalf("seed %d: %d entries added, %d fields", seed, s.Added, added)
			}
		}
		c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: seed%2 == 0}}, emit)
		for i := range tr.calls {
			if seed%3 == 2 && i%7 == int(seed%7) {
				continue
			}
			c.Feed(&tr.calls[i], emit)
		}
		if seed%3 == 2 && last[0].Epoch+last[1].Epoch == 0 {
			t.Errorf("seed %d: calls were lost and no table was given up", seed)
		}
	}
	if told < 2000 {
		t.Errorf("%d rows tell of the table", told)
	}
}
