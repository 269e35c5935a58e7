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

// cleartext is the library of connections that are seen by system calls.
const cleartext = "TCP (cleartext)"

func (s *server) plainURL(path string) string { return "http://" + s.addr() + path }

// startCleartextNginx runs nginx with HTTP/2 without TLS.
func startCleartextNginx(t testing.TB, workers int, directives ...string) *server {
	t.Helper()
	needPrograms(t, "nginx")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	conf := filepath.Join(s.dir, "nginx.conf")
	err := os.WriteFile(conf, fmt.Appendf(nil, `
daemon off; error_log stderr warn; pid %[1]s/nginx.pid; worker_processes %[2]d;
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 100000; http2_max_concurrent_streams 256;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server { listen 127.0.0.1:%[3]d http2; listen [::1]:%[3]d http2; root %[1]s; %[4]s }
}`, s.dir, workers, s.port, strings.Join(directives, " ")), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s.file(t, "index.html", 100)
	s.pid = startServer(t, s.addr(), "nginx", "-c", conf, "-p", s.dir)
	return s
}

// startCleartextH2O runs h2o without TLS.
func startCleartextH2O(t testing.TB, threads int) *server {
	t.Helper()
	needPrograms(t, "h2o")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	path := filepath.Join(s.dir, "h2o.conf")
	err := os.WriteFile(path, fmt.Appendf(nil, `user: root
num-threads: %d
http2-casper: OFF
listen: {host: "127.0.0.1", port: %[2]d}
listen: {host: "::1", port: %[2]d}
hosts:
  default:
    paths:
      /:
        file.dir: %[3]s
`, threads, s.port, s.dir), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s.file(t, "index.html", 100)
	s.pid = startServer(t, s.addr(), "h2o", "-m", "worker", "-c", path)
	return s
}

// withoutCloses leaves out the ends of connections: TCP ends them, no thread.
func withoutCloses(rows []row) []row {
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Kind == "close" })
}

// TestCleartextEqualsNghttp: what h2sniff sees of HTTP/2 without TLS, at both
// ends, is what nghttp says that it sent and received.
func TestCleartextEqualsNghttp(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	for _, test := range []struct {
		name  string
		start func(testing.TB) *server
	}{
		{"nghttpd", startCleartext},
		{"nginx", func(t testing.TB) *server { return startCleartextNginx(t, 2) }},
		{"h2o", func(t testing.TB) *server { return startCleartextH2O(t, 2) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := test.start(t)
			server.file(t, "large", 300_000)
			from := time.Now()
			s := startSniff(t, "-p", strconv.Itoa(server.pid))
			requests := [][]string{
				{server.plainURL("/")},
				{server.plainURL("/"), server.plainURL("/large"), server.plainURL("/missing"), server.plainURL("/large")},
				{"-b", "200", "-d", server.dir + "/large", server.plainURL("/"), server.plainURL("/large")},
				{"-H", "x-long: " + strings.Repeat("long ", 500), "-m", "3", server.plainURL("/")},
			}
			if test.name != "nghttpd" { // it listens on one address
				requests = append(requests, []string{fmt.Sprintf("http://[::1]:%d/", server.port)})
			}
			for _, request := range requests {
				before := len(s.snapshot())
				c := startSniff(t, append([]string{"--", "nghttp", "-nv"}, request...)...)
				c.wait()
				client := c.snapshot()
				log := parseNghttp(t, c.errors())
				s.waitFor("the connection to close", func(rows []row) bool {
					return len(rows) > before && rows[len(rows)-1].Kind == "close"
				})
				rows := s.snapshot()[before:]
				wantAccount(t, log, client, true)
				wantAccount(t, log, rows, false)
				wantAddresses(t, rows, client, "exact")
				if len(client) > 0 {
					wantIdentity(t, withoutCloses(client), identity{comm: "nghttp", role: "client", pids: []int{client[0].PID}, library: cleartext})
				}
				if t.Failed() {
					t.Fatalf("of nghttp %s", strings.Join(request, " "))
				}
			}
			rows := s.stop()
			wantSeq(t, rows)
			wantIdentity(t, withoutCloses(rows), identity{
				comm: test.name, role: "server", library: cleartext, threads: test.name == "h2o",
				pids: append(children(t, server.pid), server.pid),
			})
			wantTimes(t, rows, from, time.Now())
			wantSummary(t, s.errors(), rows)
		})
	}
}

