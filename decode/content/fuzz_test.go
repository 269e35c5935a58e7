// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// fuzzLimits are small, so that the bounds are met.
var fuzzLimits = Limits{Body: 1 << 16, Held: 1 << 18, Decoded: 1 << 18, Ratio: 20, Parts: 200, Text: 1 << 14, Streams: 8}

// holed makes a body of fuzz input: hole is where octets are missing.
func holed(data []byte, hole, size uint16, ended bool) *Body {
	b := &Body{Data: data, Octets: uint64(len(data)), Ended: ended, Frames: []Frame{{At: 0, Seq: 1}, {At: len(data) / 2, Seq: 3}}}
	if hole > 0 && len(data) > 0 {
		b.Holes = []Hole{{At: int(hole) % (len(data) + 1), Size: uint64(size), Exact: size%3 != 0, Reason: "fuzz"}}
		b.Octets += uint64(size)
	}
	return b
}

// check describes a message and checks what holds of every tree.
func check(t *testing.T, m *Message, schema *Schema) {
	t.Helper()
	before := bytes.Clone(m.Body.Data)
	part := Describe(m, Options{Limits: fuzzLimits, Schema: schema})
	parts, octets := measure(part)
	if parts > fuzzLimits.Parts+1 || octets > fuzzLimits.Text {
		t.Fatalf("%d parts, %d octets", parts, octets)
	}
	out := AppendText(nil, "", part)
	for _, c := range out {
		if c < 0x20 && c != '\n' || c == 0x7f {
			t.Fatalf("a control in %q", out)
		}
	}
	if !bytes.Equal(before, m.Body.Data) {
		t.Fatal("the body was changed")
	}
}

func FuzzCodings(f *testing.F) {
	names := []string{"gzip", "deflate", "br", "zstd", "snappy", "deflate, br"}
	for i, name := range []string{"gzip", "deflate", "br", "zstd", "raw deflate", "gzip"} {
		f.Add(uint8(i), encoded(f, name, []byte("some text, some text")), uint16(0), uint16(0), true)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte, hole, size uint16, ended bool) {
		name := names[int(which)%len(names)]
		m := response(holed(data, hole, size, ended), "content-encoding", name)
		b, _ := Decoded(m, fuzzLimits)
		if b != m.Body && len(b.Data) > fuzzLimits.Decoded {
			t.Fatalf("%d octets decoded", len(b.Data))
		}
		check(t, m, nil)
	})
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,true,"x"],"b":{}}`), uint16(3), uint16(5), true)
	f.Fuzz(func(t *testing.T, data []byte, hole, size uint16, ended bool) {
		if out, n := layout(data, 1<<14); n > len(data) || len(out) > 1<<14+len(data)+64 {
			t.Fatalf("%d of %d octets, %d laid out", n, len(data), len(out))
		}
		check(t, response(holed(data, hole, size, ended), "content-type", "application/json"), nil)
	})
}

func FuzzGRPC(f *testing.F) {
	schema, _ := shopSchema(f)
	f.Add([]byte(grpcMessage(0, "\x0a\x03abc\x10\x0d\x22\x08\x00\x00\x00\x00\x00\x00\xf8\x3f")+grpcMessage(1, "zz")), uint16(0), uint16(0), true, "nö%20", false)
	f.Add([]byte(grpcMessage(0, "\x2a\x05\x0a\x03abc\x0b\x08\x01\x0c")), uint16(3), uint16(2), false, "%", true)
	f.Fuzz(func(t *testing.T, data []byte, hole, size uint16, ended bool, message string, named bool) {
		m := response(holed(data, hole, size, ended), "content-type", "application/grpc", "grpc-encoding", "gzip")
		m.Request = fields(":path", "/shop.Shop/Sell")
		m.Trailers = fields("grpc-status", message, "grpc-message", message, "grpc-status-details-bin", message)
		s := schema
		if !named {
			s = nil
		}
		check(t, m, s)
	})
}

// FuzzSchema reads any octets as a descriptor set, and a message with it.
func FuzzSchema(f *testing.F) {
	file := shopFile()
	for _, syntax := range []string{"proto3", "proto2"} {
		file.Syntax = proto.String(syntax)
		set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(set, []byte("\x0a\x03abc\x10\x0d\x2a\x05\x0a\x03abc\x22\x08\x00\x00\x00\x00\x00\x00\xf8\x3f"))
	}
	f.Fuzz(func(t *testing.T, set, message []byte) {
		s, err := ParseSchema(set)
		if err != nil {
			return
		}
		m := response(holed([]byte(grpcMessage(0, string(message))), 0, 0, true), "content-type", "application/grpc")
		m.Request = fields(":path", "/shop.Shop/Sell")
		check(t, m, s)
	})
}

func FuzzWebSocket(f *testing.F) {
	f.Add([]byte(wsFrame(0x81, "abcd", "hello")+wsFrame(0xc1, "", "\xf2\x48\xcd\xc9\xc9\x07\x00")), uint16(0), uint16(0), true, true)
	f.Fuzz(func(t *testing.T, data []byte, hole, size uint16, ended, fromServer bool) {
		check(t, webSocketMessage(fromServer, holed(data, hole, size, ended), "permessage-deflate"), nil)
	})
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("event: a\ndata: b\r\n\r\n: c\rid: 1\n\n"), uint16(4), uint16(4), true)
	f.Fuzz(func(t *testing.T, data []byte, hole, size uint16, ended bool) {
		check(t, response(holed(data, hole, size, ended), "content-type", "text/event-stream"), nil)
	})
}

// FuzzCollector makes frames of its input, four octets and a payload each.
func FuzzCollector(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x03abc\x01\x01\x04\x00\x00\x01\x01\x02hi\x03\x01\x00\x04\x00\x00\x00\x08"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := collect(fuzzLimits)
		seq := uint64(0)
		for len(data) >= 4 {
			kind, stream, flags, n := data[0], data[1], data[2], int(data[3])
			data = data[4:]
			n = min(n, len(data))
			payload := data[:n]
			data = data[n:]
			seq++
			row := decode.Row{Kind: decode.RowFrame, Conn: 1, Direction: capture.Direction(kind >> 4 & 1), Time: int64(seq), Payload: payload,
				Header: decode.FrameHeader{Type: http2.FrameType(kind & 15), Flags: http2.Flags(flags), StreamID: uint32(stream & 15), Length: uint32(n)}}
			switch kind & 15 {
			case 1, 5, 9:
				row.Fields, row.HasFields = fields(":status", "200", "x", string(payload)), flags&4 != 0
			case 14:
				row.Kind, row.GapBytes = decode.RowGap, uint64(n)
			case 15:
				row.Kind = decode.RowClose
			case 0:
				if flags&0x40 != 0 {
					row.Missing = uint32(bytes.Count(payload, []byte{0}))
				}
			}
			c.Add(seq, &row)
			if c.open.Len() > fuzzLimits.Streams || c.held > fuzzLimits.Held {
				t.Fatalf("%d streams, %d octets held", c.open.Len(), c.held)
			}
		}
		c.Flush()
		if c.held != 0 {
			t.Fatalf("%d octets still held", c.held)
		}
		for _, x := range c.exchanges {
			check(t, x.Message(0), nil)
			check(t, x.Message(1), nil)
		}
	})
}
