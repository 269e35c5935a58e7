// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

func TestConnSummary(t *testing.T) {
	local, remote := netip.MustParseAddrPort("10.0.0.1:443"), netip.MustParseAddrPort("10.0.0.2:5000")
	info := capture.ConnInfo{PID: 10, TID: 11, Comm: "nginx", Library: "libssl.so.3", Container: "0123", Fresh: true}
	s := New(Options{})
	at := func(time int64, row *decode.Row) {
		row.Conn, row.Time, row.TimeEnd = 1, time, time
		s.Append(row)
	}
	want := ConnSummary{ID: 1, Info: info}
	step := func(name string) {
		t.Helper()
		got, ok := s.Conn(1)
		if !ok {
			t.Fatalf("%s: no summary", name)
		}
		if diff := cmp.Diff(want, got, sameRow); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	at(100, &decode.Row{Kind: decode.RowOpen, Info: &info})
	want.Opened, want.Last = 100, 100
	step("open")
	at(110, &decode.Row{Kind: decode.RowBind, Binding: &capture.Binding{Local: local, Remote: remote, Evidence: capture.Inferred}})
	want.Local, want.Remote, want.Evidence, want.Last = local, remote, capture.Inferred, 110
	step("bind")
	s.SetConn(1, decode.HTTP2, capture.Server)
	want.Protocol, want.Role = decode.HTTP2, capture.Server
	step("protocol")
	at(120, recv(frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "abc", ":method", "GET")))
	want.Frames, want.RecvB, want.Streams, want.Last = 1, 12, 1, 120
	step("request")
	bad := frame(1, 0, http2.FramePing, 0, "x")
	bad.Err = &decode.FrameError{Code: http2.ErrCodeFrameSize, Reason: "not 8 octets"}
	at(130, bad)
	want.Frames, want.SentB, want.Errors, want.Last = 2, 10, 1, 130
	step("error")
	at(140, &decode.Row{Kind: decode.RowGap, GapBytes: 50, GapReason: decode.GapLost})
	at(140, &decode.Row{Kind: decode.RowGap, GapBytes: 70, GapReason: decode.GapNotCopied})
	want.Gaps, want.LostBytes, want.Last = 2, 50, 140
	step("gaps")
	at(150, &decode.Row{Kind: decode.RowBind, Binding: &capture.Binding{Evidence: capture.Withdrawn}})
	want.Local, want.Remote, want.Evidence, want.Last = noAddr, noAddr, capture.Withdrawn, 150
	step("withdrawn")
	at(160, &decode.Row{Kind: decode.RowClose})
	want.Closed, want.Last = 160, 160
	step("close")

	snap := s.Snapshot()
	snap.Generation, snap.HistoryUsed, snap.HistoryLimit = 0, 0, 0
	if diff := cmp.Diff(Snapshot{Rows: 8, Frames: 2, Bytes: 22, Conns: 1, LostBytes: 50, Last: 160, Errors: 1}, snap); diff != "" {
		t.Errorf("snapshot (-want +got)\n%s", diff)
	}
}

