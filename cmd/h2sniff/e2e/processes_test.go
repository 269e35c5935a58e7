// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// begin opens a connection of a peer and sends a preface and a request; it
// gives the frames that were sent.
func (f *far) begin(p *peer) (*farConn, *wire, []wireFrame) {
	f.t.Helper()
	conn := f.connect(p, "open")
	w := newWire()
	w.preface()
	w.headers(1, false, get("/")...)
	octets := w.take()
	conn.take(p, octets)
	return conn, w, wireFrames(f.t, octets)
}

// attached waits until h2sniff, started with -d, has attached to OpenSSL in a
// process.
func (s *sniff) attached(pid int) {
	s.t.Helper()
	line := regexp.MustCompile(fmt.Sprintf(`(?m)^h2sniff: OpenSSL .* functions, process %d `, pid))
	waitUntil(s.t, fmt.Sprintf("h2sniff to attach to %d", pid), func() bool { return line.MatchString(s.errors()) })
}

// TestProcessEnds: however a process ends, its connections do.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*peer)
	}{
		{"_exit", func(p *peer) { p.tell("exit 0") }},
		{"return from main", func(p *peer) { p.in.Close() }},
		{"SIGKILL", func(p *peer) { p.cmd.Process.Kill() }},
		{"SIGSEGV", func(p *peer) { p.cmd.Process.Signal(syscall.SIGSEGV) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, opensslPeer))
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			far := listen(t)
			_, _, one := far.begin(p)
			conn, w, two := far.begin(p)
			w.WriteRawFrame(0, 0, 1, content(1000))
			half := w.take()[:500] // of a frame that will never be whole
			conn.take(p, half)
			test.end(p)
			p.cmd.Wait()
			s.wait() // nobody is left who could be traced
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit status %d\n%s", code, s.errors())
			}
			rows := s.snapshot()
			list := conns(rows, "")
			if len(list) != 2 || countKind(rows, "", "close") != 2 || rows[len(rows)-1].Kind != "close" {
				t.Fatalf("%d connections, %d closed, the last row says %s", len(list), countKind(rows, "", "close"), rows[len(rows)-1].Kind)
			}
			wantFrames(t, frames(rows, list[0], "send"), one)
			sent := frames(rows, list[1], "send")
			last := sent[len(sent)-1]
			wantFrames(t, sent[:len(sent)-1], two)
			if last.Type != "DATA" || last.Length != 1000 || last.Error == nil || len(last.Data) != 491 && !headersOnly {
				t.Errorf("the unfinished frame: %s length=%d, %d octets of it, error %v", last.Type, last.Length, len(last.Data), last.Error)
			}
		})
	}
}

// TestFork: a child goes on with its parent's connection, which is one of its
// own then, and makes another.
func TestFork(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startSniff(t, "--body", "-d", "-p", strconv.Itoa(p.pid))
	far := listen(t)
	conn, w, sent := far.begin(p)
	child, err := strconv.Atoi(p.do("fork"))
	if err != nil {
		t.Fatal(err)
	}
	s.attached(child)
	w.headers(5, true, get("/")...) // refers to what the parent has sent
	smallFrames(w)
	octets := w.take()
	conn.take(p, octets)
	_, _, own := far.begin(p)
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	list := conns(rows, "")
	if len(list) != 3 || countKind(rows, "", "close") != 3 {
		t.Fatalf("%d connections, %d closed; want 3", len(list), countKind(rows, "", "close"))
	}
	for i, want := range []struct {
		pid  int
		sent []wireFrame
	}{{p.pid, sent}, {child, wireFrames(t, octets)}, {child, own}} {
		f := frames(rows, list[i], "send")
		wantFrames(t, f, want.sent)
		for _, r := range f {
			if r.PID != want.pid {
				t.Errorf("row %d is of process %d, want %d", r.Seq, r.PID, want.pid)
			}
			if path := map[uint32]string{1: "/", 5: "/", 3: "/small"}[r.Stream]; r.Type == "HEADERS" {
				wantNoWrongValue(t, r, get(path), new(trusts))
			}
		}
	}
}

// TestExec: the process executes a program, which ends its connections; those
// of the new program are captured from their beginning.
func TestExec(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	far := listen(t)
	var want [][]wireFrame
	const times = 5
	for i := range times {
		_, _, sent := far.begin(p)
		want = append(want, sent)
		if i < times-1 {
			if pid := p.do("exec"); pid != strconv.Itoa(p.pid) {
				t.Fatalf("pid %s after exec, %d before", pid, p.pid)
			}
		}
	}
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantExact(t, rows)
	wantSeq(t, rows)
	list := conns(rows, "")
	if len(list) != times {
		t.Fatalf("%d connections, want %d", len(list), times)
	}
	for i, conn := range list {
		wantFrames(t, frames(rows, conn, "send"), want[i])
		if countKind(rows, conn, "close") != 1 {
			t.Errorf("%s was not closed", conn)
		}
	}
}
