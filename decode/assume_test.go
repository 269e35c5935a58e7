// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"math/rand/v2"
	"testing"

	"h2sniff/capture"
)

// TestAssumeHTTP2: connections that do not look like HTTP/2 where they are
// found, though they are.
func TestAssumeHTTP2(t *testing.T) {
	const send, recv = capture.Send, capture.Recv
	rng := rand.New(rand.NewPCG(41, 42))
	ping := octets(pingHex)
	request := octets("000003 01 05 00000003 828684")
	for _, c := range []struct {
		name         string
		calls        []capture.Event
		told         Protocol // without being told
		frames, gaps int      // when told
	}{
		{"text of HTTP/1 in a DATA frame", laidOut(call(recv, "GET / HTTP/1.1\r\n"), call(recv, ping+ping+request)), HTTP1, 3, 1},
		{"a long download before", laidOut(call(recv, string(randomOctets(rng, 3<<20))), call(recv, ping+request)), OtherProtocol, 2, 1},
		{"the first frame is no SETTINGS", laidOut(call(send, ping), call(recv, ping)), HTTP2, 2, 0},
		{"HTTP/1 indeed", laidOut(call(send, "GET / HTTP/1.1\r\n\r\n"), call(recv, "HTTP/1.1 204 No Content\r\n\r\n")), HTTP1, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, plain := decodeAll(false, c.calls)
			if plain.Protocol() != c.told {
				t.Errorf("not told, it is %v, want %v", plain.Protocol(), c.told)
			}
			conn := NewConn(1)
			conn.AssumeHTTP2()
			var col collector
			conn.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{}}, col.emit)
			total := uint64(0)
			for i := range c.calls {
				total += c.calls[i].Length
				conn.Feed(&c.calls[i], col.emit)
			}
			conn.Feed(&capture.Event{Kind: capture.Close}, col.emit)
			gaps, octets := 0, uint64(0)
			for _, r := range col.rows {
				switch r.Kind {
				case RowGap:
					gaps++
					octets += r.GapBytes
				case RowFrame:
					octets += frameHeaderSize + uint64(r.Header.Length)
				}
			}
			if n := len(col.frames()); n != c.frames || gaps != c.gaps || octets != total {
				t.Errorf("%d frames and %d gaps, want %d and %d; they account for %d octets of %d", n, gaps, c.frames, c.gaps, octets, total)
			}
			if conn.Protocol() != HTTP2 {
				t.Errorf("told, it is %v", conn.Protocol())
			}
		})
	}

	// Where it would be known anyhow, nothing changes.
	tr := generate(3, 20)
	conn := NewConn(1)
	conn.AssumeHTTP2()
	var col collector
	conn.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: true}}, col.emit)
	for i := range tr.calls {
		conn.Feed(&tr.calls[i], col.emit)
	}
	conn.Feed(&capture.Event{Kind: capture.Close}, col.emit)
	checkWhole(t, &col, tr)
}
