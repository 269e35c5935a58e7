// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// call is what one call moved, in short.
func call(d capture.Direction, data string) capture.Event {
	return capture.Event{Kind: capture.Data, Direction: d, Data: []byte(data)}
}

// laidOut gives calls their positions.
func laidOut(calls ...capture.Event) []capture.Event {
	var pos [2]uint64
	for i := range calls {
		ev := &calls[i]
		if ev.Length == 0 {
			ev.Length = uint64(len(ev.Data))
		}
		ev.Offset = pos[ev.Direction]
		ev.Time = int64(i + 1)
		pos[ev.Direction] += ev.Length
	}
	return calls
}

const (
	settingsHex = "000000 04 00 00000000"
	ackHex      = "000000 04 01 00000000"
	pingHex     = "000008 06 00 00000000 0102030405060708"
)

func octets(hex string) string { return string(unhex(hex)) }

func TestProtocol(t *testing.T) {
	const send, recv = capture.Send, capture.Recv
	settings, ack, ping := octets(settingsHex), octets(ackHex), octets(pingHex)
	request := octets("000003 01 05 00000003 828684")
	response := octets("000001 01 05 00000003 88")
	for _, c := range []struct {
		name   string
		fresh  bool
		calls  []capture.Event
		want   Protocol
		role   capture.Role
		frames int
		gap    uint64
	}{
		{"preface sent", true, laidOut(call(send, http2.ClientPreface+settings)), HTTP2, capture.Client, 1, 0},
		{"preface received", true, laidOut(call(recv, http2.ClientPreface+settings)), HTTP2, capture.Server, 1, 0},
		{"preface, not fresh", false, laidOut(call(recv, http2.ClientPreface+settings)), HTTP2, capture.Server, 1, 0},
		{"server speaks first", true, laidOut(call(send, settings)), HTTP2, capture.RoleUnknown, 1, 0},
		{"server speaks first, then its client", true, laidOut(call(send, settings), call(recv, http2.ClientPreface), call(recv, settings)), HTTP2, capture.Server, 2, 0},
		{"preface in two", true, laidOut(call(recv, "PRI * HT"), call(send, settings), call(recv, "TP/2.0\r\n\r\nSM\r\n\r\n"+settings)), HTTP2, capture.Server, 2, 0},
		{"a wrong preface", true, laidOut(call(recv, "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"+settings), call(send, settings)), HTTP2, capture.RoleUnknown, 1, 33},
		{"a server that begins wrongly", true, laidOut(call(send, http2.ClientPreface+settings), call(recv, ping)), HTTP2, capture.Client, 2, 0},
		{"late, request alone in its call", false, laidOut(call(send, request)), HTTP2, capture.Client, 1, 0},
		{"late, response alone in its call", false, laidOut(call(send, response)), HTTP2, capture.Server, 1, 0},
		{"late, acknowledgement alone", false, laidOut(call(recv, ack)), HTTP2, capture.RoleUnknown, 1, 0},
		{"late, in a frame, two behind it", false, laidOut(call(recv, "rest of it"+request+ping), call(recv, ping)), HTTP2, capture.Server, 3, 10},
		{"HTTP/1 request", true, laidOut(call(recv, "GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n"), call(recv, settings+ack)), HTTP1, capture.Server, 0, 0},
		{"HTTP/1 request in pieces", true, laidOut(call(send, "PO"), call(send, "ST /a HTT"), call(send, "P/1.1\r\n")), HTTP1, capture.Client, 0, 0},
		{"HTTP/1 response, late", false, laidOut(call(recv, "and the rest of it"), call(send, "HTTP/1.1 200 OK\r\n\r\n")), HTTP1, capture.Server, 0, 0},
		{"HTTP/1 request, late", false, laidOut(call(recv, "body body body"), call(recv, "DELETE / HTTP/1.1\r\n\r\n")), HTTP1, capture.Server, 0, 0},
		{"a mail server", true, laidOut(call(recv, "220 mail ready\r\n"), call(send, "EHLO me\r\n")), OtherProtocol, capture.RoleUnknown, 0, 0},
		{"nothing", true, nil, Undecided, capture.RoleUnknown, 0, 0},
		{"a request line without end", true, laidOut(call(send, "GET /"+strings.Repeat("a", 70000))), OtherProtocol, capture.RoleUnknown, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			col, conn := decodeAll(c.fresh, c.calls)
			if conn.Protocol() != c.want || conn.Role() != c.role {
				t.Errorf("%v, %v; want %v, %v", conn.Protocol(), conn.Role(), c.want, c.role)
			}
			gap := uint64(0)
			for _, r := range col.rows {
				gap += r.GapBytes
			}
			if n := len(col.frames()); n != c.frames || gap != c.gap {
				t.Errorf("%d frames, want %d; %d octets in gaps, want %d", n, c.frames, gap, c.gap)
			}
		})
	}
}

