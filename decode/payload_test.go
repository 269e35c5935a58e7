// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// frameOf cuts a frame given in hex.
func frameOf(s string) (FrameHeader, []byte) {
	b := unhex(s)
	return parseHeader(b), b[frameHeaderSize:]
}

func TestParsePayload(t *testing.T) {
	for _, c := range []struct {
		name, frame, want string
	}{
		{"DATA", "000003 00 01 00000001 616263", `{Data:abc}`},
		{"DATA padded", "000006 00 08 00000001 02 616263 0000", `{HasPad:true PadLength:2 Data:abc}`},
		{"DATA all padding", "000003 00 08 00000001 02 0000", `{HasPad:true PadLength:2}`},
		{"HEADERS", "000001 01 04 00000001 82", `{Fragment:82}`},
		{"HEADERS padded, priority", "000008 01 2c 00000001 01 80000003 ff 82 00", `{HasPad:true PadLength:1 Priority:{true 3 256} Fragment:82}`},
		{"PRIORITY", "000005 02 00 00000005 00000003 00", `{Priority:{false 3 1}}`},
		{"RST_STREAM", "000004 03 00 00000005 00000008", `{ErrorCode:CANCEL}`},
		{"SETTINGS", "00000c 04 00 00000000 0008 00000001 0009 00000001", `{Settings:[{8 1} {9 1}]}`},
		{"SETTINGS acknowledged", "000000 04 01 00000000", `{}`},
		{"PUSH_PROMISE", "000005 05 04 00000001 00000002 82", `{Promised:2 Fragment:82}`},
		{"PING", "000008 06 00 00000000 0102030405060708", `{Ping:0102030405060708}`},
		{"GOAWAY", "00000b 07 00 00000000 80000003 0000000b 627965", `{Last:3 ErrorCode:ENHANCE_YOUR_CALM Debug:bye}`},
		{"WINDOW_UPDATE", "000004 08 00 00000000 80000001", `{Increment:1}`},
		{"CONTINUATION", "000001 09 04 00000001 82", `{Fragment:82}`},
		{"ALTSVC", "00000c 0a 00 00000000 0003 613a62 68323d223a31 22", `{AltSvc:{a:b h2=":1"}}`},
		{"ORIGIN", "00000a 0c 00 00000000 0003 613a62 0003 633a64", `{Origins:[a:b c:d]}`},
		{"PRIORITY_UPDATE", "000007 10 00 00000000 00000005 753d31", `{Prioritized:5 u=1}`},
		{"unknown", "000002 2a ff 00000009 0102", `{Unknown:0102}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, p := frameOf(c.frame)
			if int(h.Length) != len(p) {
				t.Fatalf("the case is wrong: %d octets of %d", len(p), h.Length)
			}
			got, err := ParsePayload(h, p)
			if err != nil {
				t.Fatal(err)
			}
			if s := got.String(); s != c.want {
				t.Errorf("%s, want %s", s, c.want)
			}
			// A payload that is cut short is no reason to panic, and where
			// a value needs what is cut, the caller is told.
			for i := range p {
				short, err := ParsePayload(h, p[:i])
				if fixed := h.Type != http2.FrameData && h.Type != http2.FrameHeaders && h.Type != http2.FrameContinuation &&
					h.Type != http2.FramePushPromise && h.Type != http2.FrameGoAway && h.Type != 0x2a; fixed && err == nil {
					t.Errorf("cut at %d: no error, %s", i, short)
				}
			}
		})
	}
}

// String lists what is set, for tests.
func (p Payload) String() string {
	var parts []string
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(p.HasPad, "HasPad:true PadLength:%d", p.PadLength)
	add(len(p.Data) > 0, "Data:%s", p.Data)
	if p.Priority != nil {
		add(true, "Priority:%v", *p.Priority)
	}
	add(p.PromisedStream != 0, "Promised:%d", p.PromisedStream)
	add(len(p.Fragment) > 0, "Fragment:%x", p.Fragment)
	add(p.LastStream != 0, "Last:%d", p.LastStream)
	add(p.ErrorCode != 0, "ErrorCode:%s", ErrorName(uint32(p.ErrorCode)))
	add(len(p.DebugData) > 0, "Debug:%s", p.DebugData)
	add(len(p.Settings) > 0, "Settings:%v", p.Settings)
	add(p.Ping != [8]byte{}, "Ping:%x", p.Ping)
	add(p.Increment != 0, "Increment:%d", p.Increment)
	add(p.AltSvc != AltSvc{}, "AltSvc:%v", p.AltSvc)
	add(len(p.Origins) > 0, "Origins:%v", p.Origins)
	add(p.PrioritizedStream != 0, "Prioritized:%d %s", p.PrioritizedStream, p.PriorityField)
	add(len(p.Unknown) > 0, "Unknown:%x", p.Unknown)
	out := "{"
	for i, s := range parts {
		if i > 0 {
			out += " "
		}
		out += s
	}
	return out + "}"
}

// TestMalformedFrames gives each rule of RFC 9113, section 6, a frame that
// breaks it, by itself and in a connection, in which the next frame follows.
func TestMalformedFrames(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		code        http2.ErrCode
	}{
		{"DATA on stream 0", "000001 00 00 00000000 61", http2.ErrCodeProtocol},
		{"DATA padded without pad length", "000000 00 08 00000001", http2.ErrCodeFrameSize},
		{"DATA padding as long as the payload", "000002 00 08 00000001 02 00", http2.ErrCodeProtocol},
		{"HEADERS on stream 0", "000001 01 04 00000000 88", http2.ErrCodeProtocol},
		{"HEADERS padding too long", "000002 01 0c 00000001 02 88", http2.ErrCodeProtocol},
		{"HEADERS padded without pad length", "000000 01 0c 00000001", http2.ErrCodeFrameSize},
		{"HEADERS too short for priority", "000004 01 24 00000001 00000003", http2.ErrCodeFrameSize},
		{"HEADERS padding into priority", "000007 01 2c 00000001 02 00000003 0000", http2.ErrCodeProtocol},
		{"PRIORITY on stream 0", "000005 02 00 00000000 00000003 00", http2.ErrCodeProtocol},
		{"PRIORITY of 4 octets", "000004 02 00 00000001 00000003", http2.ErrCodeFrameSize},
		{"RST_STREAM on stream 0", "000004 03 00 00000000 00000008", http2.ErrCodeProtocol},
		{"RST_STREAM of 5 octets", "000005 03 00 00000001 0000000800", http2.ErrCodeFrameSize},
		{"SETTINGS on a stream", "000000 04 00 00000001", http2.ErrCodeProtocol},
		{"SETTINGS of 5 octets", "000005 04 00 00000000 0001000000", http2.ErrCodeFrameSize},
		{"SETTINGS acknowledged with payload", "000006 04 01 00000000 000100000000", http2.ErrCodeFrameSize},
		{"ENABLE_PUSH 2", "000006 04 00 00000000 000200000002", http2.ErrCodeProtocol},
		{"INITIAL_WINDOW_SIZE 2^31", "000006 04 00 00000000 000480000000", http2.ErrCodeFlowControl},
		{"MAX_FRAME_SIZE 16383", "000006 04 00 00000000 000500003fff", http2.ErrCodeProtocol},
		{"MAX_FRAME_SIZE 2^24", "000006 04 00 00000000 000501000000", http2.ErrCodeProtocol},
		{"ENABLE_CONNECT_PROTOCOL 2", "000006 04 00 00000000 000800000002", http2.ErrCodeProtocol},
		{"NO_RFC7540_PRIORITIES 2", "000006 04 00 00000000 000900000002", http2.ErrCodeProtocol},
		{"PUSH_PROMISE on stream 0", "000005 05 04 00000000 00000002 88", http2.ErrCodeProtocol},
		{"PUSH_PROMISE of 3 octets", "000003 05 04 00000001 000000", http2.ErrCodeFrameSize},
		{"PUSH_PROMISE of stream 0", "000005 05 04 00000001 00000000 88", http2.ErrCodeProtocol},
		{"PUSH_PROMISE of an odd stream", "000005 05 04 00000001 00000003 88", http2.ErrCodeProtocol},
		{"PING on a stream", "000008 06 00 00000001 0000000000000000", http2.ErrCodeProtocol},
		{"PING of 7 octets", "000007 06 00 00000000 00000000000000", http2.ErrCodeFrameSize},
		{"GOAWAY on a stream", "000008 07 00 00000001 0000000000000000", http2.ErrCodeProtocol},
		{"GOAWAY of 7 octets", "000007 07 00 00000000 00000000000000", http2.ErrCodeFrameSize},
		{"WINDOW_UPDATE of 0", "000004 08 00 00000001 00000000", http2.ErrCodeProtocol},
		{"WINDOW_UPDATE of 3 octets", "000003 08 00 00000001 000001", http2.ErrCodeFrameSize},
		{"CONTINUATION on stream 0", "000001 09 04 00000000 88", http2.ErrCodeProtocol},
		{"ALTSVC with an origin beyond its end", "000003 0a 00 00000000 0002 61", http2.ErrCodeFrameSize},
		{"ORIGIN with an entry beyond its end", "000003 0c 00 00000000 0002 61", http2.ErrCodeFrameSize},
		{"PRIORITY_UPDATE on a stream", "000004 10 00 00000001 00000003", http2.ErrCodeProtocol},
		{"PRIORITY_UPDATE of stream 0", "000004 10 00 00000000 00000000", http2.ErrCodeProtocol},
		{"PRIORITY_UPDATE of 3 octets", "000003 10 00 00000000 000000", http2.ErrCodeFrameSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, p := frameOf(c.frame)
			if int(h.Length) != len(p) {
				t.Fatalf("the case is wrong: %d octets of %d", len(p), h.Length)
			}
			_, err := ParsePayload(h, p)
			if err == nil || err.Code != c.code {
				t.Errorf("ParsePayload: %v, want %v", err, c.code)
			}
			wire := unhex(c.frame)
			if row := inConnection(t, wire); row.Err == nil || row.Err.Code != c.code || row.Header != h || string(row.Payload) != string(p) {
				t.Errorf("row: %v, %+v", row.Err, row.Header)
			}
			after := append(wire, unhex("000008 06 00 00000000 0102030405060708")...)
			settings := unhex("000000040000000000")
			if rows := rowsOf(t, settings, append(settings, after...)); len(rows) != 4 || rows[3].Err != nil || rows[3].Header.Type != http2.FramePing {
				t.Errorf("the frame behind it: %+v", rows)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for typ, want := range map[http2.FrameType]string{0: "DATA", 1: "HEADERS", 2: "PRIORITY", 3: "RST_STREAM", 4: "SETTINGS",
		5: "PUSH_PROMISE", 6: "PING", 7: "GOAWAY", 8: "WINDOW_UPDATE", 9: "CONTINUATION", 0xa: "ALTSVC", 0xb: "UNKNOWN_0x0b",
		0xc: "ORIGIN", 0x10: "PRIORITY_UPDATE", 0x2a: "UNKNOWN_0x2a"} {
		if got := TypeName(typ); got != want {
			t.Errorf("type 0x%x: %s, want %s", uint8(typ), got, want)
		}
	}
	for _, c := range []struct {
		typ   http2.FrameType
		flags http2.Flags
		want  []string
	}{
		{http2.FrameHeaders, 0x2d, []string{"END_STREAM", "END_HEADERS", "PADDED", "PRIORITY"}},
		{http2.FrameHeaders, 0xd2, []string{"0x2", "0x10", "0x40", "0x80"}},
		{http2.FrameData, 0x0d, []string{"END_STREAM", "0x4", "PADDED"}},
		{http2.FrameSettings, 0x01, []string{"ACK"}},
		{http2.FramePing, 0x41, []string{"ACK", "0x40"}},
		{http2.FramePushPromise, 0x0c, []string{"END_HEADERS", "PADDED"}},
		{http2.FrameContinuation, 0x05, []string{"0x1", "END_HEADERS"}},
		{http2.FrameGoAway, 0x01, []string{"0x1"}},
		{0x2a, 0x01, []string{"0x1"}},
		{http2.FrameData, 0, nil},
	} {
		if got := FlagNames(c.typ, c.flags); !slices.Equal(got, c.want) {
			t.Errorf("%s 0x%x: %q, want %q", TypeName(c.typ), uint8(c.flags), got, c.want)
		}
	}
	for id, want := range map[uint16]string{1: "HEADER_TABLE_SIZE", 2: "ENABLE_PUSH", 3: "MAX_CONCURRENT_STREAMS", 4: "INITIAL_WINDOW_SIZE",
		5: "MAX_FRAME_SIZE", 6: "MAX_HEADER_LIST_SIZE", 8: "ENABLE_CONNECT_PROTOCOL", 9: "NO_RFC7540_PRIORITIES", 7: "UNKNOWN_0x07", 0x1a2b: "UNKNOWN_0x1a2b"} {
		if got := SettingName(id); got != want {
			t.Errorf("setting %d: %s, want %s", id, got, want)
		}
	}
	for code := range uint32(14) {
		if got, want := ErrorName(code), http2.ErrCode(code).String(); got != want {
			t.Errorf("error %d: %s, want %s", code, got, want)
		}
	}
	if got := ErrorName(0xabcd); got != "UNKNOWN_0xabcd" {
		t.Errorf("unknown error: %s", got)
	}
}
