// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"io"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// endless yields pieces of one direction for as long as there are some.
type endless struct {
	preface []byte
	piece   []byte
	left    int
	pos     uint64
}

func (s *endless) Read(ev *capture.Event) error {
	data := s.piece
	if s.pos == 0 {
		*ev = capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: s.preface != nil}}
		s.pos = 1
		return nil
	}
	if s.pos == 1 && s.preface != nil {
		data = s.preface
	}
	if s.left--; s.left < 0 {
		return io.EOF
	}
	*ev = capture.Event{Kind: capture.Data, Conn: 1, Offset: s.pos - 1, Length: uint64(len(data)), Data: data}
	s.pos += uint64(len(data))
	return nil
}
func (s *endless) Stats() capture.Stats { return capture.Stats{} }
func (s *endless) Close() error         { return nil }

// TestBound: what is held stays small, whatever comes, and none of it is shown
// that was not understood.
func TestBound(t *testing.T) {
	var start, continuation bytes.Buffer
	start.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&start, nil)
	must(fr.WriteSettings())
	must(fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
	fr = http2.NewFramer(&continuation, nil)
	must(fr.WriteContinuation(1, false, bytes.Repeat([]byte{0, 1, 'a', 1, 'b'}, 1000)))
	text := bytes.Repeat([]byte("secret"), 1000)
	for name, src := range map[string]*endless{
		"CONTINUATION": {preface: start.Bytes(), piece: continuation.Bytes(), left: 3000},
		"single octets": {preface: append(bytes.Clone(start.Bytes()[:start.Len()-10]), 0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1),
			piece: []byte{'s'}, left: 300_000},
		"large HEADERS": {preface: append(bytes.Clone(start.Bytes()[:start.Len()-10]), 0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1),
			piece: text, left: 2700},
		"large DATA": {preface: append(bytes.Clone(start.Bytes()), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1),
			piece: text, left: 2700},
		"large unknown": {preface: append(bytes.Clone(start.Bytes()), 0xff, 0xff, 0xff, 99, 0, 0, 0, 0, 1),
			piece: text, left: 2700},
		"no frames": {piece: text, left: 3000},
	} {
		total := src.left
		s := New(src, Options{})
		var ev capture.Event
		next, shown := uint64(0), 0
		for s.Read(&ev) == nil {
			if ev.Kind != capture.Data {
				continue
			}
			if ev.Offset != next {
				t.Fatalf("%s: %d, want %d", name, ev.Offset, next)
			}
			next = ev.Offset + ev.Length
			shown += len(ev.Data)
			h := &s.conns[1].dirs[0].held
			if h.size > maxHeld+len(continuation.Bytes()) || len(h.pieces) > maxPieces+1 || cap(h.buf) > 3*maxHeld {
				t.Fatalf("%s: %d octets of %d pieces, buffer of %d", name, h.size, len(h.pieces), cap(h.buf))
			}
		}
		if next != src.pos-1 {
			t.Errorf("%s: %d octets came out of %d", name, next, src.pos-1)
		}
		if frames := 9 * total; shown > start.Len()+frames+9 {
			t.Errorf("%s: %d octets were shown", name, shown)
		}
	}
}

// FuzzRedact: whatever comes, each octet comes out once, as it was, rewritten or
// as a hole, and no secret is in what a decoder reads of it.
func FuzzRedact(f *testing.F) {
	sc := connection(1, 3)
	var seed []byte
	for _, ev := range sc.events {
		for data := ev.Data; len(data) > 0; {
			n := min(len(data), 127)
			seed = append(append(seed, byte(ev.Direction)<<7|byte(n)), data[:n]...)
			data = data[n:]
		}
	}
	f.Add(true, seed)
	f.Add(false, seed[len(seed)/2:])
	f.Fuzz(func(t *testing.T, fresh bool, in []byte) {
		events := []capture.Event{{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: fresh}}}
		var pos, lost [2]uint64
		for len(in) > 0 {
			d, n := capture.Direction(in[0]>>7), uint64(in[0]&0x7f)
			in = in[1:]
			ev := capture.Event{Kind: capture.Data, Conn: 1, Direction: d, Offset: pos[d], Length: n, Data: in[:min(n, uint64(len(in)))]}
			in = in[len(ev.Data):]
			if n == 0 {
				ev.Kind, ev.Length = capture.Lost, 5
				lost[d] += 5
			}
			pos[d] += ev.Length
			events = append(events, ev)
		}
		events = append(events, capture.Event{Kind: capture.Close, Conn: 1})
		out := redacted(t, events, Options{})
		var got, gone [2]uint64
		for _, ev := range out {
			if ev.Kind != capture.Data && ev.Kind != capture.Lost {
				continue
			}
			if ev.Offset != got[ev.Direction] || ev.Length == 0 {
				t.Fatalf("%v: %d octets at %d, want %d", ev.Direction, ev.Length, ev.Offset, got[ev.Direction])
			}
			got[ev.Direction] += ev.Length
			if ev.Kind == capture.Lost {
				gone[ev.Direction] += ev.Length
			}
		}
		if got != pos || gone != lost {
			t.Fatalf("%v octets came out of %v, %v lost of %v", got, pos, gone, lost)
		}
		secretless := New(nil, Options{})
		for _, r := range rows(out) {
			// Zeroes stand for octets that are missing.
			if r.Kind == decode.RowFrame && r.Header.Type == http2.FrameData && len(bytes.TrimRight(r.Payload, "\x00")) > padLength(&r) {
				t.Fatalf("content is shown: %+v", r)
			}
			for i := range r.Fields {
				f := &r.Fields[i]
				for _, secret := range secretless.secrets(f) {
					for _, octet := range []byte(f.Value[secret.from:secret.to]) {
						if octet != mask && octet != stand[codeLength(octet)] {
							t.Fatalf("%s: %q is shown", f.Name, f.Value)
						}
					}
				}
			}
		}
	})
}

// padLength is the size of the Pad Length of a DATA frame, octets.
func padLength(r *decode.Row) int {
	if r.Header.Flags.Has(http2.FlagDataPadded) {
		return 1
	}
	return 0
}
