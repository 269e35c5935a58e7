// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"h2sniff/capture"
	"h2sniff/decode"
)

// script makes the events of a connection with secrets in it.
type script struct {
	rng     *rand.Rand
	events  []capture.Event
	sides   [2]*side // by direction
	secrets []string
}

// side writes one direction.
type side struct {
	sc    *script
	dir   capture.Direction
	out   bytes.Buffer
	fr    *http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	pos   uint64
}

func newScript(seed uint64) *script {
	sc := &script{rng: rand.New(rand.NewPCG(seed, 9))}
	for d := range sc.sides {
		s := &side{sc: sc, dir: capture.Direction(d)}
		s.fr = http2.NewFramer(&s.out, nil)
		s.fr.AllowIllegalWrites = true
		s.enc = hpack.NewEncoder(&s.block)
		sc.sides[d] = s
	}
	return sc
}

// secret is a string that is nowhere else.
func (sc *script) secret() string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-"
	b := make([]byte, 12+sc.rng.IntN(30))
	for i := range b {
		b[i] = letters[sc.rng.IntN(len(letters))]
	}
	sc.secrets = append(sc.secrets, string(b))
	return string(b)
}

// encode gives a field block. Now and then a secret is a literal that is not
// Huffman-coded, which x/net's encoder never makes of such a string.
func (s *side) encode(fields []hpack.HeaderField) []byte {
	s.block.Reset()
	if s.sc.rng.IntN(6) == 0 {
		s.enc.SetMaxDynamicTableSize([]uint32{0, 200, 4096}[s.sc.rng.IntN(3)])
	}
	for i, f := range fields {
		if i > 0 && s.sc.rng.IntN(4) == 0 && len(f.Value) < 127 && f.Name[0] != ':' && len(f.Name) < 127 {
			if f.Sensitive {
				s.block.WriteByte(0x10) // never indexed
			} else {
				s.block.WriteByte(0) // without indexing
			}
			s.block.WriteByte(byte(len(f.Name)))
			s.block.WriteString(f.Name)
			s.block.WriteByte(byte(len(f.Value)))
			s.block.WriteString(f.Value)
			continue
		}
		must(s.enc.WriteField(f))
	}
	return bytes.Clone(s.block.Bytes())
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *side) headers(stream uint32, end bool, fields []hpack.HeaderField) {
	block := s.encode(fields)
	p := http2.HeadersFrameParam{StreamID: stream, EndStream: end, EndHeaders: true, BlockFragment: block}
	if s.sc.rng.IntN(5) == 0 {
		p.PadLength = uint8(s.sc.rng.IntN(30))
	}
	if s.sc.rng.IntN(5) == 0 {
		p.Priority = http2.PriorityParam{Weight: 7, StreamDep: 1}
	}
	var rest []byte
	if s.sc.rng.IntN(3) == 0 {
		n := s.sc.rng.IntN(len(block))
		p.BlockFragment, rest, p.EndHeaders = block[:n], block[n:], false
	}
	must(s.fr.WriteHeaders(p))
	for len(rest) > 0 {
		n := 1 + s.sc.rng.IntN(len(rest))
		must(s.fr.WriteContinuation(stream, n == len(rest), rest[:n]))
		rest = rest[n:]
	}
}

// flush moves what was written, in calls of random sizes.
func (s *side) flush() {
	for s.out.Len() > 0 {
		n := s.out.Len()
		if s.sc.rng.IntN(3) == 0 {
			n = 1 + s.sc.rng.IntN(n)
		}
		s.sc.events = append(s.sc.events, capture.Event{Kind: capture.Data, Direction: s.dir, Conn: 1, TID: 7,
			Time: int64(1000 + len(s.sc.events)), Offset: s.pos, Length: uint64(n), Data: bytes.Clone(s.out.Next(n))})
		s.pos += uint64(n)
	}
}

