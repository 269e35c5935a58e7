// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startH2O runs Debian's h2o, which gives libssl memory BIOs. It pushes /pushed
// with /push/.
func startH2O(t testing.TB, threads int) *server {
	t.Helper()
	needPrograms(t, "h2o")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	var conf strings.Builder
	fmt.Fprintf(&conf, "user: root\nnum-threads: %d\nhttp2-casper: OFF\n", threads)
	for _, host := range []string{"127.0.0.1", "::1"} {
		fmt.Fprintf(&conf, "listen:\n  host: %q\n  port: %d\n  ssl:\n    certificate-file: %s\n    key-file: %s\n    ocsp-update-interval: 0\n",
			host, s.port, cert, key)
	}
	fmt.Fprintf(&conf, `hosts:
  default:
    paths:
      /push:
        mruby.handler: |
          Proc.new {|env| [399, {"link" => "</pushed>; rel=preload"}, []] }
        file.dir: %[1]s
      /:
        file.dir: %[1]s
`, s.dir)
	path := filepath.Join(s.dir, "h2o.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s.file(t, "index.html", 100)
	s.pid = startServer(t, s.addr(), "h2o", "-m", "worker", "-c", path)
	return s
}

// startNghttpd runs nghttpd with more options.
func startNghttpd(t testing.TB, threads int, args ...string) *server {
	t.Helper()
	needPrograms(t, "nghttpd")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	s.file(t, "index.html", 100)
	args = append([]string{
		"--htdocs=" + s.dir, "--workers=" + strconv.Itoa(threads), strconv.Itoa(s.port), key, cert,
	}, args...)
	s.pid = startServer(t, s.addr(), "nghttpd", args...)
	return s
}

// files puts what nghttpRequests ask for into the document root.
func (s *server) files(t testing.TB) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, "push"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.file(t, "push/index.html", 100)
	s.file(t, "pushed", 5000)
	s.file(t, "large", 300_000)
}

// TestServersAndClientEqualNghttp: what h2sniff sees in each server, and what
// it sees in nghttp itself, is what nghttp says that it sent and received.
func TestServersAndClientEqualNghttp(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	nginx := func(t testing.TB) *server { return startNginx(t, 2, "location /push/ { http2_push /pushed; }") }
	h2o := func(t testing.TB) *server { return startH2O(t, 2) }
	nghttpd := func(args ...string) func(testing.TB) *server {
		args = append(args, "--trailer=x-checksum: 0123", "--push=/push/=/pushed")
		return func(t testing.TB) *server { return startNghttpd(t, 2, args...) }
	}
	small := []string{"--header-table-size=0", "--encoder-header-table-size=0", "-m", "3"}
	for _, test := range []struct {
		name    string
		start   func(testing.TB) *server
		comm    string
		address string // kind of evidence
		threads bool
		nghttp  []string // arguments of one more run of nghttp
	}{
		{"nginx", nginx, "nginx", "exact", false, small},
		{"h2o", h2o, "h2o", "inferred", true, nil}, // h2o 2.2 disregards the size of nghttp's table
		{"nghttpd", nghttpd(), "nghttpd", "exact", true, small},
		{"caddy", startCaddy, "caddy", "exact", true, []string{"-m", "3"}},
		{"nghttpd with padding", nghttpd("--padding=200"), "nghttpd", "exact", true, nil},
		{"nghttpd with small tables", nghttpd("--header-table-size=100", "--encoder-header-table-size=100"), "nghttpd", "exact", true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := test.start(t)
			server.files(t)
			from := time.Now()
			s := startSniff(t, "-p", strconv.Itoa(server.pid))
			requests := nghttpRequests(server)
			if test.nghttp != nil {
				requests = append(requests, append(test.nghttp, server.url("/")))
			}
			for _, request := range requests {
				if test.comm == "caddy" && slices.Contains(request, "-d") {
					continue // its file server takes none, and closes the connection in the middle of one
				}
				before := len(s.snapshot())
				log, client := sniffNghttp(t, request...)
				s.waitFor("the connection to close", func(rows []row) bool {
					return len(rows) > before && rows[len(rows)-1].Kind == "close"
				})
				rows := s.snapshot()[before:]
				if strings.Contains(request[0], "/push/") && !slices.ContainsFunc(log, func(f logged) bool { return f.typ == "PUSH_PROMISE" }) {
					t.Error("the server did not push")
				}
				wantAccount(t, log, client, true)
				wantAccount(t, log, rows, false)
				wantAddresses(t, rows, client, test.address)
				if t.Failed() {
					t.Fatalf("of nghttp %s", strings.Join(request, " "))
				}
			}
			rows := s.stop()
			wantSeq(t, rows)
			library := libssl
			if test.comm == "caddy" {
				library = "caddy"
			}
			wantIdentity(t, rows, identity{
				comm: test.comm, role: "server", library: library, threads: test.threads,
				pids: append(children(t, server.pid), server.pid),
			})
			wantTimes(t, rows, from, time.Now())
			wantSummary(t, s.errors(), rows)
		})
	}
}

