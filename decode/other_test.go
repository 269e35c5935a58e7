// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"strings"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// TestOtherAnswer: a server that does not speak HTTP/2 answers a client that does.
// However its octets are divided, a row says so, nothing of them becomes a frame,
// and the client's frames are shown.
func TestOtherAnswer(t *testing.T) {
	request := octets("000003 01 05 00000001 828684")
	client := http2.ClientPreface + octets(settingsHex) + request
	page := "<!DOCTYPE HTML>\n<html lang=\"en\"><head></head></html>\n"
	for name, c := range map[string]struct {
		answer string
		want   Protocol
	}{
		"HTTP/1.1":           {"HTTP/1.1 400 Bad Request\r\nServer: x\r\nContent-Length: 3\r\n\r\nno\n", HTTP1},
		"HTTP/1.0":           {"HTTP/1.0 505 HTTP Version Not Supported\r\n\r\n", HTTP1},
		"status line alone":  {"HTTP/1.", HTTP1},
		"HTTP/0.9":           {page, OtherProtocol},
		"text":               {"ERROR: unknown command PRI\r\n", OtherProtocol},
		"upper-case letters": {"HELLO\n", OtherProtocol},
		"SSH":                {"SSH-2.0-OpenSSH_9.2\r\n", OtherProtocol},
		"beginning of text":  {"HTT", OtherProtocol},
		"its echo":           {client, OtherProtocol},
		"TLS alert":          {octets("15 0303 0002 0246"), TLS},
		"TLS 1.0 alert":      {octets("15 0301 0002 0228"), TLS},
		"TLS handshake":      {octets("16 0303 0100 02 0000fc 0303") + strings.Repeat("x", 250), TLS},
		"no TLS":             {octets("15 0403 0002 0228 0000 0000"), OtherProtocol},
	} {
		for _, side := range []capture.Direction{capture.Send, capture.Recv} { // the client's
			check := func(how string, col *collector, conn *Conn) {
				t.Helper()
				where := fmt.Sprintf("%s, the client sends by %v, %s", name, side, how)
				frames, told := 0, 0
				for _, r := range col.rows {
					switch r.Kind {
					case RowFrame:
						if frames++; r.Direction != side || r.Err != nil {
							t.Errorf("%s: %v %+v %v", where, r.Direction, r.Header, r.Err)
						}
					case RowProtocol:
						if told++; r.Protocol != c.want || !r.OneWay || r.Direction != side.Reverse() {
							t.Errorf("%s: %v, %v, one way %v", where, r.Protocol, r.Direction, r.OneWay)
						}
					case RowGap:
						t.Errorf("%s: gap of %d octets (%v)", where, r.GapBytes, r.GapReason)
					}
				}
				if frames != 2 || told != 1 || conn.Protocol() != HTTP2 {
					t.Errorf("%s: %d frames, %d protocol rows, %v", where, frames, told, conn.Protocol())
				}
			}
			asked := call(side, client)
			for cut := range c.answer {
				calls := []capture.Event{asked, call(side.Reverse(), c.answer[cut:])}
				if cut > 0 {
					calls = []capture.Event{asked, call(side.Reverse(), c.answer[:cut]), call(side.Reverse(), c.answer[cut:])}
				}
				col, conn := decodeAll(true, laidOut(calls...))
				check(fmt.Sprintf("cut at %d", cut), col, conn)
			}
			alone := []capture.Event{asked}
			for _, b := range []byte(c.answer) {
				alone = append(alone, call(side.Reverse(), string(rune(b))[:1]))
			}
			if strings.IndexFunc(c.answer, func(r rune) bool { return r > 127 }) < 0 {
				col, conn := decodeAll(true, laidOut(alone...))
				check("octet by octet", col, conn)
			}
			// What is lost of it is not lost of any frame.
			col, conn := decodeAll(true, laidOut(asked, call(side.Reverse(), c.answer), hole(side.Reverse(), 1000), call(side.Reverse(), client)))
			if c.answer != "HTT" {
				check("then a loss", col, conn)
			}
		}
	}
}

