// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// lasting is what is told a while after the last row.
func (s *script) lasting(after time.Duration) (got []Diagnosis) {
	s.track.Now(int64(time.Hour+s.now+after), func(d *Diagnosis) { got = append(got, *d) })
	return got
}

// A window that is still used up is told of after a second, once, and again when
// it is known for how long.
func TestStillUsedUp(t *testing.T) {
	for _, role := range []capture.Role{capture.Client, capture.Server} {
		for streamID, code := range []string{"connection-window-exhausted", "stream-window-exhausted"} {
			for _, end := range []string{"refilled", "closed", "captured"} {
				s := newScript(t, role, nil, nil)
				s.client(s.get(1) + update(uint32(1-streamID), 1<<20))
				s.server(s.ok(1) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16383))
				seq := s.seq
				if got := s.lasting(900 * time.Millisecond); len(got) > 0 {
					t.Errorf("too early: %+v", got)
				}
				got := s.lasting(5 * time.Second)
				if len(got) != 1 {
					t.Fatalf("%s: %+v", code, got)
				}
				d := got[0]
				if d.Code != code || d.Seq != seq || d.Stream != uint32(streamID) || d.Severity != decode.Warning ||
					d.Since == 0 || d.Till != 0 || d.Again || !strings.Contains(d.Text, "more than 1s, and still is") {
					t.Errorf("%s: %+v", code, d)
				}
				if got := s.lasting(6 * time.Second); len(got) > 0 || s.track.Waits() {
					t.Errorf("%s: told twice: %+v", code, got)
				}
				s.got = nil
				s.wait(7 * time.Second)
				until := ""
				switch end {
				case "refilled":
					s.client(update(uint32(streamID), 1<<20))
				case "closed":
					s.close()
					until = " until the connection ended"
				case "captured":
					s.track.Finish(int64(time.Hour+s.now), func(d *Diagnosis) { s.got = append(s.got, *d) })
					until = " until the end of what was captured"
				}
				last := s.has(code)
				if last == nil || !last.Again || last.Seq != seq || last.Since != d.Since || last.Till-last.Since < int64(7*time.Second) ||
					!strings.Contains(last.Text, "was used up for 7") || !strings.HasSuffix(last.Text, until+".") {
					t.Errorf("%s, %s: %+v", code, end, s.got)
				}
			}
		}
	}
}

// SETTINGS take the windows of several streams: each is told of, for as long as it
// lasts.
func TestLoweredWindows(t *testing.T) {
	for _, told := range []bool{false, true} {
		s := newScript(t, capture.Server, nil, nil)
		s.client(s.get(1) + s.get(3) + s.get(5))
		s.server(s.ok(1) + s.ok(3) + s.ok(5) + data(1, 0, 1000) + data(3, 0, 2000))
		s.client(settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000}))
		s.server(ack)
		seq := s.seq
		if told {
			got := s.lasting(5 * time.Second)
			if len(got) != 2 || got[0].Stream != 1 || got[1].Stream != 3 || got[0].Seq != seq ||
				!strings.Contains(got[0].Text, "has been at 0 or below, lowered by SETTINGS, for more than 1s, and still is") {
				t.Fatalf("%+v", got)
			}
		}
		s.got = nil
		s.wait(200 * time.Millisecond)
		s.client(update(1, 1))
		s.wait(200 * time.Millisecond)
		s.client(update(3, 1001))
		if len(s.got) != 2 {
			t.Fatalf("%+v", s.got)
		}
		for i, d := range s.got {
			if d.Code != "stream-window-exhausted" || d.Seq != seq || d.Stream != []uint32{1, 3}[i] || d.Again != told ||
				d.Severity != decode.Warning || d.Till-d.Since < int64(200*time.Millisecond) ||
				!strings.HasPrefix(d.Text, "The server could send no DATA: the window that the client gives the stream was at 0 or below, lowered by SETTINGS, for 2") && i == 0 {
				t.Errorf("told %v: %+v", told, d)
			}
		}
	}
}

