// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

const benchFrames = 10_000_000

// fillCalls appends small unary gRPC calls of seven frames each, on 50
// connections.
func fillCalls(s *store.Store, wait func()) {
	known := func(pairs ...string) (out []decode.Field) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, decode.Field{Name: pairs[i], Value: pairs[i+1], NameKnown: true, ValueKnown: true})
		}
		return out
	}
	row := func(kind http2.FrameType, flags http2.Flags, payload string, fields ...string) decode.Row {
		r := decode.Row{Kind: decode.RowFrame, Header: decode.FrameHeader{Type: kind, Flags: flags, Length: uint32(len(payload))},
			Payload: []byte(payload), Fields: known(fields...), HasFields: len(fields) > 0}
		if r.HasFields {
			r.Table = &decode.TableState{Inserted: 40, Held: 40, Size: 3000, Max: 4096}
		}
		return r
	}
	message := "\x00\x00\x00\x00\x14\x0a\x12this is a message."
	calls := []decode.Row{
		row(http2.FrameHeaders, http2.FlagHeadersEndHeaders, "\x83\x86\xc5\xc4\xc3\xc2\xc1\xc0\xbf\xbe",
			":method", "POST", ":scheme", "http", ":path", "/echo.Echo/UnaryEcho", ":authority", "localhost:50051",
			"content-type", "application/grpc", "user-agent", "grpc-go/1.70.0", "te", "trailers", "grpc-timeout", "999950u"),
		row(http2.FrameData, http2.FlagDataEndStream, message),
		row(http2.FrameWindowUpdate, 0, "\x00\x00\x00\x19"),
		row(http2.FramePing, 0, "\x02\x04\x10\x10\x09\x0e\x07\x07"),
		row(http2.FrameHeaders, http2.FlagHeadersEndHeaders, "\x88\xc0", ":status", "200", "content-type", "application/grpc"),
		row(http2.FrameData, 0, message),
		row(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, "\xbf\xbe", "grpc-status", "0", "grpc-message", ""),
	}
	paths := make([][]decode.Field, 100)
	for i := range paths {
		paths[i] = append([]decode.Field(nil), calls[0].Fields...)
		paths[i][2].Value = fmt.Sprint("/echo.Echo/Method", i)
	}
	for i := range benchFrames {
		call := i / len(calls)
		r := calls[i%len(calls)]
		if i%len(calls) == 0 {
			r.Fields = paths[call%100]
		}
		r.Conn, r.Direction = capture.ConnID(1+call%50), capture.Direction(i%len(calls)/4)
		if r.Header.Type != http2.FramePing && r.Header.Type != http2.FrameWindowUpdate {
			r.Header.StreamID = uint32(1 + 2*(call/50))
		}
		r.Time = 1e18 + int64(i)*1000
		r.TimeEnd = r.Time
		s.Append(&r)
		wait()
	}
}

// BenchmarkFilter filters ten million frames: ms/filter is for all of them.
func BenchmarkFilter(b *testing.B) {
	b.Run("in memory", func(b *testing.B) {
		s := store.New(store.Options{History: 4 << 30})
		fillCalls(s, func() {})
		filters(b, s)
	})
	b.Run("256 MiB and a file", func(b *testing.B) {
		spill, err := store.OpenSpill(b.TempDir(), 8<<30)
		if err != nil {
			b.Fatal(err)
		}
		s := store.New(store.Options{Spill: spill})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); s.RunSpill(ctx) }()
		fillCalls(s, func() { s.AwaitSpill(ctx) })
		filters(b, s)
		first, end := s.Span(store.View{})
		b.Run("a page", func(b *testing.B) {
			for i := uint64(0); b.Loop(); i++ {
				s.Rows(store.View{}, first+i*7919%(end-first), 50)
			}
		})
		cancel()
		<-ended
		spill.Close()
	})
}

func filters(b *testing.B, s *store.Store) {
	snap := s.Snapshot()
	if held := snap.Rows - snap.Evicted; held != benchFrames {
		b.Fatalf("%d frames are held", held)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.Run("held", func(b *testing.B) {
		for b.Loop() {
			s.Snapshot()
		}
		b.ReportMetric(float64(snap.HistoryUsed)/benchFrames, "memory-B/frame")
		b.ReportMetric(float64(snap.SpillUsed)/benchFrames, "file-B/frame")
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
	})
	for _, text := range []string{
		"type == RST_STREAM",
		"stream == 13 && type != PING",
		"stream > 13 && type != PING",
		"length > 16 && dir == send",
		"time in (2s..3s)",
		"status >= 500",
		"path contains Method42",
		`path contains "/"`,
		"status >= 100",
		`header["user-agent"] matches "grpc-go/1\\.[78]"`,
		"error == CANCEL",
	} {
		e, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(text, func(b *testing.B) {
			var matched uint64
			for b.Loop() {
				x := s.Select(store.View{}, e.Compile(0))
				x.Advance(context.Background(), time.Hour)
				matched = x.Progress().Matched
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/1e3/float64(b.N), "ms/filter")
			b.ReportMetric(float64(matched), "match")
			b.ReportMetric(0, "ns/op")
		})
	}
}
