// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"strings"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// brokenByHeader are frames of which the header alone breaks a rule, behind what
// the client has sent.
var brokenByHeader = []struct {
	name   string
	before string // behind the preface, in hexadecimal
	header string
	code   http2.ErrCode
}{
	{"DATA longer than allowed", settingsHex, "004001 00 00 00000001", http2.ErrCodeFrameSize},
	{"unknown type longer than allowed", settingsHex, "004001 2a 00 00000000", http2.ErrCodeFrameSize},
	{"HEADERS longer than allowed", settingsHex, "ffffff 01 05 00000001", http2.ErrCodeFrameSize},
	{"SETTINGS not a multiple of 6", settingsHex, "000007 04 00 00000000", http2.ErrCodeFrameSize},
	{"SETTINGS acknowledgement with payload", settingsHex, "000006 04 01 00000000", http2.ErrCodeFrameSize},
	{"SETTINGS on a stream", settingsHex, "000006 04 00 00000001", http2.ErrCodeProtocol},
	{"PING of 6", settingsHex, "000006 06 00 00000000", http2.ErrCodeFrameSize},
	{"PING of 9", settingsHex, "000009 06 00 00000000", http2.ErrCodeFrameSize},
	{"WINDOW_UPDATE of 3", settingsHex, "000003 08 00 00000000", http2.ErrCodeFrameSize},
	{"RST_STREAM of 5", settingsHex, "000005 03 00 00000001", http2.ErrCodeFrameSize},
	{"PRIORITY of 4", settingsHex, "000004 02 00 00000001", http2.ErrCodeFrameSize},
	{"GOAWAY of 7", settingsHex, "000007 07 00 00000000", http2.ErrCodeFrameSize},
	{"DATA on stream 0", settingsHex, "000008 00 00 00000000", http2.ErrCodeProtocol},
	{"DATA inside a field block", settingsHex + "000001 01 00 00000001 82", "000008 00 00 00000001", http2.ErrCodeProtocol},
	{"CONTINUATION of nothing", settingsHex, "000008 09 04 00000001", http2.ErrCodeProtocol},
	{"PUSH_PROMISE of a client", settingsHex, "000008 05 04 00000001", http2.ErrCodeProtocol},
	{"first frame is no SETTINGS", "", "000008 06 00 00000000", http2.ErrCodeProtocol},
}

// TestUnfinishedFrames: a frame of which the rest never comes is malformed by what
// came of it, and says as well that it is not whole.
func TestUnfinishedFrames(t *testing.T) {
	for _, tt := range brokenByHeader {
		t.Run(tt.name, func(t *testing.T) {
			before := http2.ClientPreface + octets(tt.before)
			header := octets(tt.header)
			h := parseHeader([]byte(header))
			for rest := range 3 {
				for what, last := range map[string]capture.Event{
					"copied":     call(capture.Send, header+strings.Repeat("\x00", rest)),
					"not copied": short(capture.Send, header, uint64(rest)),
				} {
					for _, closed := range []bool{true, false} {
						f := lastFrame(t, closed, call(capture.Send, before), call(capture.Recv, octets(settingsHex)), last)
						why := errCaptureEnded
						if closed {
							why = errConnectionEnded
						}
						if f.Header != h || f.Err == nil || f.Err.Code != tt.code || !f.Err.Unfinished || !strings.HasSuffix(f.Err.Reason, why.Reason) {
							t.Errorf("%d octets %s, closed %v: %+v %v", rest, what, closed, f.Header, f.Err)
						}
					}
				}
			}
		})
	}
}

// lastFrame decodes a connection that was seen from its start, and gives its last
// frame.
func lastFrame(t *testing.T, closed bool, calls ...capture.Event) seen {
	t.Helper()
	var col collector
	c := NewConn(1)
	c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: true}}, col.emit)
	for _, ev := range laidOut(calls...) {
		c.Feed(&ev, col.emit)
	}
	if closed {
		c.Feed(&capture.Event{Kind: capture.Close}, col.emit)
	}
	n := len(col.rows)
	c.End(col.emit)
	if closed && len(col.rows) != n {
		t.Fatal("rows behind the end of the connection")
	}
	frames := col.frames()
	if len(frames) == 0 {
		t.Fatal("no frame")
	}
	return frames[len(frames)-1]
}

// TestUnfinishedIsNoFault: nothing is wrong with a frame that was only cut.
func TestUnfinishedIsNoFault(t *testing.T) {
	before := call(capture.Send, http2.ClientPreface+octets(settingsHex))
	for _, header := range []string{
		"004000 00 00 00000001", "000006 04 00 00000000", "000008 06 00 00000000", "000004 08 00 00000000", "000010 01 04 00000001",
	} {
		f := lastFrame(t, true, before, call(capture.Recv, octets(settingsHex)), call(capture.Send, octets(header)))
		if f.Err == nil || *f.Err != *errConnectionEnded {
			t.Errorf("%s: %v", header, f.Err)
		}
	}
	// Whether the peer's SETTINGS allow it is not known.
	f := lastFrame(t, true, before, hole(capture.Recv, 15), call(capture.Send, octets("004001 00 00 00000001")))
	if f.Err == nil || *f.Err != *errConnectionEnded {
		t.Errorf("after a loss: %v", f.Err)
	}
}

// TestOvertaken: a frame tells whether the other direction went on while it came.
func TestOvertaken(t *testing.T) {
	const send, recv = capture.Send, capture.Recv
	ping := octets(pingHex)
	begin := []capture.Event{call(send, http2.ClientPreface+octets(settingsHex)), call(recv, octets(settingsHex))}
	for _, tt := range []struct {
		name  string
		calls []capture.Event
		want  bool
	}{
		{"at once", []capture.Event{call(send, ping)}, false},
		{"answer behind it", []capture.Event{call(send, ping), call(recv, ping)}, false},
		{"answer behind its header", []capture.Event{call(send, ping[:9]), call(recv, ping), call(send, ping[9:])}, true},
		{"answer inside its header", []capture.Event{call(send, ping[:8]), call(recv, ping), call(send, ping[8:])}, false},
		{"answer behind a loss", []capture.Event{call(send, ping[:9]), hole(recv, 17), call(recv, strings.Repeat(ping, 9)), call(send, ping[9:])}, false},
		{"cut", []capture.Event{call(send, ping[:9]), call(recv, ping)}, true},
		{"cut at once", []capture.Event{call(send, ping[:9])}, false},
	} {
		var got bool
		col, _ := decodeAll(true, laidOut(append(begin[:2:2], tt.calls...)...))
		for _, f := range col.frames() {
			if f.Direction == send {
				got = f.Overtaken
			}
		}
		if got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
