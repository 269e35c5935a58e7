// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestCleartextShared: a process and its children, which h2sniff follows all,
// use one socket in turns. To each, what the others move is a gap of exactly
// its length, and no field that only the others could know is called exact.
func TestCleartextShared(t *testing.T) {
	t.Parallel()
	p, s, conn := cleartextConn(t)
	truth := map[string]string{}
	block := func(w *wire, dir string, stream uint32, value string) []byte {
		truth[fmt.Sprint(dir, stream)] = value
		fields := []hpack.HeaderField{{Name: ":status", Value: "200"}}
		if dir == "send" {
			fields = get("/")
		}
		w.headers(stream, true, append(fields, hpack.HeaderField{Name: "x-a", Value: value})...)
		return w.take()
	}
	asks, answers := newWire(), newWire()
	asks.preface()
	conn.take(p, block(asks, "send", 1, "parent"))
	answers.WriteSettings()
	conn.send(p, block(answers, "recv", 1, "parent"))
	gaps := map[string][]uint64{}
	for round := range uint32(3) {
		stream, value := 3+6*round, fmt.Sprint("child ", round)
		// The child's turn.
		ask, answer := block(asks, "send", stream, value), block(answers, "recv", stream, value)
		p.tell("lend calls %s", p.file(ask))
		conn.receive(ask)
		p.answer()
		p.tell("lend read %d", len(answer))
		if _, err := conn.Write(answer); err != nil {
			t.Fatal(err)
		}
		p.answer()
		gaps["send"] = append(gaps["send"], uint64(len(ask)))
		gaps["recv"] = append(gaps["recv"], uint64(len(answer)))
		// The parent's, with entries that the child's blocks have made.
		for _, stream := range []uint32{stream + 2, stream + 4} {
			conn.take(p, block(asks, "send", stream, value))
			conn.send(p, block(answers, "recv", stream, value))
		}
	}
	p.do("close")
	p.end()
	rows := s.stop()

	got, seen := map[string][]uint64{}, map[string]bool{}
	for _, r := range rows {
		if r.Kind == "gap" && r.PID == p.pid {
			got[r.Dir] = append(got[r.Dir], r.Bytes)
		}
		for _, h := range r.Headers {
			if h.Name != "x-a" {
				continue
			}
			if want := truth[fmt.Sprint(r.Dir, r.Stream)]; h.Trust == "exact" && h.Value != want {
				t.Errorf("row %d, pid %d: %s stream %d: x-a: %q is called exact, and was %q", r.Seq, r.PID, r.Dir, r.Stream, h.Value, want)
			}
		}
		if r.Type == "HEADERS" && r.PID == p.pid {
			seen[fmt.Sprint(r.Dir, r.Stream)] = true
		}
	}
	for _, dir := range []string{"send", "recv"} {
		if fmt.Sprint(got[dir]) != fmt.Sprint(gaps[dir]) {
			t.Errorf("%s: gaps of %d octets, want %d", dir, got[dir], gaps[dir])
		}
		for stream := uint32(1); stream < 21; stream += 2 {
			if byParent := stream == 1 || stream%6 != 3; seen[fmt.Sprint(dir, stream)] != byParent {
				t.Errorf("%s stream %d: HEADERS seen of the parent: %t, want %t", dir, stream, !byParent, byParent)
			}
		}
	}
}

// TestCleartextOnlyHTTP2: a server that speaks nothing but HTTP/2 answers an
// HTTP/1 request with its own preface and GOAWAY, and they are seen.
func TestCleartextOnlyHTTP2(t *testing.T) {
	t.Parallel()
	p, s, conn := cleartextConn(t)
	conn.take(p, []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	w := newWire()
	w.WriteSettings()
	w.WriteGoAway(0, http2.ErrCodeProtocol, []byte("not a preface"))
	answer := w.take()
	conn.send(p, answer)
	p.do("close")
	p.end()
	rows := s.stop()
	wantClean(t, rows)
	wantFrames(t, frames(rows, "", "recv"), wireFrames(t, answer))
	if sent := frames(rows, "", "send"); len(sent) > 0 {
		t.Errorf("the request is taken for frames: %+v", sent)
	}
}
