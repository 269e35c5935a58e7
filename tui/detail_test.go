// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// talkative is a connection with all that the tabs of the detail have to show:
// secrets, JSON, gRPC messages, an image, a window that is used up, findings.
func talkative(tb testing.TB) *traffic {
	tb.Helper()
	t := newTraffic(0)
	k := t.open(capture.ConnInfo{PID: 4711, TID: 4711, Comm: "shop", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Role: capture.Server, Fresh: true})
	k.bind("10.0.0.1:443", "10.0.0.7:51234", capture.Exact)
	k.recv().raw(http2.ClientPreface)
	k.recv().write(func(f *http2.Framer) error {
		return f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 20000})
	})
	k.send().write(func(f *http2.Framer) error { return f.WriteSettings() })
	k.send().write(func(f *http2.Framer) error { return f.WriteSettingsAck() })
	k.recv().write(func(f *http2.Framer) error { return f.WriteSettingsAck() })

	k.recv().headers(1, false, ":method", "POST", ":scheme", "https", ":authority", "shop.example", ":path", "/v1/orders?dry=1",
		"content-type", "application/json", "authorization", "Bearer c2VjcmV0", "cookie", "session=8f2a; theme=dark")
	k.recv().data(1, false, `{"items":[{"sku":"A-1","n":2},{"sku":"B-7","n":1}],`)
	k.recv().data(1, true, `"note":"leave at the door","gift":false}`)
	k.send().headers(1, false, ":status", "200", "content-type", "application/json", "set-cookie", "session=9b1c; HttpOnly")
	for i := range 3 {
		k.send().data(1, false, "["+strings.Repeat("1,", 3000+i))
		t.now += 4e6
	}
	k.send().data(1, false, strings.Repeat("2", 1991))
	t.now += 104e6
	k.recv().write(func(f *http2.Framer) error { return f.WriteWindowUpdate(1, 32768) })
	k.send().data(1, true, "3]")

	k.recv().headers(3, false, ":method", "POST", ":scheme", "https", ":authority", "shop.example", ":path", "/shop.Shop/Sell",
		"content-type", "application/grpc", "te", "trailers")
	k.recv().data(3, true, "\x00\x00\x00\x00\x0b\x0a\x05chair\x10\x0e\x18\x01")
	k.send().headers(3, false, ":status", "200", "content-type", "application/grpc")
	k.send().data(3, false, "\x00\x00\x00\x00\x07\x0a\x05table")
	k.send().data(3, false, "\x00\x00\x00\x00\x06\x0a\x04sofa")
	k.send().headers(3, true, "grpc-status", "5", "grpc-message", "no%20such%20lamp")

	k.recv().headers(5, true, ":method", "GET", ":scheme", "https", ":authority", "shop.example", ":path", "/logo.png")
	k.send().headers(5, false, ":status", "200", "content-type", "image/png")
	k.send().data(5, true, "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x01\x40\x00\x00\x00\xf0\x08\x06\x00\x00\x00")
	k.recv().headers(7, false, ":method", "PUT", ":scheme", "https", ":authority", "shop.example", ":path", "/big")
	k.send().write(func(f *http2.Framer) error { return f.WriteRSTStream(7, http2.ErrCodeRefusedStream) })
	return t
}

// TestGoldenTabs: each tab of the detail, at each size, with and without
// colours.
func TestGoldenTabs(t *testing.T) {
	st := talkative(t).st
	file := Options{Source: "shop.pcapng", Status: func() Status { return Status{Done: true} }}
	screens := []struct {
		name string
		seq  uint64
		keys string
	}{
		{"headers", 8, "4 j j j j j j"},
		{"hex", 8, "4 ] right right right right right right right right right right right down"},
		{"body-json", 9, "] ] 4"},
		{"body-grpc", 21, "] ] 4"},
		{"body-image", 25, "] ] 4"},
		{"body-none", 4, "] ] 4"},
		{"hpack", 11, "h"},
		{"flow", 14, "] ] ] ] 4"},
		{"problems", 15, "[ 4 j"},
		{"waterfall", 8, "1 enter g W"},
		{"waterfall-closer", 8, "1 enter g W + + + right"},
		{"unmasked", 8, "* 4 j j j j j j j"},
	}
	for _, s := range screens {
		for _, size := range [][2]int{{80, 24}, {120, 36}, {200, 60}} {
			for _, colours := range []bool{false, true} {
				name := fmt.Sprintf("tab-%s-%dx%d", s.name, size[0], size[1])
				if colours {
					name += "-colours"
				}
				t.Run(name, func(t *testing.T) {
					o := file
					o.Renderer = renderer(colours)
					m := newScreen(st, size[0], size[1], o)
					m.frames.goTo(m, store.View{}, s.seq, false)
					m.refresh()
					golden(t, name, press(m, s.keys))
				})
			}
		}
	}
}
