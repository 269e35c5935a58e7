// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"testing"

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
