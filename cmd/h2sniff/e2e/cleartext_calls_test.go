// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/bpf"
)

// cleartextConn is a peer with h2sniff on it and a connection without TLS, on
// which nothing has been sent.
func cleartextConn(t testing.TB) (*peer, *sniff, *farConn) {
	t.Helper()
	p := startPeer(t, peerProgram(t, cleartextPeer))
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	return p, s, listenCleartext(t).connect(p, "open")
}

// TestCleartextCalls: each octet counts once, by whatever system call, in
// however many vectors, it moves.
func TestCleartextCalls(t *testing.T) {
	t.Parallel()
	modes := []string{"send", "write", "vec", "vec2", "msg", "mmsg", "unmapped", "peek", "bytes"}
	var sendOnly []string // what they receive is in TestCleartextUnseen
	if bpf.HaveTCPTracepoints() == nil {
		sendOnly = []string{"mmsg", "ring"}
		modes = append(modes, "ring")
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p, s, conn := cleartextConn(t)
			answer := func(octets []byte) {
				if slices.Contains(sendOnly, mode) {
					p.do("mode send")
					defer p.do("mode %s", mode)
				}
				conn.send(p, octets)
			}
			p.do("mode %s", mode)
			w := newWire()
			w.preface(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
			first := w.take()
			conn.take(p, first)
			w = newWire()
			w.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
			w.WriteSettingsAck()
			settings := w.take()
			answer(settings)
			sent, received := wireFrames(t, first), wireFrames(t, settings)
			for _, size := range []int{1, 100, 5000, 70_000} {
				w.headers(1, false, get("/"+mode)...)
				w.WriteData(1, false, content(size))
				smallFrames(w)
				octets := w.take()
				conn.take(p, octets)
				answer(octets)
				sent = append(sent, wireFrames(t, octets)...)
				received = append(received, wireFrames(t, octets)...)
			}
			p.do("close")
			p.end()
			rows := s.stop()
			wantClean(t, rows)
			wantFrames(t, frames(rows, "", "send"), sent)
			wantFrames(t, frames(rows, "", "recv"), received)
			wantBound(t, rows, conn)
		})
	}
}

// TestCleartextUnseen: octets that no system call shows are a gap of exactly
// their number, or content of DATA that is not there, and decoding goes on
// behind them.
func TestCleartextUnseen(t *testing.T) {
	t.Parallel()
	type unseen struct {
		mode       string
		lost       bool // else known of, but not copied
		send, recv bool
	}
	tests := []unseen{
		{"sendfile", false, true, false},
		{"splice", false, true, true},
		{"trunc", false, false, true},
	}
	if bpf.HaveTCPTracepoints() == nil {
		tests = append(tests, unseen{"ring", false, false, true}, unseen{"mmsg", false, false, true})
	} else {
		tests = append(tests, unseen{"ring", true, true, true})
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			p, s, conn := cleartextConn(t)
			w := newWire()
			w.preface()
			conn.take(p, w.take())
			w.WriteSettings()
			conn.send(p, w.take())
			const size = 10_000
			var behind []wireFrame
			for _, dir := range []string{"send", "recv"} {
				if dir == "send" && !test.send || dir == "recv" && !test.recv {
					continue
				}
				move := conn.send
				if dir == "send" {
					move = func(p *peer, octets []byte) { conn.take(p, octets) }
				}
				w := newWire()
				w.headers(1, false, get("/")...)
				w.WriteData(1, false, content(size))
				octets := w.take()
				p.do("mode send")
				move(p, octets[:len(octets)-size])
				p.do("mode %s", test.mode)
				move(p, octets[len(octets)-size:])
				p.do("mode send")
				smallFrames(w)
				octets = w.take()
				move(p, octets)
				behind = wireFrames(t, octets)
			}
			p.do("close")
			p.end()
			rows := s.stop()
			for _, dir := range []string{"send", "recv"} {
				var gaps string
				for _, r := range rows {
					if r.Kind == "gap" && r.Dir == dir {
						gaps += fmt.Sprintf("%d %s ", r.Bytes, r.Reason)
					}
				}
				moved, want := dir == "send" && test.send || dir == "recv" && test.recv, ""
				if moved && test.lost {
					want = fmt.Sprintf("%d lost ", size)
				}
				if gaps != want {
					t.Errorf("%s: gaps %q, want %q", dir, gaps, want)
				}
				if got := frames(rows, "", dir); moved && len(got) > len(behind) {
					if d := got[len(got)-len(behind)-1]; d.Type != "DATA" || d.Length != size || !test.lost && len(d.Data) > 0 {
						t.Errorf("%s: %s of %d octets with %d of content before what comes behind", dir, d.Type, d.Length, len(d.Data))
					}
					for i := range behind { // the header block behind the gap may have unknown fields
						if g := got[len(got)-len(behind)+i]; g.Type != typeName(behind[i].Type) || g.Length != behind[i].Length {
							t.Errorf("%s frame %d behind the gap: %s of %d octets, want %v", dir, i, g.Type, g.Length, behind[i].FrameHeader)
						}
					}
				}
			}
		})
	}
}

// TestCleartextThreads: one thread sends and another receives the answers. An
// answer can return before the call that asked; its row does not.
func TestCleartextThreads(t *testing.T) {
	t.Parallel()
	const questions = 5000
	p, s, conn := cleartextConn(t)
	w := newWire()
	w.preface()
	conn.take(p, w.take())
	w = newWire()
	w.WriteSettings()
	conn.send(p, w.take())
	go func() {
		b := make([]byte, 9)
		for {
			if _, err := conn.Read(b); err != nil {
				return
			}
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	}()
	p.do("echo %d", questions)
	p.do("close")
	p.end()
	rows := s.stop()
	wantClean(t, rows)
	for i, r := range rows {
		if i < 14 || r.Kind == "gap" {
			t.Logf("%+v", r)
		}
	}
	asked, answers := make(map[uint32]bool), 0
	for _, r := range frames(rows, "", "") {
		switch {
		case r.Type != "DATA":
		case r.Dir == "send":
			asked[r.Stream] = true
		case !asked[r.Stream]:
			t.Fatalf("row %d: an answer before its question", r.Seq)
		default:
			answers++
		}
	}
	if answers != questions || len(asked) != questions {
		t.Errorf("%d questions, %d answers; want %d", len(asked), answers, questions)
	}
}
