// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
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

// TestCleartextHerd: many processes wait in reads of one socket at one time, and
// any of them gets what comes. To each, what the others got is a gap of its
// length at its place.
func TestCleartextHerd(t *testing.T) {
	t.Parallel()
	const herd = 20
	p, s, conn := cleartextConn(t)
	asks, answers := newWire(), newWire()
	asks.preface()
	conn.take(p, asks.take())
	answers.WriteSettings()
	conn.send(p, answers.take())
	p.do("herd %d", herd)
	waitUntil(t, "all to wait in a read", func() bool {
		all := children(t, p.pid)
		return len(all) == herd && !slices.ContainsFunc(all, func(pid int) bool {
			call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
			return err != nil || !strings.HasPrefix(string(call), fmt.Sprint(unix.SYS_RECVFROM, " "))
		})
	})

	var lengths []uint64 // of messages: a PING, then HEADERS with an entry of their own
	value := func(i int) string { return strings.Repeat("v", i%7) + fmt.Sprint(i) }
	readers := map[int]bool{}
	for i := range 200 {
		answers.WritePing(false, [8]byte{7: byte(i)})
		answers.headers(uint32(2*i+1), true, hpack.HeaderField{Name: ":status", Value: "200"}, hpack.HeaderField{Name: "x-a", Value: value(i)}, hpack.HeaderField{Name: fmt.Sprint("x-", i), Value: value(i)})
		message := answers.take()
		lengths = append(lengths, uint64(len(message)))
		if _, err := conn.Write(message); err != nil {
			t.Fatal(err)
		}
		var pid, n int
		if _, err := fmt.Sscan(p.answer(), &pid, &n); err != nil || n != len(message) {
			t.Fatalf("process %d read %d octets of %d (%v)", pid, n, len(message), err)
		}
		readers[pid] = true
	}
	conn.Close()
	p.do("gather")
	p.end()
	s.wait()
	rows := s.snapshot()

	type reader struct {
		last int // message seen
		gap  uint64
	}
	seen := map[int]*reader{}
	frames, exact := 0, 0
	for _, r := range rows {
		if r.PID == p.pid || r.Dir != "recv" {
			continue
		}
		at := seen[r.PID]
		if at == nil {
			at = &reader{last: -1}
			seen[r.PID] = at
		}
		if r.Kind == "gap" {
			at.gap += r.Bytes
		}
		if r.Type != "HEADERS" {
			continue
		}
		frames++
		i := int(r.Stream-1) / 2
		var want uint64
		for between := at.last + 1; at.last >= 0 && between < i; between++ {
			want += lengths[between]
		}
		if at.last >= 0 && at.gap != want {
			t.Errorf("process %d: gaps of %d octets between the messages %d and %d, want %d", r.PID, at.gap, at.last, i, want)
		}
		at.last, at.gap = i, 0
		for _, h := range r.Headers {
			if strings.HasPrefix(h.Name, "x-") && h.Trust == "exact" {
				if exact++; h.Value != value(i) || h.Name != "x-a" && h.Name != fmt.Sprint("x-", i) {
					t.Errorf("process %d: message %d has %s: %q, called exact, want %q", r.PID, i, h.Name, h.Value, value(i))
				}
			}
		}
	}
	opened := countKind(rows, "", "open")
	t.Logf("%d of %d processes read; %d connections, %d messages of %d, %d exact fields", len(readers), herd, opened, frames, len(lengths), exact)
	// Some may have had no turn, and others were seen when they began to read.
	if opened < len(readers)+1 || opened > herd+1 {
		t.Errorf("%d connections, want %d to %d", opened, len(readers)+1, herd+1)
	}
	if len(readers) > 1 && len(seen) < 2 {
		t.Errorf("frames of %d processes, %d have read", len(seen), len(readers))
	}
	if exact == 0 {
		t.Error("no field is exact")
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
