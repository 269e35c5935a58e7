// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// truth is a frame as its sender made it.
type truth struct {
	dir       capture.Direction
	offset    uint64 // of its header in the direction's octets
	header    FrameHeader
	payload   []byte
	fields    []hpack.HeaderField
	hasFields bool
}

// traffic is a generated connection, seen from its client: what was sent in
// both directions, call by call, and the frames in it.
type traffic struct {
	calls  []capture.Event // Data events of Conn 1, in order
	frames []truth         // of both directions; each direction's are in order
}

func (tr *traffic) octets(d capture.Direction) []byte {
	var b []byte
	for _, ev := range tr.calls {
		if ev.Direction == d {
			b = append(b, ev.Data...)
		}
	}
	return b
}

func (tr *traffic) of(d capture.Direction) []truth {
	var out []truth
	for _, f := range tr.frames {
		if f.dir == d {
			out = append(out, f)
		}
	}
	return out
}

// side makes the octets of one direction with x/net's framer and encoder.
type side struct {
	tr    *traffic
	dir   capture.Direction
	out   bytes.Buffer // octets not yet in a call
	fr    *http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	pos   uint64 // of the next frame
	start uint64 // of out
	table uint32
}

func newSide(tr *traffic, d capture.Direction) *side {
	s := &side{tr: tr, dir: d, table: initialTableSize}
	s.fr = http2.NewFramer(&s.out, nil)
	s.fr.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.block)
	s.enc.SetMaxDynamicTableSizeLimit(1 << 16)
	return s
}

// wrote notes the frame that was just written, as the last octets of out.
func (s *side) wrote(fields []hpack.HeaderField, has bool) {
	b := s.out.Bytes()[s.pos-s.start:]
	h := parseHeader(b)
	s.tr.frames = append(s.tr.frames, truth{s.dir, s.pos, h, bytes.Clone(b[frameHeaderSize:]), fields, has})
	s.pos += uint64(len(b))
}

func (s *side) preface() {
	s.out.WriteString(http2.ClientPreface)
	s.pos += uint64(len(http2.ClientPreface))
}

func (s *side) encode(fields []hpack.HeaderField) []byte {
	s.block.Reset()
	for _, f := range fields {
		if err := s.enc.WriteField(f); err != nil {
			panic(err)
		}
	}
	return bytes.Clone(s.block.Bytes())
}

// call moves n of the octets written so far.
func (s *side) call(n int) {
	if n = min(n, s.out.Len()); n == 0 {
		return
	}
	data := bytes.Clone(s.out.Next(n))
	t := int64(1000 + len(s.tr.calls))
	s.tr.calls = append(s.tr.calls, capture.Event{Kind: capture.Data, Direction: s.dir, Conn: 1, TID: 7,
		Time: t, Offset: s.start, Length: uint64(n), Data: data})
	s.start += uint64(n)
}

func (s *side) flush() { s.call(s.out.Len()) }

// flushSome moves what was written in one to three calls.
func (s *side) flushSome(rng *rand.Rand) {
	if rng.IntN(4) == 0 {
		s.call(1 + rng.IntN(1+s.out.Len()))
	}
	s.flush()
}

// headers writes a field section, now and then with padding, priority and
// CONTINUATION frames.
func (s *side) headers(rng *rand.Rand, stream uint32, fields []hpack.HeaderField, endStream bool) {
	block := s.encode(fields)
	p := http2.HeadersFrameParam{StreamID: stream, EndStream: endStream, EndHeaders: true, BlockFragment: block}
	if rng.IntN(8) == 0 {
		p.PadLength = uint8(1 + rng.IntN(20))
	}
	if rng.IntN(8) == 0 {
		p.Priority = http2.PriorityParam{StreamDep: 3, Weight: 15, Exclusive: rng.IntN(2) == 0}
	}
	var rest [][]byte
	if rng.IntN(6) == 0 && len(block) > 4 {
		a := 1 + rng.IntN(len(block)-1)
		p.BlockFragment = block[:a]
		p.EndHeaders = false
		rest = append(rest, block[a:])
		if len(rest[0]) > 4 && rng.IntN(2) == 0 {
			b := 1 + rng.IntN(len(rest[0])-1)
			rest = [][]byte{rest[0][:b], rest[0][b:]}
		}
	}
	must(s.fr.WriteHeaders(p))
	s.wroteBlock(fields, rest, stream)
}

