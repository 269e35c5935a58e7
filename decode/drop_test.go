// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// TestDropData: rows are the same but for the content of DATA, whole
// connections and such with holes, found early or late.
func TestDropData(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		tr := generate(seed, 60)
		calls := tr.calls
		fresh := seed%3 != 0
		if !fresh {
			calls = calls[rng.IntN(len(calls)/2):]
		}
		if seed%2 == 0 {
			i := rng.IntN(len(calls))
			calls = append(calls[:i:i], calls[i+1:]...)
		}
		want, _ := decodeAll(fresh, calls)
		conn := NewConn(1)
		conn.DropData()
		var got collector
		conn.Feed(&capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: fresh}}, got.emit)
		for i := range calls {
			conn.Feed(&calls[i], got.emit)
		}
		conn.Feed(&capture.Event{Kind: capture.Close, Conn: 1, Time: 9999}, got.emit)
		if len(got.rows) != len(want.rows) {
			t.Fatalf("seed %d: %d rows, want %d", seed, len(got.rows), len(want.rows))
		}
		data := 0
		for i := range want.rows {
			g, w := got.rows[i], want.rows[i]
			if w.Kind == RowFrame && w.Header.Type == http2.FrameData {
				data++
				w.Payload = w.Payload[:min(len(w.Payload), 1)]
			}
			if len(g.Payload) == 0 && len(w.Payload) == 0 {
				g.Payload, w.Payload = nil, nil
			}
			if !reflect.DeepEqual(g, w) {
				t.Fatalf("seed %d, row %d:\n got %+v\nwant %+v", seed, i, g.Row, w.Row)
			}
		}
		if data == 0 {
			t.Fatalf("seed %d: no DATA", seed)
		}
	}
}
