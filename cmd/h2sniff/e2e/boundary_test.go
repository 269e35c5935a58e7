// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"strconv"
	"testing"

	"golang.org/x/net/http2"
)

// content is n octets that do not repeat within any distance of a buffer's
// size.
func content(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// smallFrames adds one frame each of some short types.
func smallFrames(w *wire) {
	w.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	w.WriteWindowUpdate(0, 1<<20)
	w.headers(3, true, get("/small")...)
	w.WriteRSTStream(3, http2.ErrCodeCancel)
	w.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
}

// tracedPeer is a peer with h2sniff on it and a connection on which both sides
// have sent their SETTINGS; conn is its name in h2sniff's rows.
func tracedPeer(t testing.TB, program string) (*peer, *sniff, *farConn, *wire) {
	t.Helper()
	p := startPeer(t, peerProgram(t, program))
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	conn := listen(t).connect(p, "open")
	w := newWire()
	w.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
	conn.send(p, w.take())
	w.preface()
	w.WriteSettingsAck()
	conn.take(p, w.take())
	return p, s, conn, newWire()
}

// sentFrames gives the frames that were sent behind the two SETTINGS of
// tracedPeer.
func sentFrames(t testing.TB, rows []row) []row {
	t.Helper()
	sent := frames(rows, "", "send")
	if len(sent) < 2 {
		t.Fatalf("%d frames were seen", len(sent))
	}
	return sent[2:]
}

// TestLargeCall: frames behind any number of octets of the same call are seen.
func TestLargeCall(t *testing.T) {
	t.Parallel()
	p, s, conn, w := tracedPeer(t, opensslPeer)
	w.headers(1, false, get("/")...)
	for range 8 {
		w.WriteData(1, false, content(16384))
	}
	w.WritePing(false, [8]byte{})
	w.WriteData(1, false, content(500_000)) // more than the default limit: the other side's SETTINGS allow it
	smallFrames(w)
	w.WriteData(1, true, content(1<<20-w.out.Len()-9))
	w.WriteWindowUpdate(0, 1) // ends beyond 1 MiB
	smallFrames(w)
	call := w.take()
	conn.take(p, call)
	p.do("close")
	p.end()
	rows := s.stop()
	wantClean(t, rows)
	wantFrames(t, sentFrames(t, rows), wireFrames(t, call))
}

// copyLimit is how many octets of one call are copied at most.
const copyLimit = 4 << 20

// TestCallBeyondCopyLimit: what is not copied of a call is a gap of exactly its
// size, and decoding goes on behind it.
func TestCallBeyondCopyLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		first int // size of a DATA frame that shifts the limit
		// inPayload is what the limit leaves out of the content of a frame.
		inPayload int
	}{
		{"limit inside a payload", 1000, 16393 - (copyLimit-1009)%16393},
		{"limit inside a frame header", 16384 - 256*9 - 5, 0},
		{"limit between frames", 16384 - 256*9, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, s, conn, w := tracedPeer(t, opensslPeer)
			w.WriteData(1, false, content(test.first))
			for w.out.Len() < copyLimit+1<<20 {
				w.WriteData(1, false, content(16384))
			}
			call := w.take()
			conn.take(p, call)
			smallFrames(w)
			behind := w.take()
			conn.take(p, behind)
			p.do("close")
			p.end()
			rows := s.stop()

			var notCopied, skipped uint64
			for _, r := range rows {
				switch {
				case r.Kind == "gap" && r.Reason == "not copied":
					notCopied += r.Bytes
				case r.Kind == "gap":
					skipped += r.Bytes
				case r.Kind == "frame" && r.Error != nil:
					t.Errorf("row %d: %s frame with error %v", r.Seq, r.Type, r.Error)
				}
			}
			if headersOnly {
				wantClean(t, rows)
				wantFrames(t, sentFrames(t, rows), append(wireFrames(t, call), wireFrames(t, behind)...))
				return
			}
			if want := uint64(len(call) - copyLimit - test.inPayload); notCopied != want {
				t.Errorf("%d octets not copied, want %d", notCopied, want)
			}
			if skipped >= 9 {
				t.Errorf("%d octets skipped: only the part of a frame header may be", skipped)
			}
			sent := sentFrames(t, rows)
			want := wireFrames(t, behind)
			if len(sent) < len(want) {
				t.Fatalf("%d frames", len(sent))
			}
			at := len(sent) - len(want)
			wantFrames(t, sent[at:], want)
			// Every frame before the limit is there; one that it cuts is a
			// row without the rest of its payload.
			whole := 0
			for octets, f := 0, wireFrames(t, call); octets+9+int(f[whole].Length) <= copyLimit; whole++ {
				octets += 9 + int(f[whole].Length)
			}
			wantFrames(t, sent[:whole], wireFrames(t, call)[:whole])
			if at > whole+1 {
				t.Errorf("%d frames before those behind the gap, of which %d were copied", at, whole)
			}
		})
	}
}