// A stream that begins without a window is told of once its DATA shows that it
// waited, and while it lasts as one that may.
func TestBeginsWithoutWindow(t *testing.T) {
	const begin = "the window that the client gives the stream "
	for _, told := range []bool{false, true} {
		for then, text := range map[string]string{
			"DATA":    "was 0 before any DATA for 491ms; its first DATA followed 1ms later.",
			"nothing": "was 0 before any DATA for 492ms until the connection ended; whether it has DATA to send is not seen.",
			"an end":  "was 0 before any DATA for 491ms; whether it has DATA to send is not seen.",
		} {
			s := newScript(t, capture.Server, []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, nil)
			s.client(s.get(1))
			s.server(s.ok(1))
			seq := s.seq
			if told {
				got := s.lasting(5 * time.Second)
				if len(got) != 1 || got[0].Seq != seq || got[0].Till != 0 || got[0].Text !=
					"The server can send no DATA: "+begin+"has been 0 before any DATA for more than 1s, and still is; whether it has DATA to send is not seen." {
					t.Fatalf("%+v", got)
				}
			}
			s.wait(490 * time.Millisecond)
			switch then {
			case "DATA":
				s.client(update(1, 1000))
				s.server(data(1, 0, 1000))
			case "an end":
				s.client(update(1, 1000))
				s.server(data(1, endStream, 0))
			case "nothing":
				s.client(pingFrame)
			}
			s.close()
			d := s.has("stream-window-exhausted")
			switch {
			case !told && then != "DATA":
				if d != nil {
					t.Errorf("%s: %+v", then, d)
				}
			case d == nil || d.Seq != seq || d.Severity != decode.Warning || d.Again != told || d.Text != "The server could send no DATA: "+begin+text:
				t.Errorf("told %v, %s: %+v", told, then, d)
			}
		}
	}
}

// What is not known any more, since octets were lost, is not said to go on.
func TestUsedUpUntilALoss(t *testing.T) {
	for _, then := range []string{"a frame", "the end", "anew"} {
		s := newScript(t, capture.Server, nil, nil)
		s.client(s.get(1) + s.get(3) + update(1, 1<<20))
		s.server(s.ok(1) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16383))
		if got := s.lasting(2 * time.Second); len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		s.got = nil
		s.wait(3 * time.Second)
		want := "until octets were lost, which may have refilled it."
		switch then {
		case "a frame":
			s.lose(true, 100)
			s.client(pingFrame)
		case "the end":
			s.lose(true, 100)
			s.close()
			want = "until the connection ended, unless octets that were lost refilled it."
		case "anew":
			s.client(http2.ClientPreface)
			want = "until the client began anew."
		}
		got := s.has("connection-window-exhausted")
		if got == nil || !got.Again || got.Till-got.Since < int64(3*time.Second) || !strings.HasSuffix(got.Text, want) {
			t.Errorf("%s: %+v", then, s.got)
		}
		if got := s.lasting(time.Minute); len(got) > 0 {
			t.Errorf("%s: %+v", then, got)
		}
	}
}

// What has octets again, or is over, is not told of.
func TestNotUsedUpAnyMore(t *testing.T) {
	for name, end := range map[string]func(s *script){
		"refilled":     func(s *script) { s.client(update(1, 1)) },
		"reset":        func(s *script) { s.client(rst(1, 8)) },
		"ended":        func(s *script) { s.server(data(1, endStream, 0)) },
		"closed":       func(s *script) { s.close() },
		"octets lost":  func(s *script) { s.lose(true, 100) },
		"never so far": func(s *script) { s.server(data(3, endStream, 1)) },
	} {
		s := newScript(t, capture.Server, nil, nil)
		s.client(s.get(1) + s.get(3) + update(0, 1<<20))
		s.server(s.ok(1) + s.ok(3))
		if name != "never so far" {
			s.server(data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16384) + data(1, 0, 16383))
		}
		end(s)
		if got := s.lasting(time.Minute); len(got) > 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Windows that are used up and refilled leave nothing behind, and of very many
// that are not some are told of.
func TestManyWindowsUsedUp(t *testing.T) {
	s := newScript(t, capture.Server, nil, nil)
	s.client(update(0, 1<<30))
	for i := range uint32(10 * maxEmpty) {
		id := 2*i + 1
		s.client(s.get(id))
		s.server(s.ok(id) + data(id, 0, 16384) + data(id, 0, 16384) + data(id, 0, 16384) + data(id, 0, 16383))
		if i < 8*maxEmpty {
			s.client(update(id, 100))
			s.server(data(id, endStream, 1))
		}
		if n := len(s.track.empty); n > maxEmpty {
			t.Fatalf("%d windows are remembered", n)
		}
	}
	if got := s.lasting(time.Minute); len(got) != maxReports || len(s.track.told) != maxReports {
		t.Errorf("%d are told of, %d remembered", len(got), len(s.track.told))
	}
}