func (s *side) wroteBlock(fields []hpack.HeaderField, rest [][]byte, stream uint32) {
	if len(rest) == 0 {
		s.wrote(fields, true)
		return
	}
	s.wrote(nil, false)
	for i, f := range rest {
		last := i == len(rest)-1
		must(s.fr.WriteContinuation(stream, last, f))
		if last {
			s.wrote(fields, true)
		} else {
			s.wrote(nil, false)
		}
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func requestFields(rng *rand.Rand, i int) []hpack.HeaderField {
	f := []hpack.HeaderField{
		{Name: ":method", Value: []string{"GET", "POST", "PUT"}[rng.IntN(3)]},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: fmt.Sprintf("host%d.example", rng.IntN(3))},
		{Name: ":path", Value: fmt.Sprintf("/item/%d?q=%d", rng.IntN(6), i)},
		{Name: "user-agent", Value: "test/1.0"},
		{Name: "x-custom-" + string(rune('a'+rng.IntN(5))), Value: fmt.Sprint("v", rng.IntN(9))},
	}
	if rng.IntN(3) == 0 {
		f = append(f, hpack.HeaderField{Name: "authorization", Value: fmt.Sprint("secret", rng.IntN(99)), Sensitive: true})
	}
	if rng.IntN(9) == 0 {
		f = append(f, hpack.HeaderField{Name: "x-empty", Value: ""})
	}
	return f
}

func responseFields(rng *rand.Rand, i int) []hpack.HeaderField {
	return []hpack.HeaderField{
		{Name: ":status", Value: []string{"200", "404", "418"}[rng.IntN(3)]},
		{Name: "server", Value: "srv"},
		{Name: "date", Value: fmt.Sprintf("Sun, 22 Nov 2026 21:%02d:00 GMT", i/4%60)},
		{Name: "content-type", Value: []string{"text/html", "application/grpc"}[rng.IntN(2)]},
		{Name: "set-cookie", Value: fmt.Sprint("id=", rng.IntN(1000)), Sensitive: rng.IntN(2) == 0},
	}
}

func randomOctets(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// generate makes a connection of n requests that follows the RFC.
func generate(seed uint64, n int) *traffic {
	rng := rand.New(rand.NewPCG(seed, 1))
	tr := new(traffic)
	cl, sv := newSide(tr, capture.Send), newSide(tr, capture.Recv)
	cl.preface()
	must(cl.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 8192}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	cl.wrote(nil, false)
	must(cl.fr.WriteWindowUpdate(0, 1<<20))
	cl.wrote(nil, false)
	cl.flush()
	must(sv.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100}))
	sv.wrote(nil, false)
	sv.flush()
	must(sv.fr.WriteSettingsAck())
	sv.wrote(nil, false)
	must(cl.fr.WriteSettingsAck())
	cl.wrote(nil, false)
	if seed%3 == 0 {
		sv.enc.SetMaxDynamicTableSize(8192)
	}
	if seed%5 == 0 {
		cl.enc.SetMaxDynamicTableSize(200)
	}
	for i := range n {
		stream := uint32(2*i + 1)
		body := rng.IntN(3) == 0
		cl.headers(rng, stream, requestFields(rng, i), !body)
		if body {
			if rng.IntN(4) == 0 {
				must(cl.fr.WriteDataPadded(stream, true, randomOctets(rng, rng.IntN(40)), make([]byte, 1+rng.IntN(9))))
			} else {
				must(cl.fr.WriteData(stream, true, randomOctets(rng, 1+rng.IntN(60))))
			}
			cl.wrote(nil, false)
		}
		if rng.IntN(7) == 0 {
			must(cl.fr.WritePing(false, [8]byte{1, 2, 3, byte(i)}))
			cl.wrote(nil, false)
		}
		cl.flushSome(rng)
		switch rng.IntN(12) {
		case 0:
			fields := requestFields(rng, i)
			block := sv.encode(fields)
			must(sv.fr.WritePushPromise(http2.PushPromiseParam{StreamID: stream, PromiseID: uint32(2*i + 2), BlockFragment: block, EndHeaders: true}))
			sv.wrote(fields, true)
		case 1:
			must(sv.fr.WriteRawFrame(0x2a, 0x55, stream, []byte("whatever")))
			sv.wrote(nil, false)
		case 2:
			must(cl.fr.WriteRSTStream(stream, http2.ErrCodeCancel))
			cl.wrote(nil, false)
		case 3:
			must(cl.fr.WritePriority(stream, http2.PriorityParam{StreamDep: 0, Weight: 9}))
			cl.wrote(nil, false)
		}
		sv.headers(rng, stream, responseFields(rng, i), false)
		for range rng.IntN(3) {
			must(sv.fr.WriteData(stream, false, randomOctets(rng, 1+rng.IntN(200))))
			sv.wrote(nil, false)
		}
		if rng.IntN(2) == 0 {
			sv.flushSome(rng)
		}
		sv.headers(rng, stream, []hpack.HeaderField{{Name: "grpc-status", Value: fmt.Sprint(rng.IntN(3))}, {Name: "grpc-message", Value: fmt.Sprint("m", i)}}, true)
		sv.flushSome(rng)
		if rng.IntN(2) == 0 {
			must(cl.fr.WriteWindowUpdate(stream, uint32(1+rng.IntN(1000))))
			cl.wrote(nil, false)
			cl.flush()
		}
	}
	must(sv.fr.WriteGoAway(uint32(2*n-1), http2.ErrCodeNo, []byte("bye")))
	sv.wrote(nil, false)
	sv.flush()
	cl.flush()
	return tr
}

