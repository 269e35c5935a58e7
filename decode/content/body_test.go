// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Where zeroes stand for octets that are missing, only what is certain is
// kept, and places behind the hole hold.
func TestHoleInFrame(t *testing.T) {
	payload := []byte("0123456789abcdefghij")
	var b Body
	captured := bytes.Clone(payload)
	clear(captured[5:9])
	b.addFrame(7, &decode.Row{Header: decode.FrameHeader{Length: 20}, Payload: captured, Missing: 4}, 100)
	if string(b.Data) != "012349abcdefghij" || len(b.Holes) != 1 || b.Holes[0].At != 5 || b.Holes[0].Size != 4 || !b.Holes[0].Exact {
		t.Fatalf("%q %+v", b.Data, b.Holes)
	}
	c := cursor{b: &b}
	if p := c.cut(7); string(p.Data) != "01234" || p.Holes[0].Size != 2 || !p.Ended {
		t.Errorf("%q %+v", p.Data, p)
	}
	if p := c.cut(4); string(p.Data) != "9a" || p.Holes[0].At != 0 || p.Holes[0].Size != 2 {
		t.Errorf("%q %+v", p.Data, p)
	}
	if p := c.cut(100); string(p.Data) != "bcdefghij" || p.Ended {
		t.Errorf("%q %+v", p.Data, p)
	}
	// A padded frame whose pad length may be what is missing.
	b = Body{}
	b.addFrame(1, &decode.Row{Header: decode.FrameHeader{Length: 4, Flags: http2.FlagDataPadded}, Payload: []byte("\x00abc"), Missing: 1}, 100)
	if len(b.Data) != 0 || len(b.Holes) != 1 || b.Holes[0].Exact {
		t.Errorf("%q %+v", b.Data, b.Holes)
	}
	// A frame cut short, and room for a part.
	b = Body{}
	b.addFrame(1, &decode.Row{Header: decode.FrameHeader{Length: 10}, Payload: []byte("abcd")}, 100)
	if string(b.Data) != "abcd" || b.Octets != 10 || b.Holes[0].Size != 6 {
		t.Errorf("%q %+v", b.Data, b)
	}
	b = Body{}
	b.addFrame(1, &decode.Row{Header: decode.FrameHeader{Length: 4}, Payload: []byte("abcd")}, 3)
	if string(b.Data) != "abc" || b.Over != 1 {
		t.Errorf("%q %+v", b.Data, b)
	}
}

// rows builds the rows of a connection by hand.
type rows struct {
	c    *Collector
	seq  uint64
	role capture.Role
}

func (r *rows) add(row decode.Row) {
	r.seq++
	row.Conn, row.Time, row.Role = 1, int64(r.seq)*1000, r.role
	r.c.Add(r.seq, &row)
}

func (r *rows) headers(d capture.Direction, stream uint32, end bool, nv ...string) {
	flags := http2.FlagHeadersEndHeaders
	if end {
		flags |= http2.FlagHeadersEndStream
	}
	r.add(decode.Row{Kind: decode.RowFrame, Direction: d, HasFields: true, Fields: fields(nv...),
		Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: flags, StreamID: stream}})
}

func (r *rows) data(d capture.Direction, stream uint32, end bool, data string) {
	var flags http2.Flags
	if end {
		flags = http2.FlagDataEndStream
	}
	r.add(decode.Row{Kind: decode.RowFrame, Direction: d, Payload: []byte(data),
		Header: decode.FrameHeader{Type: http2.FrameData, Flags: flags, StreamID: stream, Length: uint32(len(data))}})
}

// A peer that sends one interim response, or trailers, behind the other takes no
// memory with those that are not kept, and none from other streams.
func TestEndlessSections(t *testing.T) {
	c := collect(Limits{Held: 20_000, Body: 1000})
	r := rows{c: c.Collector, role: capture.Client}
	r.headers(capture.Send, 1, true, ":method", "GET", ":path", "/a")
	r.headers(capture.Send, 3, true, ":method", "GET", ":path", "/b")
	r.headers(capture.Recv, 3, false, ":status", "200")
	for range 1000 {
		r.headers(capture.Recv, 1, false, ":status", "103", "link", "</style.css>")
	}
	r.data(capture.Recv, 1, false, "body of 1")
	for range 1000 {
		r.headers(capture.Recv, 1, false, "trailer", "again")
	}
	r.data(capture.Recv, 3, true, "body of 3")
	r.headers(capture.Recv, 1, true, "trailer", "last")
	if len(c.exchanges) != 2 || c.held != 0 {
		t.Fatalf("%d exchanges, %d octets held", len(c.exchanges), c.held)
	}
	for i, want := range []string{"body of 3", "body of 1"} {
		if x := c.exchanges[i]; string(x.Response().Body.Data) != want || x.GivenUp || !x.Complete() {
			t.Errorf("%d: %q, given up: %t", x.Stream, x.Response().Body.Data, x.GivenUp)
		}
	}
}