// nghttpRequests are arguments for nghttp that make it say different things.
func nghttpRequests(s *server) [][]string {
	upload := s.dir + "/large"
	return [][]string{
		{s.url("/")},
		{s.url("/"), s.url("/large"), s.url("/missing"), s.url("/large")},
		{s.url("/push/")},
		{"-d", upload, "--trailer", "x-end: of upload", s.url("/")},
		{"-b", "200", "-d", upload, s.url("/"), s.url("/large")},
		{"-H", "authorization: secret", "-H", "cookie: a=b; c=d", "-m", "20", s.url("/")},
		{"--header-table-size=50000", "-H", "x-long: " + strings.Repeat("long ", 500) + "end", "-m", "3", s.url("/")},
		{"--no-dep", "-w", "30", "-W", "30", "-M", "7", s.url("/large"), s.url("/large")},
		{"https://[::1]:" + strconv.Itoa(s.port) + "/"},
	}
}

// sniffNghttp runs nghttp under h2sniff and gives its log and the rows.
func sniffNghttp(t testing.TB, args ...string) ([]logged, []row) {
	t.Helper()
	from := time.Now()
	s := startSniff(t, append([]string{"--", "nghttp", "-nv", "--no-verify-peer"}, args...)...)
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	rows := s.snapshot()
	wantSeq(t, rows)
	wantTimes(t, rows, from, time.Now())
	wantSummary(t, s.errors(), rows)
	if len(rows) > 0 {
		pids := []int{rows[0].PID} // wantIdentity compares the other rows with the first
		wantIdentity(t, rows, identity{comm: "nghttp", role: "client", pids: pids, library: libssl})
	}
	// h2sniff hands nghttp's standard output to its own standard error.
	return parseNghttp(t, s.errors()), rows
}

// wantAccount wants the rows of one connection to be what nghttp says; client
// tells whether they are rows of nghttp itself or of its server.
func wantAccount(t testing.TB, log []logged, rows []row, client bool) {
	t.Helper()
	if len(log) < 5 {
		t.Fatalf("nghttp logged %d frames", len(log))
	}
	if list := conns(rows, ""); len(list) != 1 {
		t.Errorf("%d connections, want 1", len(list))
	}
	wantClean(t, rows)
	wantExact(t, rows)
	for _, dir := range []string{"send", "recv"} {
		own := dir
		if !client {
			own = reverse[dir]
		}
		got := fold(frames(rows, "", own))
		wantSame(t, log, dir, got)
		n := 0
		for _, f := range log {
			if f.dir == dir {
				n++
			}
		}
		// nghttp leaves once it has its answers: it does not tell of what
		// came behind them, which is the connection's affairs only.
		for i := n; i < len(got); i++ {
			if got[i].stream != 0 && got[i].typ != "WINDOW_UPDATE" {
				t.Errorf("nghttp %s: not in its log: %v", dir, got[i])
			}
		}
	}
}

// wantAddresses wants the server's end and the client's end of one connection
// to be told as each other's, with the server's evidence of the given kind.
func wantAddresses(t testing.TB, server, client []row, evidence string) {
	t.Helper()
	wantEnds(t, server, client, evidence, "exact")
}

// wantEnds is the same with the client's kind of evidence.
func wantEnds(t testing.TB, server, client []row, evidence, clients string) {
	t.Helper()
	last := func(rows []row) (r row) {
		for i := range rows {
			if rows[i].Kind == "bind" {
				r = rows[i]
			}
		}
		return r
	}
	s, c := last(server), last(client)
	if c.Address != clients || s.Address != evidence {
		t.Errorf("addresses: client %q, server %q; want %s, %s", c.Address, s.Address, clients, evidence)
	}
	if s.Local == "" || s.Local != c.Remote || s.Remote != c.Local {
		t.Errorf("the server's addresses %s %s are not the client's %s %s", s.Local, s.Remote, c.Remote, c.Local)
	}
}