// connection makes n requests and their responses, between Open and Close.
func connection(seed uint64, n int) *script {
	sc := newScript(seed)
	sc.events = append(sc.events, capture.Event{Kind: capture.Open, Conn: 1, Time: 1, Info: &capture.ConnInfo{Comm: "test", Fresh: true}})
	cl, sv := sc.sides[capture.Send], sc.sides[capture.Recv]
	cl.out.WriteString(http2.ClientPreface)
	must(cl.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}))
	cl.flush()
	must(sv.fr.WriteSettings())
	must(sv.fr.WriteSettingsAck())
	sv.flush()
	session := sc.secret()
	for i := range n {
		stream := uint32(2*i + 1)
		cl.headers(stream, false, []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":path", Value: fmt.Sprintf("/item/%d?user=%s&n=%s", i, sc.secret(), sc.secret())},
			{Name: ":authority", Value: "example.org"},
			{Name: "cookie", Value: "id=" + session},
			{Name: "authorization", Value: "Bearer " + sc.secret(), Sensitive: sc.rng.IntN(2) == 0},
			{Name: "x-plain", Value: fmt.Sprint("plain-", i%3)},
			{Name: "x-never", Value: sc.secret(), Sensitive: true},
			{Name: "x-api-key", Value: sc.secret()},
		})
		must(cl.fr.WriteDataPadded(stream, true, []byte(sc.secret()), make([]byte, sc.rng.IntN(20))))
		cl.flush()
		sv.headers(stream, false, []hpack.HeaderField{
			{Name: ":status", Value: "200"},
			{Name: "set-cookie", Value: "s=" + sc.secret() + "; Secure"},
			{Name: "location", Value: "https://example.org/#" + sc.secret()},
			{Name: "server", Value: "test"},
		})
		must(sv.fr.WriteData(stream, false, []byte(base64.StdEncoding.EncodeToString([]byte(sc.secret())))))
		if sc.rng.IntN(4) == 0 {
			must(sv.fr.WriteRawFrame(0x4d, 1, stream, []byte(sc.secret())))
		}
		must(sv.fr.WritePing(false, [8]byte{1, 2, byte(i)}))
		sv.headers(stream, true, []hpack.HeaderField{{Name: "grpc-status", Value: "0"}, {Name: "grpc-message", Value: "fine"}})
		sv.flush()
		if sc.rng.IntN(3) == 0 {
			must(cl.fr.WriteWindowUpdate(0, 100))
			cl.flush()
		}
	}
	must(sv.fr.WriteGoAway(uint32(2*n), http2.ErrCodeNo, []byte("bye")))
	sv.flush()
	sc.events = append(sc.events, capture.Event{Kind: capture.Close, Conn: 1, Time: int64(1000 + len(sc.events))})
	return sc
}

// slice is a source of events that are there already.
type slice struct {
	events []capture.Event
	data   []byte // overwritten at the next Read
}

func (s *slice) Read(ev *capture.Event) error {
	for i := range s.data {
		s.data[i] = 0xdd
	}
	if len(s.events) == 0 {
		return io.EOF
	}
	*ev = s.events[0]
	s.data = bytes.Clone(ev.Data)
	ev.Data = s.data
	s.events = s.events[1:]
	return nil
}
func (s *slice) Stats() capture.Stats { return capture.Stats{} }
func (s *slice) Close() error         { return nil }

// redacted reads all events of a Source.
func redacted(t testing.TB, events []capture.Event, o Options) []capture.Event {
	t.Helper()
	s := New(&slice{events: events}, o)
	var out []capture.Event
	for {
		var ev capture.Event
		if err := s.Read(&ev); err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			return out
		}
		ev.Data = bytes.Clone(ev.Data)
		if uint64(len(ev.Data)) > ev.Length {
			t.Fatalf("%d octets of %d", len(ev.Data), ev.Length)
		}
		out = append(out, ev)
	}
}

// rows decodes events and gives copies of the rows.
func rows(events []capture.Event) []decode.Row {
	c := decode.NewConn(1)
	var out []decode.Row
	for i := range events {
		c.Feed(&events[i], func(r *decode.Row) {
			row := *r
			row.Payload = bytes.Clone(r.Payload)
			row.Fields = append([]decode.Field(nil), r.Fields...)
			if r.Table != nil {
				table := *r.Table
				row.Table = &table
			}
			out = append(out, row)
		})
	}
	return out
}

// needles are the forms in which a secret could be in octets: plain, in base64,
// and Huffman-coded, each at every alignment, less its ends.
func needles(secret string) [][]byte {
	out := [][]byte{[]byte(secret)}
	for i := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte("xx"[:i] + secret))
		out = append(out, []byte(b[4:len(b)-4]))
	}
	code := hpack.AppendHuffmanString(nil, secret)
	for shift := range 8 {
		var b []byte
		for i := 1; i+2 < len(code); i++ {
			b = append(b, code[i]<<shift|code[i+1]>>(8-shift))
		}
		out = append(out, b)
	}
	return out
}

// wantNoSecret searches octets for what must not be in them.
func wantNoSecret(t testing.TB, what string, octets []byte, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		for i, n := range needles(secret) {
			if at := bytes.Index(octets, n); at >= 0 {
				t.Fatalf("%s: the secret %q is there, in form %d, at %d", what, secret, i, at)
			}
		}
	}
}
