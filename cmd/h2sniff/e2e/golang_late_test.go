// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// TestGoAttachInsideCall: h2sniff comes while a goroutine waits for octets
// inside Read, as those of every HTTP/2 connection do. What it gets is not
// missed.
func TestGoAttachInsideCall(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("missing: x86-64 (there only it is known where a Go function keeps its arguments)")
	}
	for _, b := range []goBuild{goNormal, goStripped} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			p := startPeerCommand(t, exec.Command(goProgram(t, b)))
			far := listen(t)
			conn, up, _ := far.begin(p)
			w := newWire()
			w.WriteSettings()
			conn.send(p, w.take())
			answer := func(i int) ([]byte, []hpack.HeaderField) {
				fields := []hpack.HeaderField{{Name: ":status", Value: "200"}, {Name: "x-reply", Value: strconv.Itoa(i)}}
				w.headers(uint32(2*i+1), false, fields...)
				w.WriteData(uint32(2*i+1), true, content(100))
				return w.take(), fields
			}
			octets, _ := answer(0)
			conn.send(p, octets) // fills the table
			first, fields := answer(1)
			sent := map[uint32][]hpack.HeaderField{3: fields}
			p.tell("read %d", len(first))
			time.Sleep(200 * time.Millisecond) // likely to be inside; later is no mistake
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid), "--lib", "go")
			if _, err := conn.Write(first); err != nil {
				t.Fatal(err)
			}
			p.answer()
			received := first
			for i := 2; i < 20; i++ {
				octets, fields := answer(i)
				conn.send(p, octets)
				received = append(received, octets...)
				sent[uint32(2*i+1)] = fields
			}
			up.headers(3, true, get("/later")...)
			later := up.take()
			conn.take(p, later)
			p.do("close")
			p.end()
			s.wait()
			rows := s.snapshot()
			wantClean(t, rows)
			got := frames(rows, "", "recv")
			wantFrames(t, got, wireFrames(t, received))
			wantFrames(t, frames(rows, "", "send"), wireFrames(t, later))
			var n trusts
			for _, r := range headersOf(got) {
				wantNoWrongValue(t, r, sent[r.Stream], &n)
			}
			if n.exact == 0 {
				t.Error("no exact field")
			}
			wantGoAddresses(t, rows, p.pid, strconv.Itoa(far.port()), false)
		})
	}
}

// TestGoUnsent: what a Write that fails has not sent is told, and what the
// program goes on to write is not shown.
func TestGoUnsent(t *testing.T) {
	t.Parallel()
	p := startPeerCommand(t, exec.Command(goProgram(t, goNormal)))
	s := startSniff(t, "-p", strconv.Itoa(p.pid), "--lib", "go")
	conn, w, begin := listen(t).begin(p)
	const large = 1000
	for range large {
		w.WriteData(1, false, content(16384))
	}
	octets := w.take()
	p.tell("calls %s", p.file(octets))
	// Some of it arrives, and then the connection is reset.
	if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.Conn.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Conn.(*tls.Conn).NetConn().Close()
	for range 2 {
		if line := p.line(); !strings.Contains(line, "calls write tcp") {
			t.Fatalf("the peer says %q, not that its write failed", line)
		}
		p.tell("calls %s", p.file(octets[:16384+9]))
	}
	p.line()
	p.end()
	s.wait()
	rows := s.snapshot()
	unsent := 0
	for _, r := range rows {
		if r.Kind == "gap" && r.Reason == "not sent" && r.Dir == "send" && r.Bytes < uint64(len(octets))-100_000 && r.Bytes > 1<<20 {
			unsent++
		}
	}
	if n := countKind(rows, "", "gap"); unsent != 1 || n < 1 {
		t.Errorf("%d gaps, %d say that octets were not sent", n, unsent)
	}
	// Of one call 4 MiB are copied.
	if n := len(frames(rows, "", "send")); n < len(begin)+4<<20/(16384+9) || n > len(begin)+large {
		t.Errorf("%d frames", n)
	}
	if list := conns(rows, ""); len(list) != 1 {
		t.Errorf("%d connections", len(list))
	}
}