// TestCleartextUpgrade: a connection that changes from HTTP/1.1 is seen from
// its change on (RFC 7540, section 3.2).
func TestCleartextUpgrade(t *testing.T) {
	needPrograms(t, "nghttp", "curl")
	t.Parallel()
	server := startCleartextH2O(t, 1)
	server.file(t, "large", 300_000)
	server.file(t, "medium", 30_000) // curl 7.88 can stop at an upgraded stream's first window
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	closed := func(rows []row) bool { return len(rows) > 0 && rows[len(rows)-1].Kind == "close" }

	c := startSniff(t, "--", "nghttp", "-nuv", server.plainURL("/large"), server.plainURL("/"))
	c.wait()
	log := parseNghttp(t, c.errors())
	s.waitFor("nghttp's connection to close", closed)
	wantAccount(t, log, c.snapshot(), true)
	wantAccount(t, log, s.snapshot(), false)
	wantAddresses(t, s.snapshot(), c.snapshot(), "exact")
	for _, r := range frames(s.snapshot(), "", "send") {
		if r.Stream == 1 && r.Type == "DATA" {
			goto curl
		}
	}
	t.Error("no response to the request that asked for the change")
curl:
	before := len(s.snapshot())
	c = startSniff(t, "--", "curl", "-s", "--http2", "-o", "/dev/null", server.plainURL("/medium"), "-o", "/dev/null", server.plainURL("/"))
	c.wait()
	s.waitFor("curl's connection to close", func(rows []row) bool { return len(rows) > before && closed(rows) })
	theirs, ours := s.snapshot()[before:], c.snapshot()
	for _, rows := range [][]row{theirs, ours} {
		wantClean(t, rows)
		var octets uint32
		for _, r := range frames(rows, "", "") {
			if r.Type == "DATA" {
				octets += r.Length
			}
		}
		if octets != 30_000+100 {
			t.Errorf("%d octets of content, want 30100", octets)
		}
	}
	if a, b := len(frames(theirs, "", "")), len(frames(ours, "", "")); a < b || b == 0 {
		t.Errorf("%d frames at the server, %d at curl", a, b)
	}
	s.stop()
}

// TestCleartextOthers: sockets of a process that do not speak HTTP/2 show
// nothing.
func TestCleartextOthers(t *testing.T) {
	needPrograms(t, "curl", "nghttp")
	t.Parallel()
	server := startNginx(t, 1, fmt.Sprintf("listen 127.0.0.1:%d;", freePort(t)))
	plain := startCleartextH2O(t, 1)
	s := startSniff(t, "-o", "-g", "-p", strconv.Itoa(server.pid), "-p", strconv.Itoa(plain.pid))
	for range 20 {
		run(t, "curl", "-ksS", "--http2", "-o", "/dev/null", server.url("/"))
		run(t, "curl", "-ksS", "--http1.1", "-o", "/dev/null", plain.plainURL("/"), "-o", "/dev/null", plain.plainURL("/"))
	}
	run(t, "nghttp", "-nv", plain.plainURL("/"))
	s.waitFor("the one connection", func(rows []row) bool { return countKind(rows, "", "close") > 0 })
	rows := s.stop()
	var opened []row
	for _, r := range rows {
		if r.Kind == "open" || r.Kind == "protocol" {
			opened = append(opened, r)
		}
	}
	if len(opened) != 1 || opened[0].Comm != "h2o" {
		t.Errorf("want the one connection of h2o, got %+v", opened)
	}
	if slices.ContainsFunc(rows, func(r row) bool { return r.Kind == "gap" }) {
		t.Error("a gap")
	}
}
