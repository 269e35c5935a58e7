// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wireFrame is a frame as the octets of a connection have it, found with
// x/net's code.
type wireFrame struct {
	http2.FrameHeader
	payload []byte
}

// wireFrames cuts octets into frames; a client preface in front is left out.
func wireFrames(t testing.TB, octets []byte) []wireFrame {
	t.Helper()
	octets = bytes.TrimPrefix(octets, []byte(http2.ClientPreface))
	var out []wireFrame
	for len(octets) > 0 {
		h, err := http2.ReadFrameHeader(bytes.NewReader(octets))
		if err != nil || len(octets) < 9+int(h.Length) {
			t.Fatalf("%d octets are left: %v, %v", len(octets), h, err)
		}
		out = append(out, wireFrame{h, octets[9 : 9+h.Length]})
		octets = octets[9+h.Length:]
	}
	return out
}

// typeName is what h2sniff calls a type. x/net does not know all of them.
func typeName(t http2.FrameType) string {
	switch {
	case t <= http2.FrameContinuation:
		return t.String()
	case t == 0xa:
		return "ALTSVC" // RFC 7838
	case t == 0xc:
		return "ORIGIN" // RFC 8336
	case t == 0x10:
		return "PRIORITY_UPDATE" // RFC 9218
	}
	return fmt.Sprintf("UNKNOWN_%#02x", uint8(t))
}

// wantFrames fails unless the rows are the frames, in order, and DATA frames
// and those of unknown types have their content.
func wantFrames(t testing.TB, got []row, want []wireFrame) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%d frames, want %d: missing from %v on", len(got), len(want), want[i].FrameHeader)
		case i >= len(want):
			t.Fatalf("%d frames, want %d: too many from row %d on", len(got), len(want), got[i].Seq)
		}
		g, w := got[i], want[i]
		if g.Type != typeName(w.Type) || g.Length != w.Length || g.Flags != uint8(w.Flags) || g.Stream != w.StreamID {
			t.Fatalf("frame %d: got %s length=%d flags=%#x stream=%d, want %v", i, g.Type, g.Length, g.Flags, g.Stream, w.FrameHeader)
		}
		if w.Type == http2.FrameData && w.Flags&http2.FlagDataPadded == 0 {
			wantContent(t, fmt.Sprintf("frame %d (%v)", i, w.FrameHeader), g.Data, w.payload)
		}
		if strings.HasPrefix(g.Type, "UNKNOWN") && !bytes.Equal(g.Payload, w.payload) {
			t.Fatalf("frame %d (%v): its payload differs", i, w.FrameHeader)
		}
	}
}

// wire builds what one side of a connection sends.
type wire struct {
	*http2.Framer
	out    bytes.Buffer
	fields bytes.Buffer
	enc    *hpack.Encoder
}

func newWire() *wire {
	w := &wire{}
	w.Framer = http2.NewFramer(&w.out, nil)
	w.Framer.AllowIllegalWrites = true
	w.enc = hpack.NewEncoder(&w.fields)
	return w
}

// take gives what was built since the last take.
func (w *wire) take() []byte {
	b := bytes.Clone(w.out.Bytes())
	w.out.Reset()
	return b
}

// preface begins a client's side.
func (w *wire) preface(settings ...http2.Setting) {
	w.out.WriteString(http2.ClientPreface)
	w.WriteSettings(settings...)
}

// headers adds a HEADERS frame with END_HEADERS.
func (w *wire) headers(stream uint32, end bool, fields ...hpack.HeaderField) {
	w.fields.Reset()
	for _, f := range fields {
		w.enc.WriteField(f)
	}
	w.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: w.fields.Bytes(), EndStream: end, EndHeaders: true,
	})
}

func get(path string) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: "localhost"}, {Name: ":path", Value: path},
	}
}
