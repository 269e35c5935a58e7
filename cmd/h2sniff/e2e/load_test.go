// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// TestManyConnections: 200 connections at once, all frames of each.
func TestManyConnections(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	const connections, requests, size = 200, 6000, 5000
	nginx := startNginx(t, 2)
	nginx.file(t, "file", size)
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	out := run(t, "h2load", "-n", strconv.Itoa(requests), "-c", strconv.Itoa(connections), "-m", "10", nginx.url("/file"))
	if !strings.Contains(out, fmt.Sprintf("%d succeeded, 0 failed", requests)) {
		t.Fatal(out)
	}
	s.waitFor("all connections to close", closed(connections))
	rows := s.stop()
	wantClean(t, rows)
	wantExact(t, rows)
	wantSeq(t, rows)
	wantSummary(t, s.errors(), rows)
	list := conns(rows, "")
	if len(list) != connections {
		t.Errorf("%d connections, want %d", len(list), connections)
	}
	byConn := make(map[string][]row)
	for _, r := range rows {
		byConn[r.Conn] = append(byConn[r.Conn], r)
	}
	for _, conn := range list {
		wantRequests(t, conn+" requests", frames(byConn[conn], conn, "recv"), requests/connections, 0)
		wantRequests(t, conn+" responses", frames(byConn[conn], conn, "send"), requests/connections, size)
	}
}

// TestHandlesReused: connections of one process, one after another, on a handle
// that is cleared and on handles that are freed, whose memory the next one
// gets. Each is a connection of its own.
func TestHandlesReused(t *testing.T) {
	t.Parallel()
	const times = 100
	for _, test := range []struct{ name, program string }{
		{"SSL_clear and SSL_free", opensslPeer},
		{"gnutls_deinit", gnutlsPeer},
		{"BoringSSL's SSL_clear and SSL_free", boringPeer},
		{"wolfSSL_clear and wolfSSL_free", wolfsslPeer},
		{"mbedtls_ssl_session_reset and mbedtls_ssl_free", mbedtlsPeer},
		{"PR_Close", nssPeer},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, test.program))
			s := startSniff(t, "-p", strconv.Itoa(p.pid))
			far := listen(t)
			var sent, received [][]wireFrame
			for i := range times {
				command := "reuse"
				if i%2 == 0 {
					command = "open"
				}
				conn := far.connect(p, command)
				up, down := newWire(), newWire()
				up.preface()
				for j := range i % 5 {
					up.headers(uint32(2*j+1), true, get(fmt.Sprintf("/%d/%d", i, j))...)
				}
				down.WriteSettings()
				down.WritePing(false, [8]byte{byte(i)})
				request, answer := up.take(), down.take()
				conn.take(p, request)
				conn.send(p, answer)
				sent, received = append(sent, wireFrames(t, request)), append(received, wireFrames(t, answer))
				if i%2 == 1 {
					p.do("close")
				}
			}
			p.end()
			rows := s.stop()
			wantClean(t, rows)
			wantExact(t, rows)
			list := conns(rows, "")
			if len(list) != times {
				t.Fatalf("%d connections, want %d", len(list), times)
			}
			for i, conn := range list {
				wantFrames(t, frames(rows, conn, "send"), sent[i])
				wantFrames(t, frames(rows, conn, "recv"), received[i])
				for j, r := range sent[i][1:] {
					if got, want := fieldLines(frames(rows, conn, "send"), "send", r.StreamID), fmt.Sprintf(":path: /%d/%d", i, j); got[3] != want {
						t.Errorf("%s stream %d: %q, want %s", conn, r.StreamID, got, want)
					}
				}
				for _, kind := range []string{"open", "preface", "close"} {
					if n := countKind(rows, conn, kind); n != 1 {
						t.Errorf("%s: %d rows that say %s", conn, n, kind)
					}
				}
			}
		})
	}
}

// TestShortChildren: programs that a traced shell runs one after another, each
// for a few milliseconds. Nothing holds them until they are attached to, so
// some may be missed, but not most of them.
func TestShortChildren(t *testing.T) {
	needPrograms(t, "nghttp")
	const times = 50
	nginx := startNginx(t, 1)
	shell := hold(t, fmt.Sprintf(`for i in $(seq %d); do nghttp -n "$1" || exit; done`, times), nginx.url("/"))
	s := startSniff(t, "-p", shell.pid())
	shell.run()
	s.wait() // nobody is left who could be traced
	rows := s.snapshot()
	wantClean(t, rows)
	whole := 0
	for _, conn := range conns(rows, "nghttp") {
		whole += countKind(rows, conn, "preface")
	}
	t.Logf("%d of %d programs were traced from their connection's beginning", whole, times)
	if whole < times/2 {
		t.Errorf("%d of %d programs were traced from their connection's beginning", whole, times)
	}
}
