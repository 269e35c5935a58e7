// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// trafficA is many small gRPC calls on one connection: per call HEADERS, DATA
// and WINDOW_UPDATE to the server, HEADERS, DATA and HEADERS back.
func trafficA(calls int) *traffic {
	rng := rand.New(rand.NewPCG(1, 2))
	tr, cl, sv := opened()
	for i := range calls {
		stream := uint32(2*i + 1)
		request := []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":path", Value: fmt.Sprintf("/shop.v1.Cart/Method%d", rng.IntN(12))},
			{Name: ":authority", Value: "cart.internal:8443"},
			{Name: "content-type", Value: "application/grpc"},
			{Name: "user-agent", Value: "grpc-go/1.75.0"},
			{Name: "te", Value: "trailers"},
			{Name: "grpc-timeout", Value: fmt.Sprintf("%du", 900000+rng.IntN(99999)), Sensitive: true},
			{Name: "x-request-id", Value: fmt.Sprintf("%016x", rng.Uint64()), Sensitive: true},
		}
		must(cl.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: cl.encode(request)}))
		cl.wrote(nil, true)
		must(cl.fr.WriteData(stream, true, randomOctets(rng, 60+rng.IntN(80))))
		cl.wrote(nil, false)
		cl.flush()
		must(sv.fr.WriteWindowUpdate(0, 100))
		sv.wrote(nil, false)
		must(sv.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndHeaders: true, BlockFragment: sv.encode([]hpack.HeaderField{
			{Name: ":status", Value: "200"}, {Name: "content-type", Value: "application/grpc"},
			{Name: "date", Value: fmt.Sprintf("Sun, 22 Nov 2026 21:%02d:%02d GMT", i/60000%60, i/1000%60)}})}))
		sv.wrote(nil, true)
		must(sv.fr.WriteData(stream, false, randomOctets(rng, 80+rng.IntN(160))))
		sv.wrote(nil, false)
		must(sv.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, EndStream: true, EndHeaders: true, BlockFragment: sv.encode([]hpack.HeaderField{
			{Name: "grpc-status", Value: "0"}, {Name: "grpc-message", Value: ""}})}))
		sv.wrote(nil, true)
		sv.flush()
	}
	return tr
}

// trafficB is a download in DATA frames of 16 KiB, four to a call, with
// WINDOW_UPDATE back.
func trafficB(frames int) *traffic {
	rng := rand.New(rand.NewPCG(3, 4))
	tr, cl, sv := opened()
	body := randomOctets(rng, 1<<14)
	must(cl.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: cl.encode(requestFields(rng, 0))}))
	cl.wrote(nil, true)
	cl.flush()
	must(sv.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: sv.encode(responseFields(rng, 0))}))
	sv.wrote(nil, true)
	for i := range frames {
		must(sv.fr.WriteData(1, i == frames-1, body))
		sv.wrote(nil, false)
		if i%4 == 3 {
			sv.flush()
			must(cl.fr.WriteWindowUpdate(1, 1<<16))
			cl.wrote(nil, false)
			cl.flush()
		}
	}
	sv.flush()
	return tr
}

// opened is a connection with its prefaces exchanged.
func opened() (tr *traffic, cl, sv *side) {
	tr = new(traffic)
	cl, sv = newSide(tr, capture.Send), newSide(tr, capture.Recv)
	cl.preface()
	for _, s := range []*side{cl, sv} {
		must(s.fr.WriteSettings())
		s.wrote(nil, false)
		s.flush()
	}
	for _, s := range []*side{cl, sv} {
		must(s.fr.WriteSettingsAck())
		s.wrote(nil, false)
		s.flush()
	}
	return tr, cl, sv
}

func benchmark(b *testing.B, tr *traffic) {
	octets, frames, fields := 0, 0, 0
	for _, ev := range tr.calls {
		octets += len(ev.Data)
	}
	emit := func(r *Row) {
		if r.Kind == RowFrame {
			frames++
			fields += len(r.Fields)
		}
	}
	open := capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}}
	b.ReportAllocs()
	b.SetBytes(int64(octets))
	n := 0
	for b.Loop() {
		c := NewConn(1)
		c.Feed(&open, emit)
		for i := range tr.calls {
			c.Feed(&tr.calls[i], emit)
		}
		n++
	}
	if frames != n*len(tr.frames) {
		b.Fatalf("%d frames of %d", frames, n*len(tr.frames))
	}
	b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(octets)/float64(len(tr.frames)), "octets/frame")
	b.ReportMetric(float64(fields)/float64(frames), "fields/frame")
}

func BenchmarkDecodeA(b *testing.B) { benchmark(b, trafficA(20_000)) }
func BenchmarkDecodeB(b *testing.B) { benchmark(b, trafficB(4_000)) }

// BenchmarkNetA decodes the same as BenchmarkDecodeA with a bare header walk
// and x/net's hpack, lists kept: what ours is measured by.
func BenchmarkNetA(b *testing.B) {
	tr := trafficA(20_000)
	octets := 0
	for _, ev := range tr.calls {
		octets += len(ev.Data)
	}
	b.ReportAllocs()
	b.SetBytes(int64(octets))
	n, fields := 0, 0
	for b.Loop() {
		var list []hpack.HeaderField
		var decs [2]*hpack.Decoder
		for d := range decs {
			decs[d] = hpack.NewDecoder(initialTableSize, func(f hpack.HeaderField) { list = append(list, f) })
		}
		for _, ev := range tr.calls {
			p := ev.Data
			if len(p) >= 24 && string(p[:24]) == http2.ClientPreface {
				p = p[24:]
			}
			for len(p) > 0 {
				h := parseHeader(p)
				if h.Type == http2.FrameHeaders {
					list = list[:0]
					if _, err := decs[ev.Direction].Write(p[9 : 9+h.Length]); err != nil {
						b.Fatal(err)
					}
					must(decs[ev.Direction].Close())
					fields += len(list)
				}
				p = p[9+h.Length:]
				n++
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(fields)/float64(n), "fields/frame")
}