// seen is a copy of a row.
type seen struct {
	Row
	offset uint64 // of a frame, as the octets of the rows before it add up
}

// collector keeps copies of the rows and follows their positions.
type collector struct {
	rows []seen
	pos  [2]uint64
}

func (c *collector) emit(r *Row) {
	s := seen{Row: *r, offset: c.pos[r.Direction]}
	s.Payload = bytes.Clone(r.Payload)
	s.Fields = append([]Field(nil), r.Fields...)
	switch r.Kind {
	case RowPreface:
		c.pos[r.Direction] += uint64(len(http2.ClientPreface))
	case RowFrame:
		c.pos[r.Direction] += frameHeaderSize + uint64(r.Header.Length)
	case RowGap:
		if r.GapReason == GapSkipped {
			c.pos[r.Direction] += r.GapBytes
		}
	}
	c.rows = append(c.rows, s)
}

func (c *collector) frames() []seen {
	var out []seen
	for _, r := range c.rows {
		if r.Kind == RowFrame {
			out = append(out, r)
		}
	}
	return out
}

// decodeAll feeds events to a new Conn, between Open and Close.
func decodeAll(fresh bool, events []capture.Event) (*collector, *Conn) {
	c := NewConn(1)
	var col collector
	c.Feed(&capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: fresh}}, col.emit)
	for i := range events {
		c.Feed(&events[i], col.emit)
	}
	c.Feed(&capture.Event{Kind: capture.Close, Conn: 1, Time: 9999}, col.emit)
	return &col, c
}

// sameFields compares fields with the truth. Those that are not exact may lack
// what is unknown, but what they have must be right. It returns how many are
// exact.
func sameFields(t *testing.T, where string, got []Field, want []hpack.HeaderField) int {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d fields, want %d: %v", where, len(got), len(want), got)
	}
	exact := 0
	for i, g := range got {
		w := want[i]
		if g.NameKnown && g.Name != w.Name || g.ValueKnown && g.Value != w.Value || g.Sensitive != w.Sensitive {
			t.Fatalf("%s: field %d is %+v, want %v", where, i, g, w)
		}
		if !g.NameKnown && g.Name != "" || !g.ValueKnown && g.Value != "" || (g.Trust == TrustExact) != (g.NameKnown && g.ValueKnown) {
			t.Fatalf("%s: field %d contradicts itself: %+v", where, i, g)
		}
		if g.Trust == TrustExact {
			exact++
		}
	}
	return exact
}

// sameFrame compares a frame with the truth, whole.
func sameFrame(t *testing.T, where string, got seen, want truth) {
	t.Helper()
	if got.Header != want.header || got.Direction != want.dir {
		t.Fatalf("%s: %v %+v, want %v %+v", where, got.Direction, got.Header, want.dir, want.header)
	}
	if !bytes.Equal(got.Payload, want.payload) || got.Missing != 0 {
		t.Fatalf("%s: payload differs (%d missing)", where, got.Missing)
	}
}