// TestRoleTold keeps the role that the source gives until the plaintext tells.
func TestRoleTold(t *testing.T) {
	c := NewConn(1)
	ignore := func(*Row) {}
	c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Role: capture.Server}}, ignore)
	if c.Role() != capture.Server {
		t.Errorf("as told: %v", c.Role())
	}
	b := unhex("000003 01 05 00000003 828684")
	c.Feed(&capture.Event{Kind: capture.Data, Direction: capture.Send, Data: b, Length: uint64(len(b))}, ignore)
	if c.Role() != capture.Client {
		t.Errorf("sends a request: %v", c.Role())
	}
}

// TestNotHTTP2 feeds what is no HTTP/2 in calls of random sizes: it is never
// taken for it.
func TestNotHTTP2(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for _, kind := range []struct {
		name string
		make func() []byte
	}{
		{"random", func() []byte { return randomOctets(rng, 1+rng.IntN(5000)) }},
		{"TLS records", func() []byte {
			n := 1 + rng.IntN(3000)
			return append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, randomOctets(rng, n)...)
		}},
		{"zeroes and small numbers", func() []byte {
			b := make([]byte, 1+rng.IntN(2000))
			for i := range b {
				if rng.IntN(4) == 0 {
					b[i] = byte(rng.IntN(10))
				}
			}
			return b
		}},
		{"length-prefixed", func() []byte {
			n := 1 + rng.IntN(300)
			return append([]byte{0, 0, byte(n >> 8), byte(n)}, bytes.Repeat([]byte{byte(rng.IntN(4))}, n)...)
		}},
		{"text", func() []byte {
			return []byte(strings.Repeat(fmt.Sprintln("a line of text", rng.IntN(99)), 1+rng.IntN(40)))
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for i := range 150 {
				var calls []capture.Event
				for range 40 {
					calls = append(calls, call(capture.Direction(rng.IntN(2)), string(kind.make())))
				}
				if col, c := decodeAll(i%2 == 0, laidOut(calls...)); c.Protocol() == HTTP2 {
					t.Fatalf("run %d: %v: %+v", i, c.Protocol(), col.rows[1].Header)
				}
			}
		})
	}
}

// TestUndecidedIsBounded feeds a connection that never shows what it is.
func TestUndecidedIsBounded(t *testing.T) {
	c := NewConn(1)
	ignore := func(*Row) {}
	rng := rand.New(rand.NewPCG(1, 3))
	pos := uint64(0)
	for range 200 {
		b := randomOctets(rng, 30_000)
		c.Feed(&capture.Event{Kind: capture.Data, Offset: pos, Length: uint64(len(b)), Data: b}, ignore)
		pos += uint64(len(b))
		if n := cap(c.dirs[0].win.buf); n > 4*windowSize {
			t.Fatalf("%d octets held", n)
		}
	}
	if c.Protocol() != OtherProtocol {
		t.Errorf("after %d octets: %v", pos, c.Protocol())
	}
}

// TestLatePrefaceProves has a server's first octets before the preface: from
// then on its table is known.
func TestLatePrefaceProves(t *testing.T) {
	settings := octets(settingsHex)
	for _, c := range []struct {
		name  string
		first string
		want  *FrameError // of a reference to an entry that there is not
	}{
		{"SETTINGS first", settings, errHpackIndex},
		{"PING first", octets(pingHex), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			col, _ := decodeAll(false, laidOut(
				call(capture.Send, c.first),
				call(capture.Recv, http2.ClientPreface+settings),
				call(capture.Send, octets("000001 01 05 00000001 be")),
			))
			f := col.frames()
			if last := f[len(f)-1]; last.Err != c.want || c.want == nil && last.Fields[0].Trust != UnknownSinceAttach {
				t.Errorf("%v, %+v", last.Err, last.Fields)
			}
		})
	}
}

// TestLoneSettingsProveNothing attaches where a program sends SETTINGS in
// mid-connection.
func TestLoneSettingsProveNothing(t *testing.T) {
	col, c := decodeAll(false, laidOut(
		call(capture.Send, octets(settingsHex)),
		call(capture.Send, octets("000001 01 05 00000001 be")),
	))
	f := col.frames()
	if len(f) != 2 || c.Protocol() != HTTP2 || f[1].Err != nil || f[1].Fields[0].Trust != UnknownSinceAttach {
		t.Errorf("%+v", f)
	}
}