// TestFramesSplitOverCalls: frame headers and the preface may be cut anywhere.
func TestFramesSplitOverCalls(t *testing.T) {
	t.Parallel()
	for _, program := range []string{opensslPeer, gnutlsPeer, boringPeer, wolfsslPeer, mbedtlsPeer, nssPeer} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, program))
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			far := listen(t)
			cuts := [][]int{{1}, {2}, {3}, {7}} // an octet a call, two, ...
			for at := 1; at <= 8; at++ {
				// The preface is cut at that octet, then each header of the
				// SETTINGS (9 octets) and the PINGs (17) behind it.
				cuts = append(cuts, []int{at, 24, 9, 17, 17, 17})
			}
			var want [][]wireFrame
			for i, cut := range cuts {
				conn := far.connect(p, "open")
				w := newWire()
				w.preface()
				for j := range 3 {
					w.WritePing(false, [8]byte{byte(i), byte(j)})
				}
				smallFrames(w)
				octets := w.take()
				conn.take(p, octets, cut...)
				want = append(want, wireFrames(t, octets))
				p.do("close")
			}
			p.end()
			rows := s.stop()
			wantClean(t, rows)
			names := conns(rows, "")
			if len(names) != len(cuts) {
				t.Fatalf("%d connections, want %d", len(names), len(cuts))
			}
			for i, name := range names {
				wantFrames(t, frames(rows, name, "send"), want[i])
				if n := countKind(rows, name, "preface"); n != 1 {
					t.Errorf("cut %v: %d prefaces", cuts[i], n)
				}
			}
		})
	}
}

// TestRetriedCalls: a call that could not send all and is repeated counts each
// octet once.
func TestRetriedCalls(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ program, mode string }{
		{opensslPeer, "plain"},   // all or nothing: the same call again
		{opensslPeer, "partial"}, // a call returns what it has sent
		{opensslPeer, "ex"},
		{gnutlsPeer, "plain"}, // the same call again
		{gnutlsPeer, "null"},  // gnutls_record_send(session, NULL, 0)
		{boringPeer, "plain"},
		{boringPeer, "partial"},
		{wolfsslPeer, "plain"},
		{wolfsslPeer, "flags"},
		{mbedtlsPeer, "plain"}, // a record at most a call
		{nssPeer, "nonblocking"},
	} {
		t.Run(test.program+"/"+test.mode, func(t *testing.T) {
			t.Parallel()
			wantRetriedWhole(t, test.program, test.mode, func(w *wire) { w.headers(1, false, get("/")...) })
		})
	}
}

// TestServerThatMustWait: nginx sends 5 MB to a client that hardly reads.
func TestServerThatMustWait(t *testing.T) {
	t.Parallel()
	nginx := startNginx(t, 1)
	file := content(5_000_000)
	nginx.content(t, "five", file)
	s := startSniff(t, "--body", "-p", strconv.Itoa(nginx.pid))
	received := slowDownload(t, nginx, "/five", func() {
		// Some of it went out, and the sockets have no room for the rest.
		s.waitFor("DATA", func(rows []row) bool {
			sent := frames(rows, "", "send")
			return len(sent) > 0 && sent[len(sent)-1].Type == "DATA"
		})
	})
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
	rows := s.stop()
	wantClean(t, rows)
	sent := frames(rows, "", "send")
	want := wireFrames(t, received)
	if len(sent) < len(want) {
		t.Fatalf("%d frames sent, %d received", len(sent), len(want))
	}
	wantFrames(t, sent[:len(want)], want) // the client left before the rest
	var body bytes.Buffer
	for _, r := range sent {
		body.Write(r.Data)
	}
	wantBody(t, "the file", body.Bytes(), file)
}

// wantRetriedWhole has a peer send more than its socket takes, so that it must
// call again in the given mode, and wants every frame once.
func wantRetriedWhole(t *testing.T, program, mode string, begin func(*wire)) {
	t.Helper()
	p, s, conn, w := tracedPeer(t, program)
	p.do("mode %s", mode)
	begin(w)
	for w.out.Len() < 3<<20 {
		w.WriteData(1, false, content(15_000))
	}
	smallFrames(w)
	octets := w.take()
	p.tell("retry %s", p.file(octets))
	if line := p.line(); line != "blocked" {
		t.Fatalf("the peer did not have to wait: %s", line)
	}
	conn.receive(octets)
	p.answer()
	p.do("close")
	p.end()
	rows := s.stop()
	wantClean(t, rows)
	wantFrames(t, sentFrames(t, rows), wireFrames(t, octets))
}
