// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"math"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// one begins a connection with default settings.
func one(f func(*script)) func(*testing.T, capture.Role) *script {
	return with(nil, nil, f)
}

func with(client, server []http2.Setting, f func(*script)) func(*testing.T, capture.Role) *script {
	return func(t *testing.T, role capture.Role) *script {
		s := newScript(t, role, client, server)
		f(s)
		s.answer()
		s.close()
		return s
	}
}

// from begins with nothing seen.
func from(fresh bool, f func(*script)) func(*testing.T, capture.Role) *script {
	return func(t *testing.T, role capture.Role) *script {
		s := blank(t, role, fresh)
		f(s)
		s.answer()
		s.close()
		return s
	}
}

func set(id http2.SettingID, v uint32) []http2.Setting { return []http2.Setting{{ID: id, Val: v}} }

// request is a request with fields beside those that it needs.
func request(nv ...string) func(*testing.T, capture.Role) *script {
	return one(func(s *script) { s.client(s.headers(1, endStream, append(requestNV[:8:8], nv...)...)) })
}

func exactly(nv ...string) func(*testing.T, capture.Role) *script {
	return one(func(s *script) { s.client(s.headers(1, endStream, nv...)) })
}

// waits is a download that waits for a window for d, of the stream or the
// connection.
func waits(streamID uint32, d time.Duration) func(*testing.T, capture.Role) *script {
	return one(func(s *script) {
		other := uint32(1)
		if streamID == 1 {
			other = 0
		}
		s.client(s.get(1) + update(other, 1<<20))
		s.server(s.ok(1) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16383))
		s.wait(d)
		s.client(update(streamID, 1<<20))
		s.server(data(1, endStream, 100))
	})
}

func repeat(n int, f func(s *script, i int)) func(*testing.T, capture.Role) *script {
	return one(func(s *script) {
		for i := range n {
			s.now -= 900 * time.Microsecond
			f(s, i)
		}
	})
}

