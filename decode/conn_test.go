// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"testing"

	"h2sniff/capture"
)

// checkWhole demands that the rows are the connection's, with nothing missing
// and nothing unknown.
func checkWhole(t *testing.T, col *collector, tr *traffic) {
	t.Helper()
	n := [2]int{}
	for i, r := range col.rows {
		switch r.Kind {
		case RowGap:
			t.Fatalf("row %d: a gap of %d octets (%v)", i, r.GapBytes, r.GapReason)
		case RowFrame:
			want := tr.of(r.Direction)
			if n[r.Direction] == len(want) {
				t.Fatalf("row %d: a frame too many: %+v", i, r.Header)
			}
			w := want[n[r.Direction]]
			n[r.Direction]++
			where := fmt.Sprintf("%v frame %d", r.Direction, n[r.Direction])
			sameFrame(t, where, r, w)
			if r.Err != nil {
				t.Fatalf("%s: %v", where, r.Err)
			}
			if r.HasFields != w.hasFields {
				t.Fatalf("%s: HasFields %v, want %v", where, r.HasFields, w.hasFields)
			}
			if exact := sameFields(t, where, r.Fields, w.fields); exact != len(w.fields) {
				t.Fatalf("%s: %d fields of %d are exact", where, exact, len(w.fields))
			}
		}
	}
	if n[0]+n[1] != len(tr.frames) {
		t.Fatalf("%d frames, want %d", n[0]+n[1], len(tr.frames))
	}
}

func TestWholeConnection(t *testing.T) {
	for seed := range uint64(30) {
		tr := generate(seed, 60)
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("seed=%d,fresh=%v", seed, fresh), func(t *testing.T) {
				col, c := decodeAll(fresh, tr.calls)
				checkWhole(t, col, tr)
				if c.Protocol() != HTTP2 || c.Role() != capture.Client {
					t.Errorf("protocol %v, role %v", c.Protocol(), c.Role())
				}
				if k := col.rows[0].Kind; k != RowOpen {
					t.Errorf("first row is %v", k)
				}
				if k := col.rows[1].Kind; k != RowPreface {
					t.Errorf("second row is %v", k)
				}
				if k := col.rows[len(col.rows)-1].Kind; k != RowClose {
					t.Errorf("last row is %v", k)
				}
			})
		}
	}
}
