// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"pgregory.net/rapid"
)

// someRows fills a store with rows that never change from one run to another.
func someRows() (*store.Store, naive) {
	s := store.New(store.Options{History: store.MinHistory})
	plain := naive{infos: make(map[capture.ConnID]capture.ConnInfo), start: 1000}
	for i, comm := range []string{"nginx", "h2o", ""} {
		info := capture.ConnInfo{PID: 100 + uint32(i), Comm: comm}
		plain.infos[capture.ConnID(i+1)] = info
		s.Append(&decode.Row{Kind: decode.RowOpen, Conn: capture.ConnID(i + 1), Time: 1000, TimeEnd: 1000, Info: &info})
	}
	rows := rapid.Custom(func(t *rapid.T) *decode.Row { return genRow(t, 1001) })
	for i := range 120 {
		row := rows.Example(i)
		if row.Kind == decode.RowOpen {
			continue
		}
		row.Time, row.TimeEnd = row.Time+int64(i), row.TimeEnd+int64(i)
		seq := s.Append(row)
		if i%7 == 0 {
			s.Diagnose(seq, store.Finding{Code: []string{"slow", "odd"}[i%2], Severity: decode.Severity(1 + i%3)})
		}
	}
	return s, plain
}

// FuzzParse: whatever is typed, nothing panics, errors have a place in the text,
// what was read is read as the same from its usual form, and it selects what a
// plain look at every row does.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"13", "stream==13 && type!=PING", `header["a\"b"] matches "x|y" || !(status in (500..599, 1))`,
		"time > 1.5 and not diag >= warning", "flag==0x3", "((1)", `path == "`, "a..b", "\xff==1", "conn==c1", "diag contains O",
		strings.Repeat("!", 64) + "0", strings.Repeat("!", MaxText-1) + "0", strings.Repeat("(", MaxText/2-1) + "0" + strings.Repeat(")", MaxText/2), strings.Repeat("(", MaxText)} {
		f.Add(seed, len(seed)/2)
	}
	for i, test := range tests {
		f.Add(test+" && !("+tests[(i+5)%len(tests)]+" || "+tests[(i+19)%len(tests)]+")", 0)
	}
	s, plain := someRows()
	first, _ := s.Span(store.View{})
	rows := s.Rows(store.View{}, first, 1<<20)
	f.Fuzz(func(t *testing.T, text string, at int) {
		Complete(text, at, nil)
		e, err := Parse(text)
		if err != nil {
			var fault *Error
			if !errors.As(err, &fault) || fault.At < 0 || fault.At > len(text) || fault.Text == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		e.Hint()
		if usual := e.String(); len(usual) <= MaxText {
			again, err := Parse(usual)
			if err != nil {
				t.Fatalf("%q is written as %q: %v", text, usual, err)
			}
			if got := again.String(); got != usual || !reflect.DeepEqual(e.root, again.root) {
				t.Fatalf("%q is written as %q, then as %q", text, usual, got)
			}
		}
		selection := s.Select(store.View{}, e.Compile(0))
		if !selection.Advance(context.Background(), time.Hour) {
			t.Fatal("an hour was not enough")
		}
		for i := range rows {
			if want := plain.is(e.root, &rows[i]); want != selection.Has(rows[i].Seq) {
				t.Fatalf("%s: row %+v: selected %v", text, rows[i], !want)
			}
		}
	})
}
