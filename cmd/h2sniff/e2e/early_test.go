// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// console is a TLS program of the libraries' own: it sends what it reads from
// standard input.
type console struct {
	cmd   *exec.Cmd
	pid   int
	stdin io.WriteCloser
}

func startConsole(t testing.TB, cmd *exec.Cmd) *console {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &console{cmd, cmd.Process.Pid, stdin}
}

func (c *console) send(t testing.TB, octets []byte) {
	t.Helper()
	if _, err := c.stdin.Write(octets); err != nil {
		t.Fatal(err)
	}
}

// startConsoleServer starts one that is a server and waits until it listens.
func startConsoleServer(t testing.TB, port int, name string, args ...string) *console {
	t.Helper()
	c := startConsole(t, exec.Command(name, args...))
	waitUntil(t, name+" to listen", func() bool {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return c
}

func waitUntil(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// sniffConsole starts a console under h2sniff.
func sniffConsole(t testing.TB, args ...string) (*sniff, io.WriteCloser) {
	t.Helper()
	cmd := exec.Command(h2sniff, append([]string{"dump", "--format", "json", "--body", "--"}, args...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return startSniffCommand(t, cmd), stdin
}

// octetsOf is the sum of a direction's frames.
func octetsOf(rows []row, dir string) int {
	n := 0
	for _, r := range frames(rows, "", dir) {
		n += 9 + int(r.Length)
	}
	return n
}

// TestGnuTLSCli: octets that gnutls-cli is given on standard input, and those
// of its server.
func TestGnuTLSCli(t *testing.T) {
	needPrograms(t, "gnutls-cli")
	t.Parallel()
	up, down := newWire(), newWire()
	up.preface()
	sentFields, receivedFields := everyKind(up), everyKind(down)
	sent, received := up.take(), down.take()

	far := listen(t)
	s, stdin := sniffConsole(t, "gnutls-cli", "-p", strconv.Itoa(far.port()), "--alpn", "h2", "--insecure", "127.0.0.1")
	accepted, err := far.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go stdin.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(accepted, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("gnutls-cli sent something else: %v", err)
	}
	if _, err := accepted.Write(received); err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantExact(t, rows)
	wantFrames(t, frames(rows, "", "send"), wireFrames(t, sent))
	wantFields(t, frames(rows, "", "send"), sentFields)
	wantFrames(t, frames(rows, "", "recv"), wireFrames(t, received))
	wantFields(t, frames(rows, "", "recv"), receivedFields)
	wantIdentity(t, rows, identity{comm: "gnutls-cli", role: "client", pids: []int{rows[0].PID}, library: libgnutls})
}

// TestEarlyData: octets that a client sends before the handshake is done are
// the beginning of the connection, at both ends, once.
func TestEarlyData(t *testing.T) {
	needPrograms(t, "openssl", "gnutls-cli", "gnutls-serv")
	t.Parallel()
	for _, server := range []string{"openssl", "gnutls-serv"} {
		for _, client := range []string{"openssl", "gnutls-cli"} {
			t.Run(client+" to "+server, func(t *testing.T) {
				t.Parallel()
				earlyData(t, client, server)
			})
		}
	}
}

func earlyData(t *testing.T, client, server string) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	port := freePort(t)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	var program *console
	if server == "openssl" {
		program = startConsoleServer(t, port, "openssl", "s_server", "-accept", at, "-cert", cert, "-key", key,
			"-alpn", "h2", "-tls1_3", "-early_data", "-quiet")
	} else {
		program = startConsoleServer(t, port, "gnutls-serv", "-p", strconv.Itoa(port), "--x509certfile", cert, "--x509keyfile", key,
			"--alpn", "h2", "--earlydata", "--maxearlydata", "16384", "--echo", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3")
	}

	up, down := newWire(), newWire()
	up.preface()
	sentFields, receivedFields := everyKind(up), everyKind(down)
	sent, received := up.take(), down.take()
	const cut = 2345 // in the middle of a frame
	early := filepath.Join(dir, "early")
	if err := os.WriteFile(early, sent[:cut], 0o600); err != nil {
		t.Fatal(err)
	}

	s := startSniff(t, "--body", "-p", strconv.Itoa(program.pid))
	var c *sniff
	var stdin io.WriteCloser
	if client == "openssl" {
		session := filepath.Join(dir, "session")
		args := []string{"openssl", "s_client", "-connect", at, "-alpn", "h2", "-tls1_3", "-nocommands"}
		first := startConsole(t, exec.Command(args[0], append(args[1:], "-sess_out", session)...))
		first.saves(t, session)
		c, stdin = sniffConsole(t, append(args, "-sess_in", session, "-early_data", early)...)
		waitUntil(t, "the early data to be accepted", func() bool { return strings.Contains(c.errors(), "Early data was accepted") })
	} else {
		c, stdin = sniffConsole(t, "gnutls-cli", "-p", strconv.Itoa(port), "--alpn", "h2", "--insecure",
			"--resume", "--waitresumption", "--earlydata", early, "127.0.0.1")
	}
	if _, err := stdin.Write(sent[cut:]); err != nil {
		t.Fatal(err)
	}
	s.waitFor("all that the client sent", func(rows []row) bool { return octetsOf(rows, "recv") == len(sent)-len(http2.ClientPreface) })
	if server == "openssl" { // gnutls-serv would send back what it received
		program.send(t, received)
		c.waitFor("all that the server sent", func(rows []row) bool { return octetsOf(rows, "recv") == len(received) })
	}
	stdin.Close() // ends the client
	c.wait()

	for _, end := range []struct {
		rows       []row
		sent, recv string // what the client sent and received, as this end sees it
	}{{c.snapshot(), "send", "recv"}, {s.stop(), "recv", "send"}} {
		wantFrames(t, frames(end.rows, "", end.sent), wireFrames(t, sent))
		wantFields(t, frames(end.rows, "", end.sent), sentFields)
		if server == "openssl" {
			wantClean(t, end.rows)
			wantExact(t, end.rows)
			wantFrames(t, frames(end.rows, "", end.recv), wireFrames(t, received))
			wantFields(t, frames(end.rows, "", end.recv), receivedFields)
		}
		if list := conns(end.rows, ""); len(list) != 1 {
			t.Errorf("frames on %d connections, want 1", len(list))
		}
	}
}

// TestEarlyDataRejected: a client whose early data was rejected, wherever it was
// cut, sends all of it again: what the server gets is decoded from its beginning.
func TestEarlyDataRejected(t *testing.T) {
	needPrograms(t, "openssl")
	t.Parallel()
	for _, cut := range []int{len(http2.ClientPreface) + 9, 1000, 2345} {
		t.Run(strconv.Itoa(cut), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cert, key := certificate(t, dir)
			port := freePort(t)
			at := fmt.Sprintf("127.0.0.1:%d", port)
			serve := func() *console {
				return startConsoleServer(t, port, "openssl", "s_server", "-accept", at, "-cert", cert, "-key", key,
					"-alpn", "h2", "-tls1_3", "-early_data", "-quiet")
			}
			up, down := newWire(), newWire()
			up.preface()
			fields, receivedFields := everyKind(up), everyKind(down)
			sent, received := up.take(), down.take()
			early, session := filepath.Join(dir, "early"), filepath.Join(dir, "session")
			if err := os.WriteFile(early, sent[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"openssl", "s_client", "-connect", at, "-alpn", "h2", "-tls1_3", "-nocommands"}
			server := serve()
			first := startConsole(t, exec.Command(args[0], append(args[1:], "-sess_out", session)...))
			first.saves(t, session)
			server.end(t)
			server = serve() // which does not know the session
			c, stdin := sniffConsole(t, append(args, "-sess_in", session, "-early_data", early)...)
			waitUntil(t, "the early data to be rejected", func() bool { return strings.Contains(c.errors(), "Early data was rejected") })
			if _, err := stdin.Write(sent); err != nil {
				t.Fatal(err)
			}
			c.waitFor("all that the client sent", func(rows []row) bool { return len(frames(rows, "", "send")) >= len(wireFrames(t, sent)) })
			server.send(t, received)
			c.waitFor("all that the server sent", func(rows []row) bool { return octetsOf(rows, "recv") == len(received) })
			stdin.Close()
			c.wait()
			rows := c.snapshot()
			if n := countKind(rows, "", "preface"); n != 2 {
				t.Errorf("%d prefaces", n)
			}
			got, want := frames(rows, "", "send"), wireFrames(t, sent)
			got = got[max(0, len(got)-len(want)):]
			wantFrames(t, got, want)
			wantFields(t, got, fields)
			wantFrames(t, frames(rows, "", "recv"), wireFrames(t, received))
			wantFields(t, frames(rows, "", "recv"), receivedFields)
			if countKind(rows, "", "gap") > 1 {
				t.Errorf("more is missing than a frame header that was cut")
			}
		})
	}
}

// saves waits until s_client has written a session, and ends it: it writes each
// ticket that it gets, of which there are two, over the one before.
func (c *console) saves(t testing.TB, session string) {
	t.Helper()
	waitUntil(t, "a session", func() bool {
		text, err := os.ReadFile(session)
		return err == nil && bytes.Contains(text, []byte("-----END"))
	})
	c.stdin.Close()
	c.cmd.Wait()
}

// end ends the program.
func (c *console) end(t testing.TB) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
}
