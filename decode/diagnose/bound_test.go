// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"encoding/binary"
	"runtime"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// rows makes rows without a decoder, so that many take little time.
type rows struct {
	track *Tracker
	seq   uint64
	row   decode.Row
}

func newRows() *rows {
	r := &rows{track: New(1)}
	r.feed(decode.Row{Kind: decode.RowOpen, Info: &capture.ConnInfo{Fresh: true}})
	r.feed(decode.Row{Kind: decode.RowPreface})
	return r
}

func drop(*Diagnosis) {}

func (r *rows) feed(row decode.Row) {
	r.seq++
	r.row = row
	r.row.Role = capture.Client
	r.row.Time, r.row.TimeEnd = int64(r.seq)*1000, int64(r.seq)*1000
	r.track.Row(r.seq, &r.row, drop)
}

func (r *rows) frame(d capture.Direction, t http2.FrameType, f http2.Flags, id uint32, payload []byte) {
	r.feed(decode.Row{Kind: decode.RowFrame, Direction: d, Payload: payload,
		Header: decode.FrameHeader{Length: uint32(len(payload)), Type: t, Flags: f, StreamID: id}})
}

// TestManyStreams: what a peer opens, promises, pings and announces without
// end takes bounded memory, and is reported a bounded number of times.
func TestManyStreams(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	fields := []decode.Field{{Name: ":method", Value: "GET", NameKnown: true, ValueKnown: true}}
	before := heap()
	r := newRows()
	// The ids go through all there are, in steps.
	for i := uint32(0); i < 300_000; i++ {
		id := (i*7001)&(1<<31-1) | 1
		r.feed(decode.Row{Kind: decode.RowFrame, HasFields: true, Fields: fields,
			Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: endHeaders, StreamID: id}})
		r.frame(capture.Recv, http2.FramePushPromise, endHeaders, id, binary.BigEndian.AppendUint32(nil, id+1))
		r.frame(capture.Send, http2.FramePing, 0, 0, binary.BigEndian.AppendUint64(nil, uint64(i)))
		r.frame(capture.Recv, http2.FrameSettings, 0, 0, []byte{0, 4, 0, 0, byte(i), 0})
		r.frame(capture.Send, http2.FrameWindowUpdate, 0, id, []byte{0, 0, 0, 1})
	}
	if held := heap() - before; held > 4<<20 && held < 1<<40 {
		t.Errorf("%d octets are held", held)
	}
	for id, n := range r.track.reports {
		if n > maxReports && r.track.withheld == 0 {
			t.Errorf("%s was reported %d times", rules[id].Code, n)
		}
	}
	runtime.KeepAlive(r)
}

// BenchmarkRows is a row of small gRPC-like exchanges: request and response
// with their fields, DATA, trailers, window updates.
func BenchmarkRows(b *testing.B) {
	field := func(nv ...string) (out []decode.Field) {
		for i := 0; i < len(nv); i += 2 {
			out = append(out, decode.Field{Name: nv[i], Value: nv[i+1], NameKnown: true, ValueKnown: true})
		}
		return out
	}
	request := field(":method", "POST", ":scheme", "http", ":path", "/helloworld.Greeter/SayHello", ":authority", "localhost:50051",
		"content-type", "application/grpc", "user-agent", "grpc-go/1.60.0", "te", "trailers", "grpc-timeout", "999m")
	response := field(":status", "200", "content-type", "application/grpc")
	trailers := field("grpc-status", "0", "grpc-message", "")
	payload := make([]byte, 30)
	r := newRows()
	section := func(d capture.Direction, f http2.Flags, id uint32, fields []decode.Field) {
		r.feed(decode.Row{Kind: decode.RowFrame, Direction: d, HasFields: true, Fields: fields, Payload: payload,
			Header: decode.FrameHeader{Length: 30, Type: http2.FrameHeaders, Flags: f | endHeaders, StreamID: id}})
	}
	grant := []byte{0, 0, 0, 60}
	b.ReportAllocs()
	id := uint32(1)
	for n := 0; n < b.N; n += 7 {
		section(capture.Send, 0, id, request)
		r.frame(capture.Send, http2.FrameData, endStream, id, payload)
		r.frame(capture.Recv, http2.FrameWindowUpdate, 0, 0, grant)
		section(capture.Recv, 0, id, response)
		r.frame(capture.Recv, http2.FrameData, 0, id, payload)
		section(capture.Recv, endStream, id, trailers)
		r.frame(capture.Send, http2.FrameWindowUpdate, 0, 0, grant)
		id = (id + 2) & (1<<31 - 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/row")
}

// BenchmarkData is a row of a long download.
func BenchmarkData(b *testing.B) {
	r := newRows()
	r.feed(decode.Row{Kind: decode.RowFrame, HasFields: true, Fields: []decode.Field{{Name: ":method", Value: "GET", NameKnown: true, ValueKnown: true}},
		Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: endHeaders | endStream, StreamID: 1}})
	payload, grant := make([]byte, 16384), []byte{0, 0, 0x40, 0}
	b.ReportAllocs()
	for b.Loop() {
		r.frame(capture.Recv, http2.FrameData, 0, 1, payload)
		r.frame(capture.Send, http2.FrameWindowUpdate, 0, 0, grant)
		r.frame(capture.Send, http2.FrameWindowUpdate, 0, 1, grant)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(3*b.N), "ns/row")
}
