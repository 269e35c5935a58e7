// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// TestLastFrameIsLast: nghttp's last frame is GOAWAY, and that is the last one
// of its direction, in nghttp and in nginx, each of 100 times.
func TestLastFrameIsLast(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	const times = 100
	nginx := startNginx(t, 2)
	nginx.file(t, "large", 100_000)
	library := privateLibrary(t, libssl)
	server := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	client := startSniff(t, "-b", library)
	for range times {
		nghttp := exec.Command("nghttp", "-n", nginx.url("/"), nginx.url("/large"), nginx.url("/"))
		nghttp.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(library))
		if out, err := nghttp.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, end := range []struct {
		*sniff
		dir string
	}{{server, "recv"}, {client, "send"}} {
		end.waitFor("all connections to close", closed(times))
		rows := end.stop()
		wantClean(t, rows)
		list := conns(rows, "")
		if len(list) != times {
			t.Errorf("%d connections, want %d", len(list), times)
		}
		for _, conn := range list {
			f := frames(rows, conn, end.dir)
			goaways := count(f, func(r row) bool { return r.Type == "GOAWAY" })
			if last := f[len(f)-1]; goaways != 1 || last.Type != "GOAWAY" {
				t.Errorf("%s: %d GOAWAY of %d frames, the last one is %s", conn, goaways, len(f), last.Type)
			}
		}
	}
}

// TestNoReceiveBeforeItsSend: where both ends of a connection are captured, no
// octet is received before it is sent.
func TestNoReceiveBeforeItsSend(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	nginx := func(t testing.TB) *server { return startNginx(t, 2) }
	h2o := func(t testing.TB) *server { return startH2O(t, 2) }
	nghttpd := func(t testing.TB) *server { return startNghttpd(t, 2) }
	const requests = "3000"
	for _, test := range []struct {
		name        string
		start       func(testing.TB) *server
		connections int
		args        []string
	}{
		{"nginx, one after another", nginx, 1, []string{"-m", "1"}},
		{"nginx, many at once", nginx, 8, []string{"-m", "10", "-t", "2"}},
		{"h2o, one after another", h2o, 1, []string{"-m", "1"}},
		{"h2o, many at once", h2o, 8, []string{"-m", "10", "-t", "2"}},
		{"nghttpd, one after another", nghttpd, 1, []string{"-m", "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := test.start(t)
			args := append([]string{"-n", requests, "-c", strconv.Itoa(test.connections)}, test.args...)
			client := hold(t, `exec h2load "$@"`, append(args, server.url("/"))...)
			s := startSniff(t, "-p", strconv.Itoa(server.pid), "-p", client.pid())
			if out := client.run(); !strings.Contains(out, requests+" succeeded") {
				t.Fatal(out)
			}
			s.waitFor("all connections to close", closed(2*test.connections))
			rows := s.stop()
			wantClean(t, rows)
			if n := wantCausality(t, rows); n != test.connections {
				t.Errorf("%d connections with both ends, want %d", n, test.connections)
			}
		})
	}
}

// wantCausality wants no end of a connection to have received, at any row, more
// than the other end has sent until there. It gives how many connections have
// both ends.
func wantCausality(t testing.TB, rows []row) int {
	t.Helper()
	type side struct{ local, remote string }
	ends := make(map[string]side) // by connection
	for _, r := range rows {
		if r.Kind == "bind" {
			ends[r.Conn] = side{r.Local, r.Remote}
		}
	}
	peers := make(map[string]string)
	for one, a := range ends {
		for other, b := range ends {
			if a.local == b.remote && a.remote == b.local {
				peers[one] = other
			}
		}
	}
	type direction struct{ conn, dir string }
	octets := make(map[direction]int)
	early := 0
	for _, r := range rows {
		n := 0
		switch r.Kind {
		case "preface":
			n = len(http2.ClientPreface)
		case "frame":
			n = 9 + int(r.Length)
		}
		octets[direction{r.Conn, r.Dir}] += n
		other, both := peers[r.Conn]
		if both && r.Dir == "recv" && octets[direction{r.Conn, "recv"}] > octets[direction{other, "send"}] {
			early++
			if early <= 3 {
				t.Errorf("row %d: %s has received %d octets, %s has sent %d", r.Seq, r.Conn,
					octets[direction{r.Conn, "recv"}], other, octets[direction{other, "send"}])
			}
		}
	}
	if early > 0 {
		t.Errorf("%d of %d rows came too early", early, len(rows))
	}
	return len(peers) / 2
}

// TestThreadsOnOneConnection: one thread sends and another receives the
// answers. An answer can return before the call that asked; its row does not.
func TestThreadsOnOneConnection(t *testing.T) {
	t.Parallel()
	const questions = 5000
	p := startPeer(t, peerProgram(t, gnutlsPeer))
	s := startSniff(t, "-p", strconv.Itoa(p.pid))
	conn := listen(t).connect(p, "open")
	w := newWire()
	w.preface()
	begin := w.take()
	w.WriteSettings()
	conn.send(p, w.take())
	conn.take(p, begin)
	go io.Copy(conn, conn) // answers with the same frame
	p.do("echo %d", questions)
	p.do("close")
	p.end()
	rows := s.stop()
	wantClean(t, rows)
	wantIdentity(t, rows, identity{comm: gnutlsPeer, role: "client", pids: []int{p.pid}, library: libgnutls, threads: true})
	asked := make(map[uint32]bool)
	answers, early, threads := 0, 0, make(map[int]bool)
	for _, r := range frames(rows, "", "") {
		switch {
		case r.Type != "DATA":
		case r.Dir == "send":
			asked[r.Stream] = true
			threads[r.TID] = true
		case !asked[r.Stream]:
			early++
		default:
			answers++
			threads[r.TID] = true
		}
	}
	if early > 0 {
		t.Errorf("%d answers come before their questions", early)
	}
	if answers != questions || len(asked) != questions || len(threads) != 2 {
		t.Errorf("%d questions, %d answers, %d threads; want %d, %[4]d, 2", len(asked), answers, len(threads), questions)
	}
}
