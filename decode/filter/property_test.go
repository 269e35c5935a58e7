// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

var tests = []string{
	"1", "stream in (1..3, 7)", "stream > 2", "conn == c1", "conn != 2", "conn in (2..3)", "pid == 100", "pid > 100", "comm == nginx",
	"comm contains o", "pid", "dir == send", "dir", "role == client", "role != server", "role", "type == DATA", "type in (HEADERS, RST_STREAM, GOAWAY)", "type != PING", "type",
	"flag == END_STREAM", "flag != ACK", "flag", "flag in (PADDED, ACK)", "flag == PRIORITY", "flag == 0x5", "flag != 0x5", "flag in (0x9, 0x4)", "flag == 0x25", "length == 0", "length >= 4", "length in (1..100)",
	"time > 5ns", "time <= 20ns", "time == 0", "error", "error == CANCEL", "error == PROTOCOL_ERROR", "error != NO_ERROR", "error in (1, 2, CANCEL)", "status == 200",
	"status in (500..599)", "status < 300", "status", "method == GET", "method != GET", "path contains /a", `path matches "^/a+$"`, "path",
	"authority == example.org", "authority", `header["x"] == y`, `header["x"]`, `header["x"] != y`, `header["x"] in (y, z)`,
	"grpc.status == OK", "grpc.status != 0", "grpc.status", "grpc.status > OK", "grpc.status >= 13", "grpc.status < INTERNAL", "grpc.status <= 0", "grpc.status in (CANCELLED..UNAUTHENTICATED)", "trust == exact", "trust == attach", "trust in (attach, gap)", "trust",
	"diag", "diag == slow", "diag >= warning", "diag contains lo", "diag == error", "diag in (slow, odd)", "kind == gap", "kind in (open, close)", "kind != frame",
}

func genExpr(t *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom(tests).Draw(t, "test")
	}
	switch rapid.IntRange(0, 4).Draw(t, "node") {
	case 0:
		return "!(" + genExpr(t, depth-1) + ")"
	case 1, 2:
		return "(" + genExpr(t, depth-1) + rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "op") + genExpr(t, depth-1) + ")"
	}
	return genExpr(t, 0)
}

func genFields(t *rapid.T) (out []decode.Field) {
	texts := [][2]string{{":status", "200"}, {":status", "503"}, {":status", "odd"}, {":method", "GET"}, {":method", "POST"}, {":path", "/aa"},
		{":path", "/b"}, {":authority", "example.org"}, {"host", "example.org"}, {"x", "y"}, {"x", "z"}, {"X", "y"}, {"grpc-status", "0"}, {"grpc-status", "13"}}
	for range rapid.IntRange(0, 4).Draw(t, "fields") {
		x := rapid.SampledFrom(texts).Draw(t, "field")
		f := decode.Field{Name: x[0], Value: x[1], NameKnown: true, ValueKnown: true}
		switch rapid.IntRange(0, 9).Draw(t, "unknown") {
		case 0:
			f.Value, f.ValueKnown, f.Trust = "", false, decode.UnknownSinceAttach
		case 1:
			f.Name, f.NameKnown, f.Trust = "", false, decode.UnknownSinceGap
		}
		out = append(out, f)
	}
	return out
}

func genRow(t *rapid.T, now int64) *decode.Row {
	row := &decode.Row{
		Kind:      rapid.SampledFrom([]decode.RowKind{decode.RowFrame, decode.RowFrame, decode.RowFrame, decode.RowFrame, decode.RowGap, decode.RowOpen, decode.RowClose, decode.RowPreface}).Draw(t, "kind"),
		Direction: capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction")),
		Conn:      capture.ConnID(rapid.IntRange(1, 3).Draw(t, "conn")),
		Time:      now, TimeEnd: now + rapid.Int64Range(0, 3).Draw(t, "took"),
		TID: rapid.Uint32Range(0, 2).Draw(t, "tid"),
	}
	switch row.Kind {
	case decode.RowGap:
		row.GapBytes, row.GapReason = 5, decode.GapLost
	case decode.RowOpen:
		row.Info = &capture.ConnInfo{PID: 99 + uint32(row.Conn), Comm: rapid.SampledFrom([]string{"", "nginx", "h2o"}).Draw(t, "comm")}
	case decode.RowFrame:
		row.Header.Type = http2.FrameType(rapid.SampledFrom([]int{0, 1, 3, 6, 7, 9}).Draw(t, "type"))
		row.Header.Flags = http2.Flags(rapid.SampledFrom([]int{0, 1, 4, 5, 8, 0x20, 0x80}).Draw(t, "flags"))
		row.Header.StreamID = rapid.SampledFrom([]uint32{0, 1, 2, 3, 7}).Draw(t, "stream")
		row.Payload = rapid.SliceOfN(rapid.SampledFrom([]byte{0, 8}), 0, 9).Draw(t, "payload")
		row.Header.Length = uint32(len(row.Payload)) + rapid.Uint32Range(0, 1).Draw(t, "more")
		if row.Header.Type == http2.FrameHeaders || row.Header.Type == http2.FrameContinuation {
			row.Fields, row.HasFields = genFields(t), true
			row.Table = &decode.TableState{Inserted: 1 << 40, Held: 300}
		}
		if rapid.IntRange(0, 9).Draw(t, "malformed") == 0 {
			row.Err = &decode.FrameError{Code: http2.ErrCodeProtocol, Reason: "it is malformed"}
		}
		if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
			row.Missing = 1
		}
	}
	return row
}

