// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

var (
	rpcRequest = frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "\x83\x86\xc5\xc4\xc3\xc2\xc1\xc0\xbf\xbe",
		":method", "POST", ":scheme", "http", ":path", "/echo.Echo/UnaryEcho", ":authority", "localhost:50051",
		"content-type", "application/grpc", "user-agent", "grpc-go/1.70.0", "te", "trailers", "grpc-timeout", "999950u")
	rpcMessage  = frame(1, 1, http2.FrameData, http2.FlagDataEndStream, "\x00\x00\x00\x00\x14\x0a\x12this is a message.")
	rpcWindow   = frame(1, 0, http2.FrameWindowUpdate, 0, "\x00\x00\x00\x19")
	rpcPing     = frame(1, 0, http2.FramePing, 0, "\x02\x04\x10\x10\x09\x0e\x07\x07")
	rpcResponse = frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "\x88\xc0", ":status", "200", "content-type", "application/grpc")
	rpcReply    = frame(1, 1, http2.FrameData, 0, "\x00\x00\x00\x00\x14\x0a\x12this is a message.")
	rpcTrailers = frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, "\xbf\xbe", "grpc-status", "0", "grpc-message", "")
	rpc         = []*decode.Row{rpcRequest, rpcMessage, rpcWindow, rpcPing, rpcResponse, rpcReply, rpcTrailers}
)

// appendRPC appends the seven frames of a small unary call.
func appendRPC(s *Store, id capture.ConnID, stream uint32, i int) {
	for k, row := range rpc {
		r := *row
		r.Conn = id
		if r.Header.StreamID != 0 {
			r.Header.StreamID = stream
		}
		r.Direction = capture.Direction(k / 4)
		r.Time += int64(i)
		r.TimeEnd = r.Time
		s.Append(&r)
	}
}

// BenchmarkAppend appends to a full history, so that eviction is in it.
func BenchmarkAppend(b *testing.B) {
	large := frame(1, 1, http2.FrameData, 0, string(bytes.Repeat([]byte("x"), 16<<10)))
	for _, bb := range []struct {
		name   string
		frames int
		add    func(s *Store, i int)
	}{
		{"DATA 25 octets", 1, func(s *Store, i int) { s.Append(rpcMessage) }},
		{"HEADERS 8 fields", 1, func(s *Store, i int) { s.Append(rpcRequest) }},
		{"calls, 50 connections", 7, func(s *Store, i int) { appendRPC(s, capture.ConnID(1+i%50), uint32(1+2*(i/50)), i) }},
		{"a stream a frame", 1, func(s *Store, i int) {
			r := *rpcMessage
			r.Header.StreamID = uint32(i) & (1<<31 - 1)
			s.Append(&r)
		}},
		{"DATA 16 KiB", 1, func(s *Store, i int) { s.Append(large) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := New(Options{History: 64 << 20})
			i := 0
			for ; s.Snapshot().Evicted == 0; i++ {
				bb.add(s, i)
			}
			snap := s.Snapshot()
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				bb.add(s, i)
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bb.frames), "ns/frame")
			b.ReportMetric(float64(snap.HistoryUsed)/float64(snap.Rows), "held-B/frame")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	s := New(Options{})
	for i := range 300_000 {
		appendRPC(s, capture.ConnID(1+i%50), uint32(1+2*(i/50)), i)
	}
	for _, bb := range []struct {
		name string
		v    View
	}{
		{"all", View{}},
		{"connection", View{Conn: 7}},
		{"stream id", View{Stream: 31, HasStream: true}},
		{"stream", View{Conn: 7, Stream: 31, HasStream: true}},
	} {
		b.Run("page of 50, "+bb.name, func(b *testing.B) {
			first, end := s.Span(bb.v)
			b.ReportAllocs()
			for b.Loop() {
				s.Rows(bb.v, first+(end-first)/2, 50)
			}
		})
		b.Run("span, "+bb.name, func(b *testing.B) {
			for b.Loop() {
				s.Span(bb.v)
			}
		})
	}
}

// BenchmarkSpill appends 10 M frames, three for each stream, with the default
// bound on memory and a file, filters all of them, and reads pages all over.
func BenchmarkSpill(b *testing.B) {
	const frames = 10_000_000
	for b.Loop() {
		p, err := OpenSpill(b.TempDir(), 0)
		if err != nil {
			b.Fatal(err)
		}
		s := New(Options{Spill: p})
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.RunSpill(ctx) }()
		begin := time.Now()
		for i := range frames {
			call := i / 3
			row := *rpc[[]int{0, 4, 5}[i%3]]
			row.Conn = capture.ConnID(1 + call%100)
			row.Header.StreamID = uint32(1 + 2*(call/100))
			row.Direction = capture.Direction(min(i%3, 1))
			s.Append(&row)
			s.AwaitSpill(ctx)
		}
		b.ReportMetric(float64(time.Since(begin).Nanoseconds())/frames, "ns/frame")
		snap := s.Snapshot()
		b.ReportMetric(float64(snap.Rows-snap.Evicted-snap.NotKept)/1e6, "M-rows-kept")
		b.ReportMetric(float64(snap.SpillUsed>>20), "MiB-file")
		b.ReportMetric(float64(snap.HistoryUsed>>20), "MiB-used")
		s.mu.RLock()
		index := s.fileHeld + s.past.bytes() + s.pastIDs.bytes()
		b.ReportMetric(float64(index)/float64(s.segs[s.inFile].first/3), "index-B/stream")
		s.mu.RUnlock()
		for _, f := range []struct {
			name string
			p    Predicate
		}{
			{"ms/filter-type", Predicate{Match: func(r *Record) bool { return r.Type() == http2.FrameData }}},
			{"ms/filter-field", byField("/echo.Echo/UnaryEcho")},
		} {
			x := s.Select(View{}, f.p)
			begin = time.Now()
			for !x.Advance(ctx, time.Second) {
			}
			b.ReportMetric(float64(time.Since(begin).Milliseconds()), f.name)
			if n := x.Progress(); n.Matched < (snap.Rows-snap.Evicted)/3 || n.Unread > 0 {
				b.Errorf("%s: %+v", f.name, n)
			}
		}
		first, end := s.Span(View{})
		begin = time.Now()
		const pages = 1000
		for i := range uint64(pages) {
			if rows := s.Rows(View{}, first+(end-first-50)*i/pages, 50); len(rows) != 50 || rows[0].Kind != decode.RowFrame {
				b.Fatalf("page %d: %d rows", i, len(rows))
			}
		}
		b.ReportMetric(float64(time.Since(begin).Microseconds())/1000/pages, "ms/page")
		cancel()
		<-ended
		p.Close()
	}
}