// cases has for each code what raises it, and what nearly does.
var cases = []struct {
	code     string
	name     string
	severity decode.Severity
	raises   func(*testing.T, capture.Role) *script
	near     func(*testing.T, capture.Role) *script
	only     capture.Role // raised only at this end; 0 for both
}{
	{code: "malformed-frame", name: "PING of 7 octets", severity: decode.Error,
		raises: one(func(s *script) { s.client(frame(http2.FramePing, 0, 0, "0123456")) }),
		near:   one(func(s *script) { s.client(pingFrame) })},
	{code: "malformed-frame", name: "WINDOW_UPDATE of 0", severity: decode.Error,
		raises: one(func(s *script) { s.server(update(0, 0)) }),
		near:   one(func(s *script) { s.server(update(0, 1)) })},
	{code: "connection-preface", name: "PING first", severity: decode.Error,
		raises: from(true, func(s *script) { s.client(http2.ClientPreface + pingFrame + settings()) }),
		near:   from(true, func(s *script) { s.client(http2.ClientPreface + settings() + pingFrame) })},
	{code: "connection-preface", name: "other octets", severity: decode.Error,
		raises: from(true, func(s *script) {
			s.server(settings())
			s.client("INVALID CONNECTION PREFACE\r\n\r\n")
			s.server(goAwayFrame(0, http2.ErrCodeProtocol, ""))
		}),
		near: from(false, func(s *script) {
			s.server(settings() + ack)
			s.client("INVALID CONNECTION PREFACE\r\n\r\n")
			s.server(goAwayFrame(0, http2.ErrCodeProtocol, ""))
		})},
	{code: "malformed-frame", name: "padding of a frame that is cut", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(frame(http2.FrameHeaders, http2.FlagHeadersPadded|endHeaders, 1, "\x12"+strings.Repeat("\x82", 16))[:20])
		}),
		near: one(func(s *script) { s.client(s.get(1)[:20]) })},
	{code: "frame-too-large", name: "16385 octets", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + data(1, 0, 16385)) }),
		near:   one(func(s *script) { s.client(s.post(1) + data(1, 0, 16384)) })},
	{code: "frame-too-large", name: "never whole", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + data(1, 0, 16385)[:100]) }),
		near:   one(func(s *script) { s.client(s.post(1) + data(1, 0, 16384)[:100]) })},
	{code: "frame-too-large", name: "whole after the answer", severity: decode.Error,
		raises: one(func(s *script) {
			f := s.post(1) + data(1, 0, 16385)
			s.client(f[:100])
			s.server(goAwayFrame(1, http2.ErrCodeFrameSize, ""))
			s.client(f[100:])
			s.last = s.dir(false) // nothing follows of the server
		}),
		near: one(func(s *script) { s.client(s.post(1) + data(1, 0, 16384)) })},
	{code: "malformed-frame", name: "length of SETTINGS that never came whole", severity: decode.Error,
		raises: one(func(s *script) { s.client(frame(http2.FrameSettings, 0, 0, "1234567")[:9]) }),
		near:   one(func(s *script) { s.client(frame(http2.FrameSettings, 0, 0, "123456")[:9]) })},
	{code: "field-block-interrupted", name: "by a frame that never came whole", severity: decode.Error,
		raises: one(func(s *script) { s.client(frame(http2.FrameHeaders, 0, 1, "\x82") + pingFrame[:12]) }),
		near:   one(func(s *script) { s.client(s.get(1) + pingFrame[:12]) })},
	{code: "flow-control-exceeded", name: "DATA that never came whole", severity: decode.Error,
		raises: with(nil, set(http2.SettingInitialWindowSize, 10), func(s *script) { s.client(s.post(1) + data(1, 0, 11)[:15]) }),
		near:   with(nil, set(http2.SettingInitialWindowSize, 10), func(s *script) { s.client(s.post(1) + data(1, 0, 10)[:15]) })},
	{code: "frame-too-large", name: "more than announced", severity: decode.Error,
		raises: with(nil, set(http2.SettingMaxFrameSize, 20000), func(s *script) { s.client(s.post(1) + data(1, 0, 20001)) }),
		near:   with(nil, set(http2.SettingMaxFrameSize, 20000), func(s *script) { s.client(s.post(1) + data(1, 0, 20000)) })},
	{code: "field-block-invalid", name: "index 0", severity: decode.Error,
		raises: one(func(s *script) { s.client(frame(http2.FrameHeaders, endHeaders|endStream, 1, "\x80")) }),
		near:   one(func(s *script) { s.client(s.get(1)) })},
	{code: "field-block-interrupted", name: "PING between", severity: decode.Error,
		raises: one(func(s *script) {
			b := s.fields(requestNV...)
			s.client(frame(http2.FrameHeaders, endStream, 1, b[:4]) + pingFrame + frame(http2.FrameContinuation, endHeaders, 1, b[4:]))
		}),
		near: one(func(s *script) {
			b := s.fields(requestNV...)
			s.client(frame(http2.FrameHeaders, endStream, 1, b[:4]))
			s.server(pingFrame) // the other direction may
			s.client(frame(http2.FrameContinuation, endHeaders, 1, b[4:]))
		})},
	{code: "field-block-interrupted", name: "CONTINUATION without a block", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1) + frame(http2.FrameContinuation, endHeaders, 1, "")) }),
		near: from(false, func(s *script) {
			s.client(frame(http2.FrameContinuation, endHeaders, 1, "\x82") + s.get(3) + s.get(5) + s.get(7))
		})},
	{code: "frame-on-idle-stream", name: "DATA", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + data(3, 0, 1)) }),
		near:   one(func(s *script) { s.client(s.post(3) + data(3, 0, 1)) })},
	{code: "frame-on-idle-stream", name: "WINDOW_UPDATE, PRIORITY", severity: decode.Error,
		raises: one(func(s *script) { s.client(update(1, 1)) }),
		near: one(func(s *script) {
			s.client(frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x10") + frame(0x10, 0, 0, u32(5)+"u=1") + frame(0x2a, 0, 7, "?"))
		})},
	{code: "frame-on-idle-stream", name: "response", severity: decode.Error,
		raises: one(func(s *script) { s.exchange(1); s.server(s.ok(3)) }),
		near:   from(false, func(s *script) { s.server(s.ok(3) + data(3, 0, 9) + s.ok(5) + data(5, endStream, 9)) })},
	{code: "frame-on-idle-stream", name: "attached late, then a request", severity: decode.Error,
		raises: from(false, func(s *script) { late(s); s.client(data(41, 0, 1)) }),
		near:   from(false, func(s *script) { late(s); s.client(data(19, 0, 1)) })},
	{code: "frame-on-idle-stream", name: "a request may be lost", severity: decode.Error,
		raises: one(func(s *script) { s.exchange(1); s.server(update(3, 1)) }),
		near:   one(func(s *script) { s.exchange(1); s.lose(true, 40); s.server(update(3, 1) + s.ok(3)) })},
	{code: "frame-after-end-stream", name: "DATA", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1) + data(1, 0, 1)) }),
		near:   one(func(s *script) { s.client(s.get(1) + update(1, 1) + rst(1, http2.ErrCodeCancel)) })},
	{code: "frame-after-end-stream", name: "response trailers", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.ok(1) + data(1, endStream, 1) + s.headers(1, endStream, "a", "b"))
		}),
		near: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.ok(1) + data(1, 0, 1) + s.headers(1, endStream, "a", "b"))
			s.client(update(1, 5)) // was on its way
		})},
	{code: "frame-after-reset", name: "DATA after one's own reset", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + rst(1, http2.ErrCodeCancel) + data(1, 0, 1)) }),
		near: one(func(s *script) {
			s.client(s.post(1))
			s.server(rst(1, http2.ErrCodeCancel))
			s.client(data(1, 0, 1) + s.headers(1, endStream, "t", "x") + rst(1, http2.ErrCodeCancel))
		})},
	{code: "frame-after-reset", name: "WINDOW_UPDATE", severity: decode.Warning,
		raises: one(func(s *script) { s.client(s.post(1) + rst(1, http2.ErrCodeCancel) + update(1, 1)) }),
		near: one(func(s *script) {
			s.client(s.post(1) + rst(1, http2.ErrCodeCancel) + update(0, 1) + frame(http2.FramePriority, 0, 1, "\x00\x00\x00\x00\x10"))
		})},
	{code: "frame-not-allowed", name: "DATA on a promised stream", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.promise(1, 2))
			s.client(data(2, 0, 1))
		}),
		near: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.promise(1, 2))
			s.client(update(2, 1) + rst(2, http2.ErrCodeCancel))
			s.server(s.ok(2) + data(2, endStream, 1) + s.ok(1) + data(1, endStream, 1))
		})},
	{code: "frame-not-allowed", name: "a client promises", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + s.promise(1, 2)) }),
		near:   one(func(s *script) { s.client(s.post(1)); s.server(s.promise(1, 2)) })},
	{code: "stream-id-parity", name: "even", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(2)) }),
		near:   one(func(s *script) { s.client(s.get(3)) })},
	{code: "stream-id-decreasing", name: "3 after 5", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(5) + s.get(3)) }),
		near:   one(func(s *script) { s.client(s.post(3) + s.post(5) + s.headers(3, endStream, "trailer", "x")) })},
	{code: "stream-id-decreasing", name: "attached late", severity: decode.Error,
		raises: from(false, func(s *script) { late(s); s.client(s.get(9)) }),
		near:   from(false, func(s *script) { late(s); s.client(s.headers(9, endStream, "trailer", "x")) })},
	{code: "stream-id-reused", name: "request after END_STREAM", severity: decode.Error,
		raises: one(func(s *script) { s.exchange(1); s.client(s.get(1)) }),
		near:   one(func(s *script) { s.exchange(1); s.client(s.get(3)) })},
	{code: "too-many-streams", name: "third of two", severity: decode.Error,
		raises: with(nil, set(http2.SettingMaxConcurrentStreams, 2), func(s *script) { s.client(s.get(1) + s.get(3) + s.get(5)) }),
		near: with(nil, set(http2.SettingMaxConcurrentStreams, 2), func(s *script) {
			s.client(s.get(1) + s.get(3))
			s.server(s.ok(1) + data(1, endStream, 1))
			s.client(s.get(5))
			s.server(rst(3, http2.ErrCodeCancel))
			s.client(s.get(7))
		})},
	{code: "too-many-streams", name: "before it is acknowledged", severity: decode.Error,
		raises: from(true, func(s *script) {
			s.client(http2.ClientPreface + settings())
			s.server(settings(set(http2.SettingMaxConcurrentStreams, 1)...))
			s.client(ack + s.get(1) + s.get(3))
		}),
		near: from(true, func(s *script) {
			s.client(http2.ClientPreface + settings())
			s.server(settings(set(http2.SettingMaxConcurrentStreams, 1)...))
			s.client(s.get(1) + s.get(3) + ack)
		})},
	{code: "push-disabled", name: "acknowledged", severity: decode.Error,
		raises: with(set(http2.SettingEnablePush, 0), nil, func(s *script) { s.client(s.get(1)); s.server(s.promise(1, 2)) }),
		near: one(func(s *script) {
			s.client(s.get(1) + settings(set(http2.SettingEnablePush, 0)...))
			s.server(s.promise(1, 2) + ack)
		})},
	{code: "setting-not-allowed", name: "server allows push", severity: decode.Error,
		raises: with(nil, set(http2.SettingEnablePush, 1), func(*script) {}),
		near:   with(set(http2.SettingEnablePush, 1), set(http2.SettingEnablePush, 0), func(*script) {})},
	{code: "flow-control-exceeded", name: "connection", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.post(1) + update(1, 1) + s.post(3))
			fill(s, 1, 65535)
			s.client(data(3, 0, 1))
		}),
		near: one(func(s *script) {
			s.client(s.post(1) + s.post(3))
			fill(s, 1, 65535)
			s.server(update(0, 1))
			s.client(data(3, 0, 1) + data(3, endStream, 0))
		})},
	{code: "flow-control-exceeded", name: "stream", severity: decode.Error,
		raises: with(nil, set(http2.SettingInitialWindowSize, 10), func(s *script) { s.client(s.post(1) + data(1, 0, 11)) }),
		near:   with(nil, set(http2.SettingInitialWindowSize, 10), func(s *script) { s.client(s.post(1) + data(1, 0, 10)) })},
	{code: "flow-control-exceeded", name: "lowered, acknowledged", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.post(1) + data(1, 0, 100))
			s.server(settings(set(http2.SettingInitialWindowSize, 10)...))
			s.client(ack + data(1, 0, 1))
		}),
		near: one(func(s *script) {
			s.client(s.post(1) + data(1, 0, 100))
			s.server(settings(set(http2.SettingInitialWindowSize, 10)...))
			s.client(data(1, 0, 1) + ack)
		})},
	{code: "flow-control-exceeded", name: "raised, not acknowledged", severity: decode.Error,
		raises: one(func(s *script) {
			s.server(update(0, 1<<20))
			s.client(s.post(1))
			fill(s, 1, 65535)
			s.client(data(1, 0, 1))
		}),
		near: one(func(s *script) {
			s.server(update(0, 1<<20) + settings(set(http2.SettingInitialWindowSize, 65536)...))
			s.client(s.post(1))
			fill(s, 1, 65535)
			s.client(data(1, 0, 1) + ack)
		})},
	{code: "flow-control-exceeded", name: "WINDOW_UPDATE may be lost", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1)); fill(s, 1, 65536) }),
		near:   one(func(s *script) { s.lose(false, 13); s.client(s.post(1)); fill(s, 1, 65536) })},
	{code: "window-overflow", name: "connection", severity: decode.Error,
		raises: one(func(s *script) { s.client(update(0, math.MaxInt32-65535+1)) }),
		near:   one(func(s *script) { s.client(update(0, math.MaxInt32-65535)) })},
	{code: "window-overflow", name: "stream", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1) + update(1, math.MaxInt32)) }),
		near: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.ok(1) + data(1, 0, 10))
			s.client(update(1, math.MaxInt32-65535) + update(1, 10))
		})},
	{code: "goaway-last-stream-increased", name: "1 then 3", severity: decode.Error,
		raises: one(func(s *script) { s.server(goAwayFrame(1, 0, "") + goAwayFrame(3, 0, "")) }),
		near: one(func(s *script) {
			s.server(goAwayFrame(math.MaxInt32, 0, "") + goAwayFrame(3, 0, "") + goAwayFrame(3, 0, ""))
		})},
	{code: "header-name-case", name: "X", severity: decode.Error, raises: request("X-a", "1"), near: request("x-a", "A")},
	{code: "header-name-invalid", name: "space", severity: decode.Error, raises: request("x a", "1"), near: request("x_a!", "1")},
	{code: "header-value-invalid", name: "newline", severity: decode.Error, raises: request("a", "x\ny"), near: request("a", "x\ty")},
	{code: "header-value-invalid", name: "white space", severity: decode.Error, raises: request("a", "x "), near: request("a", "")},
	{code: "connection-specific-header", name: "connection", severity: decode.Error, raises: request("connection", "close"), near: request("connections", "1")},
	{code: "connection-specific-header", name: "te", severity: decode.Error, raises: request("te", "gzip"), near: request("te", "trailers")},
	{code: "pseudo-header-order", name: "behind", severity: decode.Error,
		raises: exactly(":method", "GET", ":scheme", "https", "a", "b", ":path", "/"), near: request("a", "b")},
	{code: "pseudo-header-set", name: "no :path", severity: decode.Error,
		raises: exactly(":method", "GET", ":scheme", "https"), near: exactly(":method", "CONNECT", ":authority", "a:443")},
	{code: "pseudo-header-set", name: "CONNECT with :path", severity: decode.Error,
		raises: exactly(":method", "CONNECT", ":authority", "a:443", ":path", "/"),
		near:   exactly(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/", ":authority", "a")},
	{code: "pseudo-header-set", name: "twice", severity: decode.Error,
		raises: exactly(":method", "GET", ":method", "GET", ":scheme", "https", ":path", "/"), near: request("method", "GET")},
	{code: "pseudo-header-set", name: "unknown", severity: decode.Error, raises: exactly(append([]string{":x", "1"}, requestNV...)...), near: request("x", "1")},
	{code: "pseudo-header-set", name: "empty :path", severity: decode.Error,
		raises: exactly(":method", "GET", ":scheme", "https", ":path", ""), near: exactly(":method", "OPTIONS", ":scheme", "https", ":path", "*")},
	{code: "pseudo-header-set", name: "response without :status", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1)); s.server(s.headers(1, endStream, "server", "x")) }),
		near: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.headers(1, 0, ":status", "103") + s.headers(1, 0, ":status", "103") + s.ok(1) + s.headers(1, endStream, "grpc-status", "0"))
		})},
	{code: "pseudo-header-set", name: "trailers", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + s.headers(1, endStream, ":path", "/")) }),
		near:   one(func(s *script) { s.client(s.post(1) + s.headers(1, endStream, "path", "/")) })},
	{code: "pseudo-header-set", name: "attached late", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1)); s.server(s.headers(1, endStream, "a", "b")) }),
		near: from(false, func(s *script) {
			late(s)
			// Of the table from before the attach: any of them may be :path.
			s.client(frame(http2.FrameHeaders, endStream|endHeaders, 41, "\x82\x87\xc5"))
			s.server(s.headers(11, endStream, "grpc-status", "0"))
		})},
	{code: "data-before-headers", name: "response", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1)); s.server(data(1, 0, 1)) }),
		near: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.headers(1, endHeaders, ":status", "204") + data(1, endStream, 0))
		})},
	{code: "data-before-headers", name: "only 100 Continue", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1)); s.server(s.headers(1, 0, ":status", "100") + data(1, 0, 1)) }),
		near: one(func(s *script) {
			s.client(s.post(1))
			s.server(s.headers(1, 0, ":status", "100") + s.ok(1) + data(1, 0, 1))
		})},
	{code: "trailers-without-end-stream", name: "request", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.post(1) + s.headers(1, 0, "a", "b")) }),
		near:   one(func(s *script) { s.client(s.post(1) + s.headers(1, endStream, "a", "b")) })},
	{code: "interim-response-ends-stream", name: "100", severity: decode.Error,
		raises: one(func(s *script) { s.client(s.get(1)); s.server(s.headers(1, endStream, ":status", "100")) }),
		near:   one(func(s *script) { s.client(s.get(1)); s.server(s.headers(1, endStream, ":status", "204")) })},
	{code: "content-length-mismatch", name: "request", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...) + data(1, endStream, 4))
		}),
		near: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...) +
				frame(http2.FrameData, http2.FlagDataPadded, 1, "\x02abc\x00\x00") + data(1, endStream, 2))
		})},
	{code: "content-length-mismatch", name: "too long before its end", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...) + data(1, 0, 5) + data(1, 0, 1))
			s.server(rst(1, http2.ErrCodeProtocol))
			s.client(data(1, endStream, 1))
		}),
		near: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...) + data(1, 0, 5))
			s.server(rst(1, http2.ErrCodeProtocol))
			s.client(data(1, endStream, 1))
		})},
	{code: "content-length-mismatch", name: "response", severity: decode.Error,
		raises: one(func(s *script) {
			s.client(s.get(1))
			s.server(s.headers(1, endStream, ":status", "200", "content-length", "5"))
		}),
		near: one(func(s *script) {
			s.client(s.headers(1, endStream, ":method", "HEAD", ":scheme", "https", ":path", "/"))
			s.server(s.headers(1, endStream, ":status", "200", "content-length", "5"))
			s.client(s.get(3))
			s.server(s.headers(3, endStream, ":status", "304", "content-length", "5"))
		})},
	{code: "content-length-mismatch", name: "the rest is not wanted", severity: decode.Warning,
		raises: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...))
			s.server(s.headers(1, endStream, ":status", "405"))
			s.client(data(1, endStream, 0))
		}),
		near: one(func(s *script) {
			s.client(s.headers(1, 0, append(requestNV[:8:8], "content-length", "5")...))
			s.server(s.headers(1, endStream, ":status", "405") + rst(1, http2.ErrCodeNo))
			s.client(data(1, endStream, 0))
		})},
	{code: "stream-after-goaway", name: "2 s later", severity: decode.Warning,
		raises: one(func(s *script) { s.server(goAwayFrame(1, 0, "")); s.wait(2 * time.Second); s.client(s.get(3)) }),
		near:   one(func(s *script) { s.server(goAwayFrame(1, 0, "")); s.wait(500 * time.Millisecond); s.client(s.get(3)) })},
	{code: "priority-on-itself", name: "", severity: decode.Warning,
		raises: one(func(s *script) { s.client(frame(http2.FramePriority, 0, 3, "\x00\x00\x00\x03\x10")) }),
		near:   one(func(s *script) { s.client(frame(http2.FramePriority, 0, 3, "\x00\x00\x00\x01\x10")) })},
	{code: "priority-on-itself", name: "HEADERS", severity: decode.Warning,
		raises: one(func(s *script) {
			s.client(frame(http2.FrameHeaders, endHeaders|endStream|http2.FlagHeadersPriority, 3, "\x80\x00\x00\x03\x10"+s.fields(requestNV...)))
		}),
		near: one(func(s *script) {
			s.client(frame(http2.FrameHeaders, endHeaders|endStream|http2.FlagHeadersPriority, 3, "\x80\x00\x00\x01\x10"+s.fields(requestNV...)))
		})},
	{code: "settings-unacknowledged", name: "6 s", severity: decode.Warning,
		raises: one(func(s *script) { s.client(settings()); s.wait(6 * time.Second); s.server(pingFrame) }),
		near:   one(func(s *script) { s.client(settings()); s.wait(4 * time.Second); s.server(ack); s.wait(time.Minute) })},
	{code: "settings-ack-unexpected", name: "twice", severity: decode.Warning,
		raises: one(func(s *script) { s.client(ack) }),
		near:   from(false, func(s *script) { late(s); s.client(ack) })},
	{code: "ping-unacknowledged", name: "11 s", severity: decode.Warning,
		raises: one(func(s *script) { s.client(pingFrame); s.wait(11 * time.Second) }),
		near:   one(func(s *script) { s.client(pingFrame); s.wait(9 * time.Second); s.server(pingAck); s.wait(time.Minute) })},
	{code: "ping-round-trip", name: "", severity: decode.Note, only: capture.Client,
		raises: one(func(s *script) { s.client(pingFrame); s.server(pingAck) }),
		near: one(func(s *script) {
			s.client(pingFrame)
			s.server(frame(http2.FramePing, http2.FlagPingAck, 0, "76543210"))
		})},
	{code: "stream-window-exhausted", name: "200 ms", severity: decode.Warning, raises: waits(1, 200*time.Millisecond), near: waits(1, time.Millisecond)},
	{code: "stream-window-exhausted", name: "50 ms", severity: decode.Note, raises: waits(1, 50*time.Millisecond), near: waits(0, 50*time.Millisecond)},
	{code: "stream-window-exhausted", name: "used up by the last octet", severity: decode.Warning,
		raises: one(func(s *script) { s.client(s.post(1)); fill(s, 1, 65535); s.wait(time.Second) }),
		near: one(func(s *script) {
			s.client(s.post(1))
			fill(s, 1, 65535-9)
			s.client(data(1, endStream, 9))
			s.wait(time.Second)
		})},
	{code: "connection-window-exhausted", name: "200 ms", severity: decode.Warning, raises: waits(0, 200*time.Millisecond), near: waits(0, time.Millisecond)},
	{code: "rst-stream", name: "refused", severity: decode.Warning,
		raises: one(func(s *script) { s.client(s.get(1)); s.server(rst(1, http2.ErrCodeInternal)) }),
		near:   one(func(s *script) { s.exchange(1) })},
	{code: "goaway", name: "with a reason", severity: decode.Warning,
		raises: one(func(s *script) { s.server(goAwayFrame(0, http2.ErrCodeEnhanceYourCalm, "too_many\x1b[2J")) }),
		near:   one(func(s *script) { s.exchange(1) })},
	{code: "rapid-reset", name: "100 within a second", severity: decode.Warning,
		raises: repeat(100, func(s *script, i int) {
			s.client(s.get(uint32(2*i+1)) + rst(uint32(2*i+1), http2.ErrCodeCancel))
		}),
		near: repeat(100, func(s *script, i int) {
			s.wait(10 * time.Millisecond)
			s.client(s.get(uint32(2*i+1)) + rst(uint32(2*i+1), http2.ErrCodeCancel))
		})},
	{code: "rapid-reset", name: "most of the requests", severity: decode.Warning,
		raises: repeat(100, func(s *script, i int) {
			s.client(s.get(uint32(4*i+1)) + s.get(uint32(4*i+3)) + rst(uint32(4*i+1), http2.ErrCodeCancel))
		}),
		near: repeat(150, func(s *script, i int) {
			s.client(s.get(uint32(6*i+1)) + s.get(uint32(6*i+3)) + s.get(uint32(6*i+5)) + rst(uint32(6*i+1), http2.ErrCodeCancel))
		})},
	{code: "rapid-reset", name: "after the response", severity: decode.Warning,
		raises: repeat(100, func(s *script, i int) {
			s.client(s.post(uint32(2*i + 1)))
			s.server(s.ok(uint32(2*i + 1)))
			s.now -= 900 * time.Microsecond
			s.client(rst(uint32(2*i+1), http2.ErrCodeCancel))
		}),
		near: repeat(100, func(s *script, i int) { s.exchange(uint32(2*i + 1)) })},
	{code: "continuation-flood", name: "32", severity: decode.Warning,
		raises: one(func(s *script) {
			s.client(frame(http2.FrameHeaders, 0, 1, "\x82") + strings.Repeat(frame(http2.FrameContinuation, 0, 1, "\x84"), 32))
		}),
		near: one(func(s *script) {
			s.client(frame(http2.FrameHeaders, 0, 1, "\x82") + strings.Repeat(frame(http2.FrameContinuation, 0, 1, "\x84"), 31))
		})},
	{code: "settings-flood", name: "30", severity: decode.Warning,
		raises: repeat(30, func(s *script, _ int) { s.client(settings()); s.server(ack) }),
		near:   repeat(28, func(s *script, _ int) { s.client(settings()); s.server(ack) })},
	{code: "ping-flood", name: "100", severity: decode.Warning,
		raises: repeat(100, func(s *script, _ int) { s.client(pingFrame); s.server(pingAck) }),
		near: repeat(200, func(s *script, i int) { // one a message, as to measure bandwidth
			s.client(s.get(uint32(2*i + 1)))
			s.server(s.ok(uint32(2*i+1)) + data(uint32(2*i+1), endStream, 9) + pingFrame)
			s.client(pingAck)
		})},
	{code: "empty-data-flood", name: "100", severity: decode.Warning,
		raises: one(func(s *script) { s.client(s.post(1) + strings.Repeat(data(1, 0, 0), 100)) }),
		near: repeat(200, func(s *script, i int) {
			s.client(s.post(uint32(2*i+1)) + data(uint32(2*i+1), 0, 0) + data(uint32(2*i+1), endStream, 0))
		})},
	{code: "hpack-bomb", name: "one large entry, many times", severity: decode.Warning,
		raises: one(func(s *script) { s.client(bomb(1, 64)) }),
		near:   one(func(s *script) { s.client(bomb(1, 8)) })},
	{code: "header-list-too-large", name: "", severity: decode.Warning,
		raises: with(nil, set(http2.SettingMaxHeaderListSize, 166), func(s *script) { s.client(s.get(1)) }),
		near:   with(nil, set(http2.SettingMaxHeaderListSize, 167), func(s *script) { s.client(s.get(1)) })},
	{code: "other-protocol", name: "HTTP/1.1 answer", severity: decode.Warning,
		raises: from(true, func(s *script) {
			s.client(http2.ClientPreface + settings() + s.get(1))
			s.server("HTTP/1.1 400 Bad Request\r\n\r\n")
		}),
		near: from(true, func(s *script) {
			s.client(http2.ClientPreface + settings() + s.get(1))
			s.server(settings() + ack + s.ok(1) + data(1, endStream, 3))
		})},
	{code: "other-protocol", name: "HTTP/1.1 request", severity: decode.Warning,
		raises: from(true, func(s *script) {
			s.server(settings())
			s.client("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
		}),
		near: from(true, func(s *script) {
			s.server(settings())
			s.client(http2.ClientPreface + settings())
		})},
	{code: "capture-gap", name: "", severity: decode.Note,
		raises: one(func(s *script) { s.lose(true, 5) }),
		near:   one(func(s *script) { s.exchange(1) })},
}

// late is what is seen after an attach in the middle: requests up to id 39.
func late(s *script) {
	for id := uint32(21); id <= 39; id += 2 {
		s.client(s.get(id))
		s.server(s.ok(id) + data(id, endStream, 1))
	}
}

// fill sends n octets of DATA.
func fill(s *script, id uint32, n int) {
	for n > 0 {
		k := min(n, 16384)
		s.client(data(id, 0, k))
		n -= k
	}
}

// bomb is a request with a field of 3,000 octets that is referred to n times.
func bomb(id uint32, n int) string {
	name := "\x40\x01a\x7f" + "\xb9\x16" + strings.Repeat("x", 3000) // a length of 127+2873
	return frame(http2.FrameHeaders, endStream|endHeaders, id, "\x82\x84\x87"+name+strings.Repeat("\xbe", n))
}