func TestCollector(t *testing.T) {
	c := collect(Limits{})
	r := rows{c: c.Collector, role: capture.Client}
	r.headers(capture.Send, 1, false, ":method", "POST", ":path", "/a")
	r.data(capture.Send, 1, false, "ab")
	r.headers(capture.Send, 3, true, ":method", "GET", ":path", "/b")
	r.data(capture.Send, 1, true, "cd")
	r.headers(capture.Recv, 1, false, ":status", "103")
	r.headers(capture.Recv, 1, false, ":status", "200", "content-length", "6")
	r.data(capture.Recv, 1, false, "xyz")
	r.add(decode.Row{Kind: decode.RowGap, Direction: capture.Recv, GapBytes: 30, GapReason: decode.GapLost})
	r.data(capture.Recv, 1, false, "123")
	r.headers(capture.Recv, 1, true, "grpc-status", "0")
	r.headers(capture.Recv, 3, false, ":status", "200")
	r.data(capture.Recv, 3, false, "p")
	r.add(decode.Row{Kind: decode.RowGap, Direction: capture.Recv, GapBytes: 5, GapReason: decode.GapLost})
	r.add(decode.Row{Kind: decode.RowFrame, Direction: capture.Send, Payload: []byte{0, 0, 0, 8},
		Header: decode.FrameHeader{Type: http2.FrameRSTStream, StreamID: 3, Length: 4}})
	r.data(capture.Recv, 3, false, "late")
	r.data(capture.Recv, 5, false, "tail of something")
	r.add(decode.Row{Kind: decode.RowClose})
	if len(c.exchanges) != 3 {
		t.Fatalf("%d exchanges", len(c.exchanges))
	}
	x := c.exchanges[0]
	if x.Stream != 1 || !x.Complete() || string(x.Request().Body.Data) != "abcd" || len(x.Response().Informational) != 1 || len(x.Response().Trailers) != 1 {
		t.Errorf("%+v", x)
	}
	// The announced length proves that the gap took nothing of this body.
	if b := x.Response().Body; string(b.Data) != "xyz123" || len(b.Holes) != 0 {
		t.Errorf("%+v", b)
	}
	x = c.exchanges[1]
	if x.Stream != 3 || x.Complete() || x.Reset == nil || x.Reset.Code != 8 || x.Reset.Direction != capture.Send {
		t.Errorf("%+v", x)
	}
	if b := x.Response().Body; len(b.Holes) != 1 || b.Holes[0].Exact || b.Holes[0].Size != 5 {
		t.Errorf("%+v", b)
	}
	x = c.exchanges[2]
	if x.Stream != 5 || !x.Closed || len(x.Response().Body.Holes) != 1 || x.Response().Body.Holes[0].At != 0 {
		t.Errorf("%+v", x)
	}
	if c.held != 0 || c.open.Len() != 0 || len(c.conns) != 0 {
		t.Errorf("held %d, open %d, connections %d", c.held, c.open.Len(), len(c.conns))
	}
}

// The final response takes the place of interim ones also where its HEADERS frame
// ends the stream, and nothing takes that of the final one.
func TestInterimResponses(t *testing.T) {
	for _, test := range []struct {
		sections                []string // :status, or "" for trailers
		status                  string
		informational, trailers int
	}{
		{[]string{"100", "201"}, "201", 1, 0},
		{[]string{"100", "103", "204"}, "204", 2, 0},
		{[]string{"100", "200", ""}, "200", 1, 1},
		{[]string{"200", ""}, "200", 0, 1},
		{[]string{"200", "201"}, "200", 0, 1},
	} {
		c := collect(Limits{})
		r := &rows{c: c.Collector, role: capture.Client}
		r.headers(capture.Send, 1, false, ":method", "POST", "expect", "100-continue")
		for i, status := range test.sections {
			name := ":status"
			if status == "" {
				name, status = "grpc-status", "0"
			}
			r.headers(capture.Recv, 1, i == len(test.sections)-1, name, status)
			if i == 0 {
				r.data(capture.Send, 1, true, "body")
			}
		}
		if len(c.exchanges) != 1 {
			t.Fatalf("%q: %d exchanges", test.sections, len(c.exchanges))
		}
		x := c.exchanges[0].Response()
		// The request is rows 1 and 3.
		if final := []int64{2, 4, 5}[test.informational]; x.Begin != final*1000 {
			t.Errorf("%q: begins at %d", test.sections, x.Begin)
		}
		status, _ := Lookup(x.Fields, ":status")
		if status != test.status || len(x.Informational) != test.informational || len(x.Trailers) != test.trailers || !x.Body.Ended {
			t.Errorf("%q: %+v", test.sections, x)
		}
	}
}

// Streams without end do not take memory without end.
func TestCollectorBounds(t *testing.T) {
	c := collect(Limits{Streams: 10, Held: 20_000, Body: 1000})
	r := rows{c: c.Collector, role: capture.Server}
	for stream := uint32(1); stream < 200; stream += 2 {
		r.headers(capture.Recv, stream, false, ":method", "POST", "x", strings.Repeat("v", 500))
		for range 10 {
			r.data(capture.Recv, stream, false, strings.Repeat("d", 600))
			if c.held > 20_000 || c.open.Len() > 10 {
				t.Fatalf("held %d, open %d", c.held, c.open.Len())
			}
		}
	}
	c.Flush()
	given := 0
	for _, x := range c.exchanges {
		if x.GivenUp {
			given++
		}
		if b := x.Request().Body; len(b.Data) > 1000 || b.Octets != 6000 || b.Over != 6000-uint64(len(b.Data)) {
			t.Fatalf("%d octets kept, %d over of %d", len(b.Data), b.Over, b.Octets)
		}
	}
	if len(c.exchanges) != 100 || given != 90 {
		t.Errorf("%d exchanges, %d given up", len(c.exchanges), given)
	}
	// What was not handed over is a hole.
	r.headers(capture.Recv, 301, false, ":method", "POST")
	r.data(capture.Recv, 301, false, "a")
	c.Missed(3)
	r.data(capture.Recv, 301, true, "b")
	c.Flush()
	if b := c.exchanges[100].Request().Body; len(b.Holes) != 1 || b.Holes[0].At != 1 {
		t.Errorf("%+v", b)
	}
}