// TestMatchesNaiveEvaluation: what a Selection selects is what a plain look at
// every decoded row selects, while rows and findings come and rows are evicted.
func TestMatchesNaiveEvaluation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := genExpr(t, 3)
		e, err := Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		base := rapid.SampledFrom([]store.View{{}, {}, {Conn: 2}, {Stream: 1, HasStream: true}, {Conn: 1, Stream: 3, HasStream: true}}).Draw(t, "view")
		s := store.New(store.Options{History: store.MinHistory})
		plain := naive{infos: make(map[capture.ConnID]capture.ConnInfo), start: 1000}
		selection := s.Select(base, e.Compile(0))
		late := rapid.Bool().Draw(t, "late")
		rows := rapid.IntRange(0, 60).Draw(t, "rows")
		fill := rapid.SampledFrom([]int{0, 0, 0, 3000}).Draw(t, "fill")
		for i := range rows {
			row := genRow(t, 1000+int64(i))
			seq := s.Append(row)
			for range fill / max(rows, 1) {
				big := *row
				big.Kind, big.Info, big.Payload, big.Err = decode.RowFrame, nil, make([]byte, 700), nil
				big.Header.Type, big.Header.Length, big.Fields, big.HasFields, big.Table = http2.FrameData, 700, nil, false, nil
				s.Append(&big)
			}
			if row.Kind == decode.RowOpen && plain.infos[row.Conn] != *row.Info {
				plain.infos[row.Conn] = *row.Info
				// What was examined saw the connection as it was then.
				selection = s.Select(base, e.Compile(0))
			}
			if rapid.IntRange(0, 4).Draw(t, "advance") == 0 {
				selection.Advance(context.Background(), time.Hour)
			}
			for range rapid.IntRange(0, 1).Draw(t, "findings") {
				target := seq
				if late {
					target = rapid.Uint64Range(1, seq).Draw(t, "seq")
				}
				s.Diagnose(target, store.Finding{Code: rapid.SampledFrom([]string{"slow", "odd"}).Draw(t, "code"), Severity: decode.Severity(rapid.IntRange(1, 3).Draw(t, "severity"))})
			}
		}
		if !selection.Advance(context.Background(), time.Hour) {
			t.Fatal("an hour was not enough")
		}
		if p := selection.Progress(); p.Waiting != 0 {
			t.Fatalf("%d rows wait", p.Waiting)
		}
		compare(t, s, selection, base, func(row *store.Entry) bool { return plain.is(e.root, row) }, text)
	})
}

func compare(t *rapid.T, s *store.Store, x *store.Selection, base store.View, want func(*store.Entry) bool, text string) {
	first, _ := s.Span(base)
	var seqs []uint64
	for _, row := range s.Rows(base, first, 1<<20) {
		if has := want(&row); has != x.Has(row.Seq) {
			t.Fatalf("%s: row %+v: selected %v", text, row, !has)
		} else if has {
			seqs = append(seqs, row.Seq)
		}
	}
	v := store.View{Selection: x}
	first, end := s.Span(v)
	if end-first != uint64(len(seqs)) {
		t.Fatalf("%s: span %d to %d for %d rows", text, first, end, len(seqs))
	}
	var got []uint64
	for at := first; at < end; at += 7 { // in pages
		for i, row := range s.Rows(v, at, 7) {
			got = append(got, row.Seq)
			if where := s.Find(v, row.Seq); where != at+uint64(i) {
				t.Fatalf("%s: row %d is found at %d, not %d", text, row.Seq, where, at+uint64(i))
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(seqs) {
		t.Fatalf("%s: rows %v, want %v", text, got, seqs)
	}
}

// A flag is asked for whatever others are set; bits that are given together are
// all asked for.
func TestFlagBits(t *testing.T) {
	s := store.New(store.Options{})
	for _, h := range []decode.FrameHeader{
		{Type: http2.FrameHeaders, Flags: 0x5}, {Type: http2.FrameHeaders, Flags: 0x4}, {Type: http2.FrameHeaders, Flags: 0x1},
		{Type: http2.FrameHeaders, Flags: 0xd}, {Type: http2.FrameHeaders}, {Type: http2.FramePing, Flags: 0x1},
	} {
		s.Append(&decode.Row{Kind: decode.RowFrame, Conn: 1, Header: h})
	}
	for text, want := range map[string]string{
		"flag == 0x5":                "1 4",
		"flag == 0x4":                "1 2 4",
		"flag == 0x1":                "1 3 4 6",
		"flag == END_STREAM":         "1 3 4",
		"flag == ACK":                "6",
		"flag != 0x5":                "2 3 5 6",
		"flag in (0x5, ACK)":         "1 4 6",
		"flag in (0x8, END_HEADERS)": "1 2 4",
		"flag":                       "1 2 3 4 6",
		"flag == END_STREAM && flag == END_HEADERS": "1 4",
	} {
		e, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		x := s.Select(store.View{}, e.Compile(0))
		x.Advance(context.Background(), time.Hour)
		var got []string
		for seq := range s.Snapshot().Rows {
			if x.Has(seq + 1) {
				got = append(got, fmt.Sprint(seq+1))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: rows %v, want %s", text, got, want)
		}
	}
}