func TestStreamSummary(t *testing.T) {
	const (
		endHeaders = http2.FlagHeadersEndHeaders
		endStream  = http2.FlagHeadersEndStream
	)
	unknown := func(row *decode.Row, name string, trust decode.Trust) *decode.Row {
		row.HasFields = true
		row.Fields = append(row.Fields, decode.Field{Name: name, NameKnown: name != "", Trust: trust})
		return row
	}
	for _, tt := range []struct {
		name string
		rows []*decode.Row
		want StreamSummary
	}{
		{"pushed", []*decode.Row{
			recv(frame(1, 4, http2.FrameWindowUpdate, 0, "\x00\x00\x00\x08")),
			frame(1, 4, http2.FrameHeaders, endHeaders, "", ":status", "200"),
		}, StreamSummary{ID: 4, Status: "200", Frames: 2, EndRecv: true}},
		{"pushed, whole, as the client sees it", []*decode.Row{
			recv(frame(1, 4, http2.FrameHeaders, endHeaders, "", ":status", "200")),
			recv(frame(1, 4, http2.FrameData, endStream, "body")),
		}, StreamSummary{ID: 4, Status: "200", Frames: 2, RecvB: 4, EndRecv: true, EndSend: true}},
		{"promised and reset before its HEADERS", []*decode.Row{
			recv(frame(1, 4, http2.FrameRSTStream, 0, "\x00\x00\x00\x08")),
		}, StreamSummary{ID: 4, Frames: 1, Reset: true, ResetCode: 8, ResetCodeKnown: true}},
		{"request and response", []*decode.Row{
			recv(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "POST", ":path", "/a", ":authority", "h")),
			recv(frame(1, 5, http2.FrameData, endStream, "body")),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "103"),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "200"),
			frame(1, 5, http2.FrameData, 0, "answer"),
			frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", "grpc-status", "0"),
		}, StreamSummary{Method: "POST", Path: "/a", Authority: "h", Status: "200", Frames: 6,
			RecvB: 4, SentB: 6, EndRecv: true, EndSend: true, GRPCStatus: 1}},
		{"nothing but trailers", []*decode.Row{
			recv(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":status", "200", "grpc-status", "5")),
		}, StreamSummary{Status: "200", Frames: 1, EndRecv: true, GRPCStatus: 6}},
		{"trailers after other fields", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "200", "grpc-status", "5"),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", "grpc-status", "14"),
		}, StreamSummary{Status: "200", Frames: 2, GRPCStatus: 15}},
		{"a grpc-status that is not known", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, ""), "grpc-status", decode.UnknownSinceAttach),
		}, StreamSummary{Frames: 1, GRPCStatus: GRPCUnknown}},
		{"a grpc-status that is none", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", "grpc-status", "fine"),
		}, StreamSummary{Frames: 1, GRPCStatus: GRPCUnknown}},
		{"a grpc-status beyond all codes", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", "grpc-status", "254"),
		}, StreamSummary{Frames: 1, GRPCStatus: GRPCUnknown}},
		{"the highest grpc-status", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", "grpc-status", "253"),
		}, StreamSummary{Frames: 1, GRPCStatus: 254}},
		{"a trailer without a name may be the grpc-status", []*decode.Row{
			recv(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":method", "POST", ":path", "/", "content-type", "application/grpc+proto")),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "200"),
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, ""), "", decode.UnknownSinceAttach),
		}, StreamSummary{Method: "POST", Path: "/", Status: "200", Frames: 3, EndSend: true, EndRecv: true, GRPC: true, GRPCStatus: GRPCUnknown}},
		{"so may a field of a response that has no more than that", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":status", "200", "content-type", "application/grpc"), "", decode.UnknownSinceGap),
		}, StreamSummary{Status: "200", Frames: 1, EndSend: true, GRPC: true, GRPCStatus: GRPCUnknown}},
		{"not where it is known", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":status", "200", "content-type", "application/grpc", "grpc-status", "0"), "", decode.UnknownSinceGap),
		}, StreamSummary{Status: "200", Frames: 1, EndSend: true, GRPC: true, GRPCStatus: 1}},
		{"nor where trailers are to come", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "200", "content-type", "application/grpc"), "", decode.UnknownSinceGap),
		}, StreamSummary{Status: "200", Frames: 1, GRPC: true}},
		{"nor of what is no gRPC", []*decode.Row{
			recv(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":method", "POST", ":path", "/", "content-type", "application/json")),
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders|endStream, "", ":status", "200"), "", decode.UnknownSinceAttach),
		}, StreamSummary{Method: "POST", Path: "/", Status: "200", Frames: 2, EndSend: true, EndRecv: true}},
		{"no request has a grpc-status", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "POST", ":path", "/", "grpc-status", "0"),
		}, StreamSummary{Method: "POST", Path: "/", Frames: 1}},
		{"host in place of authority", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "GET", ":path", "/", "host", "h"),
		}, StreamSummary{Method: "GET", Path: "/", Authority: "h", Frames: 1}},
		{"only informational", []*decode.Row{
			recv(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "100")),
		}, StreamSummary{Status: "100", Frames: 1}},
		{"trailers do not change the request", []*decode.Row{
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "GET", ":path", "/"),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "EVIL", "host", "x"),
		}, StreamSummary{Method: "GET", Path: "/", Frames: 2}},
		{"path unknown", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "GET"), ":path", decode.UnknownSinceAttach),
		}, StreamSummary{Method: "GET", Frames: 1, RequestTrust: decode.UnknownSinceAttach}},
		{"a field without a name may be the path", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "GET"), "", decode.UnknownSinceGap),
			recv(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":status", "200")),
		}, StreamSummary{Method: "GET", Status: "200", Frames: 2, RequestTrust: decode.UnknownSinceGap}},
		{"a field without a name beside a whole request", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, "", ":method", "GET", ":path", "/"), "", decode.UnknownSinceGap),
		}, StreamSummary{Method: "GET", Path: "/", Frames: 1}},
		{"all unknown, then exact trailers", []*decode.Row{
			unknown(frame(1, 5, http2.FrameHeaders, endHeaders, ""), "", decode.UnknownSinceAttach),
			frame(1, 5, http2.FrameHeaders, endHeaders, "", "grpc-status", "0"),
		}, StreamSummary{Frames: 2, RequestTrust: decode.UnknownSinceAttach, GRPCStatus: 1}},
		{"reset", []*decode.Row{
			frame(1, 5, http2.FrameRSTStream, 0, "\x00\x00\x00\x08"),
		}, StreamSummary{Frames: 1, Reset: true, ResetCode: 8, ResetCodeKnown: true}},
		{"reset cut short", []*decode.Row{
			frame(1, 5, http2.FrameRSTStream, 0, "\x00\x00"),
		}, StreamSummary{Frames: 1, Reset: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Options{})
			for i, row := range tt.rows {
				row.Time = int64(100 + i)
				row.TimeEnd = row.Time + 1
				s.Append(row)
			}
			want := tt.want
			if want.ID == 0 {
				want.ID = 5
			}
			want.Conn, want.FirstSeq = 1, 1
			want.First, want.Last = 100, int64(100+len(tt.rows))
			got, ok := s.Stream(1, want.ID)
			if !ok {
				t.Fatal("no summary")
			}
			got.Phases = [2]Phase{} // TestPhases
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestLists(t *testing.T) {
	s := New(Options{})
	for _, id := range []capture.ConnID{3, 1, 2} {
		for _, stream := range []uint32{0, 5, 1, 3, 5} {
			s.Append(frame(id, stream, http2.FrameData, 0, "x"))
		}
	}
	ids := func(conns []ConnSummary) (ids []capture.ConnID) {
		for _, c := range conns {
			ids = append(ids, c.ID)
		}
		return ids
	}
	streams := func(list []StreamSummary) (ids []uint32) {
		for _, st := range list {
			ids = append(ids, st.ID)
		}
		return ids
	}
	if n := s.NumConns(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
	if n := s.NumStreams(2); n != 3 {
		t.Errorf("%d streams, want 3: stream 0 is none", n)
	}
	for _, tt := range []struct{ got, want any }{
		{ids(s.Conns(0, 10)), []capture.ConnID{1, 2, 3}},
		{ids(s.Conns(1, 1)), []capture.ConnID{2}},
		{ids(s.Conns(7, 1)), []capture.ConnID(nil)},
		{ids(s.Conns(-1, -1)), []capture.ConnID(nil)},
		{streams(s.Streams(2, 0, 10)), []uint32{5, 1, 3}},
		{streams(s.Streams(2, 1, 1)), []uint32{1}},
		{streams(s.Streams(9, 0, 10)), []uint32(nil)},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

// What a summary needs must outlive the row that it came from, and go when the
// last row has gone.
func TestSummariesLeaveWithTheLastRow(t *testing.T) {
	s := small(2000, 4)
	s.Append(frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":method", "GET", ":path", "/long-lived"))
	s.Append(&decode.Row{Kind: decode.RowOpen, Conn: 2, Info: &capture.ConnInfo{Comm: "idle"}})
	s.Append(&decode.Row{Kind: decode.RowOpen, Conn: 3, Info: &capture.ConnInfo{Comm: "closed"}})
	s.Append(&decode.Row{Kind: decode.RowClose, Conn: 3, Time: 1})
	before, evicted := uint64(0), uint64(0)
	for i := range 2000 {
		s.Append(frame(1, uint32(3+2*i), http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":path", fmt.Sprint("/", i)))
		s.Append(frame(1, 1, http2.FrameData, 0, "x"))
		list := s.Streams(1, 0, 1<<20)
		if list[0].ID != 1 || list[0].Path != "/long-lived" {
			t.Fatalf("after %d: first stream is %+v", i, list[0])
		}
		if n := s.Snapshot().Evicted; n != evicted {
			before, evicted = evicted, n
		}
		for k, st := range list[1:] {
			if want := fmt.Sprint("/", (st.ID-3)/2); st.Path != want {
				t.Fatalf("stream %d has path %q", st.ID, st.Path)
			}
			// Those of the segment that was evicted last are just leaving.
			if st.FirstSeq <= before {
				t.Fatalf("stream %d has no row left", st.ID)
			}
			if k > 0 && list[k].ID >= st.ID {
				t.Fatalf("stream %d behind %d", st.ID, list[k].ID)
			}
		}
		if got, want := list[len(list)-1].ID, uint32(3+2*i); got != want {
			t.Fatalf("newest stream is %d, want %d", got, want)
		}
	}
	if s.Snapshot().Evicted == 0 {
		t.Fatal("nothing was evicted")
	}
	if _, ok := s.Conn(2); !ok {
		t.Error("an open connection left with its rows")
	}
	if _, ok := s.Conn(3); ok {
		t.Error("a closed connection stayed without rows")
	}
	if n, got := s.NumConns(), len(s.Conns(0, 10)); n != 2 || got != 2 {
		t.Errorf("%d connections, %d listed, want 2", n, got)
	}
	if c, _ := s.Conn(1); c.Streams != 2001 {
		t.Errorf("%d streams seen, want 2001", c.Streams)
	}
}
