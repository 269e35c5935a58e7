// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"math/rand/v2"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// TestNothingInvented: a piece from the middle of a download, in calls of any
// size, gives no frame that was not sent, whatever the bodies look like, and no
// header field.
func TestNothingInvented(t *testing.T) {
	for _, kind := range []struct {
		name string
		fill func(rng *rand.Rand, b []byte)
	}{
		{"random", func(rng *rand.Rand, b []byte) { copy(b, randomOctets(rng, len(b))) }},
		{"zeroes", func(*rand.Rand, []byte) {}},
		{"text", func(rng *rand.Rand, b []byte) {
			for i := range b {
				b[i] = " etaoinsr\n"[rng.IntN(10)]
			}
		}},
		{"gRPC messages", func(rng *rand.Rand, b []byte) {
			for len(b) > 64 {
				n := 5 + rng.IntN(60)
				b[4] = byte(n - 5)
				for i := 5; i < n; i++ {
					b[i] = byte(rng.IntN(16))
				}
				b = b[n:]
			}
		}},
		{"records of counters", func(rng *rand.Rand, b []byte) {
			for ; len(b) >= 8; b = b[8:] {
				b[3], b[7] = byte(rng.IntN(3)), byte(rng.IntN(20))
			}
		}},
		{"small numbers", func(rng *rand.Rand, b []byte) {
			for i := range b {
				if rng.IntN(4) == 0 {
					b[i] = byte(rng.IntN(10))
				}
			}
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 5))
			frames, invented := 0, 0
			update := octets("000004 08 00 00000001 00000400") // tells that it is HTTP/2
			for _, size := range []int{16384, 5000, 300} {
				tr := download(rng, size, kind.fill)
				all, whole := placed(tr, capture.Recv), tr.octets(capture.Recv)
				for run := range 130 {
					length := []int{16384, 8192, 4096, 1000, 100}[run%5]
					from := 60 + rng.IntN(len(whole)-60)
					to := min(len(whole), from+rng.IntN(40_000))
					events := split(whole[from:to], capture.Recv, func(left int) int { return min(left, length) })
					events = append([]capture.Event{call(capture.Send, update)}, events...)
					col, _ := decodeAll(false, events)
					pos := uint64(from)
					for _, r := range col.rows {
						if r.Direction != capture.Recv {
							continue
						}
						switch r.Kind {
						case RowGap:
							pos += r.GapBytes
						case RowFrame:
							frames++
							if w, ok := all[pos]; !ok || w.header != r.Header {
								invented++
								if len(r.Fields) > 0 {
									t.Errorf("fields that were not sent: %+v %+v", r.Header, r.Fields)
								}
							}
							pos += frameHeaderSize + uint64(len(r.Payload))
						}
					}
				}
			}
			t.Logf("%d frames, %d of them invented", frames, invented)
			if frames < 2000 || invented > 0 {
				t.Errorf("%d frames, %d of them invented", frames, invented)
			}
		})
	}
}

// download is a response of 40 DATA frames of that size.
func download(rng *rand.Rand, size int, fill func(*rand.Rand, []byte)) *traffic {
	tr, _, sv := opened()
	fields := responseFields(rng, 0)
	must(sv.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: sv.encode(fields)}))
	sv.wrote(fields, true)
	for i := range 40 {
		body := make([]byte, size)
		fill(rng, body)
		must(sv.fr.WriteData(1, i == 39, body))
		sv.wrote(nil, false)
	}
	sv.flush()
	return tr
}