// TestGoClosedInsideWrite: a connection that is closed while a Write is in
// progress ends with that call, which tells what it has not sent.
func TestGoClosedInsideWrite(t *testing.T) {
	t.Parallel()
	p := startPeerCommand(t, exec.Command(goProgram(t, goNormal)))
	s := startSniff(t, "-p", strconv.Itoa(p.pid), "--lib", "go")
	conn, w, _ := listen(t).begin(p)
	for range 1000 {
		w.WriteData(1, false, content(16384))
	}
	p.do("write %s", p.file(w.take()))
	// It has begun, and cannot end: nobody reads the rest.
	if _, err := io.ReadFull(conn, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	p.do("close")
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") > 0 })
	p.end()
	s.wait()
	rows := s.snapshot()
	unsent := 0
	for _, r := range rows {
		if r.Kind == "gap" && r.Reason == "not sent" && r.Dir == "send" && r.Bytes > 1<<20 {
			unsent++
		}
	}
	if last := rows[len(rows)-1]; unsent != 1 || last.Kind != "close" || countKind(rows, "", "close") != 1 {
		t.Errorf("%d rows say what was not sent, %d say close, the last one is a %s", unsent, countKind(rows, "", "close"), last.Kind)
	}
}

// TestGoChoices: Go programs are found by every option that chooses.
func TestGoChoices(t *testing.T) {
	t.Parallel()
	const requests = 10
	source := goProgram(t, goStripped)
	server := startPeerCommand(t, exec.Command(goProgram(t, goNormal), "serve"))
	port := server.answer()
	want := func(t *testing.T, rows []row, program string) {
		t.Helper()
		wantClean(t, rows)
		wantExact(t, rows)
		list := conns(rows, "")
		if len(list) != 1 {
			t.Fatalf("%d connections", len(list))
		}
		asked := 0
		for _, r := range headersOf(frames(rows, "", "send")) {
			if asked++; r.Library != program {
				t.Errorf("library %s, want %s", r.Library, program)
			}
		}
		if asked != requests {
			t.Errorf("%d requests", asked)
		}
		wantGoAddresses(t, rows, rows[0].PID, port, false)
	}
	private := func(t *testing.T) string { return copyFile(t, filepath.Join(sharedDir(t), "goprogram"), source) }
	fetch := func(t *testing.T, program string) *peer {
		return startPeerCommand(t, exec.Command(program, "fetch", port))
	}
	finish := func(p *peer) {
		p.do("%d", requests)
		p.end()
	}
	t.Run("-b before it starts", func(t *testing.T) {
		t.Parallel()
		program := private(t)
		s := startSniff(t, "-b", program, "--h2c=false")
		finish(fetch(t, program))
		s.waitFor("the connection to close", closed(1))
		want(t, s.stop(), program)
	})
	t.Run("-p of one whose file is gone", func(t *testing.T) {
		t.Parallel()
		program := private(t)
		p := fetch(t, program)
		if err := os.Remove(program); err != nil {
			t.Fatal(err)
		}
		s := startSniff(t, "-p", strconv.Itoa(p.pid))
		finish(p)
		s.wait()
		want(t, s.snapshot(), program)
	})
	t.Run("a command", func(t *testing.T) {
		t.Parallel()
		program := private(t)
		cmd := exec.Command(h2sniff, "dump", "--format", "json", "--lib", "go", "--", program, "fetch", port)
		cmd.Stdin = strings.NewReader(strconv.Itoa(requests) + "\n")
		s := launchSniff(t, cmd)
		s.wait()
		want(t, s.snapshot(), program)
	})
	t.Run("a child of -p", func(t *testing.T) {
		t.Parallel()
		program := private(t)
		sign := filepath.Join(t.TempDir(), "go")
		shell := hold(t, `(while [ ! -e "$1" ]; do sleep 0.05; done; echo "$2") | "$3" fetch "$4"; true`,
			sign, strconv.Itoa(requests), program, port)
		s := startSniff(t, "-d", "-p", shell.pid(), "--lib", "go")
		shell.release()
		waitUntil(t, "h2sniff to attach", func() bool { return strings.Contains(s.errors(), "Go "+program+": ") })
		if err := os.WriteFile(sign, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		shell.wait()
		s.wait()
		want(t, s.snapshot(), program)
	})
	t.Run("the whole machine", func(t *testing.T) {
		t.Parallel()
		program := private(t)
		enterNamespace(t, "")
		running := fetch(t, program)
		s := startSniff(t, "--lib", "go")
		finish(running)
		s.waitFor("the connection to close", closed(1))
		before := len(s.snapshot())
		want(t, s.snapshot(), program)
		finish(fetch(t, program)) // from its first octet on, since the file is known
		s.waitFor("the connection to close", closed(2))
		want(t, s.stop()[before:], program)
	})
}

// TestGoExec: a program that executes itself goes on being traced.
func TestGoExec(t *testing.T) {
	t.Parallel()
	p := startPeerCommand(t, exec.Command(goProgram(t, goStripped)))
	s := startSniff(t, "--body", "-d", "-p", strconv.Itoa(p.pid), "--lib", "go")
	far := listen(t)
	_, _, first := far.begin(p)
	if pid := p.do("exec"); pid != strconv.Itoa(p.pid) {
		t.Fatalf("pid %s after exec", pid)
	}
	attached := fmt.Sprintf("functions, process %d ", p.pid)
	waitUntil(t, "h2sniff to attach again", func() bool { return strings.Count(s.errors(), attached) >= 2 })
	_, _, second := far.begin(p)
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	list := conns(rows, "")
	if len(list) != 2 {
		t.Fatalf("%d connections", len(list))
	}
	wantFrames(t, frames(rows, list[0], "send"), first)
	wantFrames(t, frames(rows, list[1], "send"), second)
	wantGoAddresses(t, rows, p.pid, strconv.Itoa(far.port()), false)
}

// TestGoUnderLoad: h2sniff comes and goes, and is killed, while a Go server
// works: no request fails, and its goroutines' stacks grow and shrink.
func TestGoUnderLoad(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	server := startPeerCommand(t, exec.Command(goProgram(t, goStripped), "serve"))
	l := startLoad(t, "https://127.0.0.1:"+server.answer()+"/2000")
	for i := range 10 {
		if i%2 == 0 {
			s := launchSniff(t, exec.Command(h2sniff, "dump", "--format", "json", "-n", "100", "-p", strconv.Itoa(server.pid)))
			s.wait()
			if n := len(frames(s.snapshot(), "", "")); n != 100 || s.cmd.ProcessState.ExitCode() != 0 {
				t.Errorf("%d frames, exit status %d\n%s", n, s.cmd.ProcessState.ExitCode(), s.errors())
			}
			continue
		}
		cmd := exec.Command(h2sniff, "dump", "-p", strconv.Itoa(server.pid))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 30 * time.Millisecond) // not a wait for something: any moment will do
		cmd.Process.Kill()
		cmd.Wait()
	}
	l.wantNoFailure()
	server.end()
}
