// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"math"
	"slices"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// heldCases has for each code that rests on what was not seen of the other side
// what raises it. The side that sends last is to blame.
var heldCases = []struct {
	code           string
	client, server []http2.Setting
	raise          func(*script)
}{
	{code: "frame-on-idle-stream", raise: func(s *script) { s.server(s.ok(3)) }},
	{code: "frame-on-idle-stream", raise: func(s *script) { s.server(update(3, 1)) }},
	{code: "frame-on-idle-stream", raise: func(s *script) { s.client(update(2, 1)) }},
	{code: "flow-control-exceeded", raise: func(s *script) {
		s.client(s.post(1) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384))
	}},
	{code: "flow-control-exceeded", server: set(http2.SettingInitialWindowSize, 10),
		raise: func(s *script) { s.client(s.post(1) + data(1, 0, 11)) }},
	{code: "window-overflow", raise: func(s *script) { s.client(update(0, math.MaxInt32-65535+1)) }},
	{code: "too-many-streams", server: set(http2.SettingMaxConcurrentStreams, 1),
		raise: func(s *script) { s.client(s.get(1) + s.get(3)) }},
	{code: "push-disabled", client: set(http2.SettingEnablePush, 0),
		raise: func(s *script) { s.client(s.get(1)); s.server(s.promise(1, 2)) }},
	{code: "frame-too-large", raise: func(s *script) { s.client(s.post(1) + data(1, 0, 16385)) }},
	{code: "field-block-invalid", raise: func(s *script) {
		s.client(frame(http2.FrameHeaders, endHeaders|endStream, 1, "\x3f\xe1\x3f"+s.fields(requestNV...)))
	}},
	{code: "content-length-mismatch", raise: func(s *script) {
		s.client(s.get(1))
		s.server(s.headers(1, endStream, ":status", "200", "content-length", "5"))
	}},
	{code: "header-list-too-large", server: set(http2.SettingMaxHeaderListSize, 100), raise: func(s *script) { s.client(s.get(1)) }},
	{code: "settings-ack-unexpected", raise: func(s *script) { s.client(ack) }},
}

// TestHeld: what rests on something not seen comes out when the other side's
// next frame shows that nothing was lost, not when it shows a loss, and at the
// end as no more than a warning.
func TestHeld(t *testing.T) {
	highest := make(map[string]decode.Severity)
	for _, r := range rules[1:] {
		highest[r.Code] = r.Severity
	}
	for _, c := range heldCases {
		for _, role := range roles {
			t.Run(c.code+"/"+role.String(), func(t *testing.T) {
				raised := func() (*script, uint64) {
					s := newScript(t, role, c.client, c.server)
					c.raise(s)
					if d := s.has(c.code); d != nil {
						t.Fatalf("not held: %+v", *d)
					}
					return s, s.seq
				}
				s, seq := raised()
				s.answer()
				if d := s.has(c.code); d == nil || d.Severity != highest[c.code] || d.Seq != seq || d.Direction != s.last.Reverse() {
					t.Errorf("after a frame of the other side: %+v", d)
				}
				for what, lost := range map[string]bool{"told": true, "not told": false} {
					s, _ = raised()
					other := s.last.Reverse()
					if lost {
						s.lose(other == s.dir(true), 13)
					} else {
						s.pos[other] += 13
					}
					s.send(other, pingFrame)
					s.close()
					if d := s.has(c.code); d != nil {
						t.Errorf("after a loss that was %s: %+v", what, *d)
					}
				}
				s, _ = raised()
				s.close()
				if d := s.has(c.code); d == nil || d.Severity != decode.Warning || !strings.HasSuffix(d.Text, unconfirmed) || d.Seq != seq {
					t.Errorf("at the end: %+v", d)
				}
			})
		}
	}
}

// TestHeldIsBounded: beyond the bound the oldest comes out as a warning.
func TestHeldIsBounded(t *testing.T) {
	s := newScript(t, capture.Client, nil, nil)
	for range maxHeld + 3 {
		s.server(s.ok(3))
	}
	if n := len(s.track.sides[capture.Send].held); n != maxHeld {
		t.Errorf("%d are held", n)
	}
	if len(s.got) != 3 || slices.ContainsFunc(s.got, func(d Diagnosis) bool { return d.Severity != decode.Warning }) {
		t.Errorf("came out: %+v", s.got)
	}
	for i := 1; i < len(s.got); i++ {
		if s.got[i].Seq <= s.got[i-1].Seq {
			t.Errorf("order: %+v", s.got)
		}
	}
}