// TestOtherAnswerBefore: the answer, or greeting, is seen before the preface.
func TestOtherAnswerBefore(t *testing.T) {
	client := call(capture.Send, http2.ClientPreface+octets(settingsHex))
	col, conn := decodeAll(true, laidOut(call(capture.Recv, "220 mail ready\r\n"), client))
	if got := others(col); len(col.frames()) != 1 || got != "recv not HTTP" || conn.Protocol() != HTTP2 {
		t.Errorf("%d frames, %q, %v", len(col.frames()), got, conn.Protocol())
	}
}

// others are the protocol rows of one direction.
func others(col *collector) string {
	var list []string
	for _, r := range col.rows {
		if r.Kind == RowProtocol && r.OneWay {
			list = append(list, r.Direction.String()+" "+r.Protocol.String())
		}
	}
	return strings.Join(list, ", ")
}

// TestOtherRequest: a client speaks something else to a server that has begun with
// its SETTINGS.
func TestOtherRequest(t *testing.T) {
	settings := octets(settingsHex)
	hello := octets("16 0301 0200 01 0001fc 0303") + strings.Repeat("x", 506)
	for name, c := range map[string]struct {
		request string
		want    string
		gap     uint64
	}{
		"HTTP/1.1":        {"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", "recv HTTP/1.1", 0},
		"TLS":             {hello, "recv TLS", 0},
		"a wrong preface": {"INVALID CONNECTION PREFACE\r\n\r\n", "", 30},
	} {
		for cut := 1; cut < min(len(c.request), 40); cut++ {
			col, conn := decodeAll(true, laidOut(call(capture.Send, settings), call(capture.Recv, c.request[:cut]), call(capture.Recv, c.request[cut:])))
			gap := uint64(0)
			for _, r := range col.rows {
				gap += r.GapBytes
			}
			if got := others(col); got != c.want || gap != c.gap || len(col.frames()) != 1 || conn.Protocol() != HTTP2 {
				t.Errorf("%s cut at %d: %q, %d octets skipped, %d frames, %v", name, cut, got, gap, len(col.frames()), conn.Protocol())
			}
		}
	}
}

// TestOtherAnswerUnsure: where the beginning was not seen a status line tells all
// the same; nothing else does. Where the connection is assumed to be HTTP/2 nothing
// is put aside.
func TestOtherAnswerUnsure(t *testing.T) {
	client := call(capture.Send, http2.ClientPreface+octets(settingsHex))
	status := call(capture.Recv, "HTTP/1.1 400 Bad Request\r\n\r\n")
	for name, c := range map[string]struct {
		calls []capture.Event
		want  string
	}{
		"status line":           {[]capture.Event{client, status}, "recv HTTP/1.1"},
		"text":                  {[]capture.Event{client, call(capture.Recv, "<!DOCTYPE HTML>")}, ""},
		"behind other octets":   {[]capture.Event{client, call(capture.Recv, "\x00\x00\x00\x64"), status}, ""},
		"behind a loss":         {[]capture.Event{client, hole(capture.Recv, 30), status}, ""},
		"without a preface":     {[]capture.Event{call(capture.Send, octets("000003 01 05 00000003 828684")+octets(pingHex)), status}, ""},
		"SETTINGS, then a text": {[]capture.Event{client, call(capture.Recv, octets(settingsHex)), status}, ""},
	} {
		col, conn := decodeAll(false, laidOut(c.calls...))
		if got := others(col); got != c.want || conn.Protocol() != HTTP2 {
			t.Errorf("%s: %q, %v", name, got, conn.Protocol())
		}
	}

	c := NewConn(1)
	c.AssumeHTTP2()
	var col collector
	c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: true}}, col.emit)
	for _, ev := range laidOut(client, status, call(capture.Recv, strings.Repeat(octets(pingHex), 10))) {
		c.Feed(&ev, col.emit)
	}
	c.Feed(&capture.Event{Kind: capture.Close}, col.emit)
	if got := others(&col); got != "" || len(col.frames()) != 11 {
		t.Errorf("assumed: %q, %d frames", got, len(col.frames()))
	}
}
