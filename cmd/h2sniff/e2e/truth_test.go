// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// startNode runs node's HTTP/2 server.
func startNode(t testing.TB) *server {
	t.Helper()
	needPrograms(t, "node")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	s.file(t, "index.html", 100)
	s.pid = startServer(t, s.addr(), "node", "testdata/server.js", strconv.Itoa(s.port), cert, key, s.dir)
	return s
}

// startCleartextCaddy runs Debian's caddy without TLS.
func startCleartextCaddy(t testing.TB) *server {
	t.Helper()
	needPrograms(t, "caddy")
	s := &server{port: freePort(t), dir: sharedDir(t), cleartext: true}
	s.file(t, "index.html", 100)
	conf := filepath.Join(s.dir, "Caddyfile")
	err := os.WriteFile(conf, fmt.Appendf(nil, `{
	admin off
	auto_https off
	servers {
		protocols h1 h2c
	}
}
http://127.0.0.1:%[2]d {
	root * %[1]s
	encode gzip
	file_server
}
`, s.dir, s.port), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s.pid = startServer(t, s.addr(), "env", "HOME="+s.dir, "caddy", "run", "--config", conf, "--adapter", "caddyfile")
	return s
}

// clientsOf lets nghttp, curl and h2load ask a server for things.
func clientsOf(t testing.TB, s *server) {
	t.Helper()
	for _, request := range nghttpRequests(s) {
		if strings.HasPrefix(request[len(request)-1], "https://[::1]") && s.cleartext {
			continue
		}
		run(t, "nghttp", append([]string{"-n", "--no-verify-peer"}, request...)...)
	}
	curl := []string{"-ks", "--http2"}
	for i := range 60 {
		curl = append(curl, "-o", "/dev/null", s.url(fmt.Sprintf("/?n=%d", i%17)))
	}
	if s.cleartext {
		// curl 7.88 fails in a second request over such a connection.
		curl = []string{"-s", "--http2-prior-knowledge", "-o", "/dev/null", s.url("/large")}
	}
	run(t, "curl", curl...)
	run(t, "h2load", "-n", "300", "-c", "3", "-m", "10", s.url("/"), s.url("/large"))
}

// recordServer records a server while clients use it.
func recordServer(start func(testing.TB) *server) func(testing.TB) string {
	return func(t testing.TB) string {
		s := start(t)
		s.files(t)
		return recordPID(t, s.pid, func() { clientsOf(t, s) })
	}
}

// recordGRPC records grpc-go at its server.
func recordGRPC(t testing.TB) string {
	server, _ := startLogging(t, "grpc server")
	port := server.answer()
	path := recordPID(t, server.pid, func() {
		for range 3 {
			client, _ := startLogging(t, "grpc client", port)
			for range 60 {
				client.do("calls")
			}
			client.end()
		}
	})
	server.end()
	return path
}

// recordNode records node as a client of nginx.
func recordNode(t testing.TB) string {
	needPrograms(t, "node")
	nginx := startNginx(t, 1)
	path := filepath.Join(t.TempDir(), "recorded.pcapng")
	s := startSniffCommand(t, exec.Command(h2sniff, "record", "-w", path, "--", "node", "testdata/requests.js", nginx.url(""), "500"))
	s.wait()
	return path
}

// TestOracle: of what real servers and clients said to each other, our JSON
// and tshark tell the same, frame for frame: type, length, flags, stream,
// padding, priority, settings, codes, header fields, and how each of these was
// represented. And no rule of the RFC is said to be broken: none is by them.
func TestOracle(t *testing.T) {
	needPrograms(t, "tshark", "nghttp", "curl", "h2load")
	for _, test := range []struct {
		name   string
		record func(testing.TB) string
	}{
		{"nginx", recordServer(func(t testing.TB) *server { return startNginx(t, 2, "location /push/ { http2_push /pushed; }") })},
		{"h2o", recordServer(func(t testing.TB) *server { return startH2O(t, 1) })},
		{"nghttpd", recordServer(func(t testing.TB) *server {
			return startNghttpd(t, 1, "--trailer=x-checksum: 0123", "--push=/push/=/pushed", "--padding=30")
		})},
		{"node", recordServer(startNode)},
		{"caddy", recordServer(startCaddy)},
		{"caddy without TLS", recordServer(startCleartextCaddy)},
		{"grpc-go", recordGRPC},
		{"node's client", recordNode},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := test.record(t)
			single := filepath.Join(t.TempDir(), "single.pcapng")
			decodeAs := oneFrameAPacket(t, path, single)
			frames, fields := wantOracle(t, askH2sniff(t, path), askOracle(t, single, decodeAs))
			t.Logf("%d frames, %d header fields", frames, fields)
			if frames < 1500 || fields < 2000 {
				t.Errorf("only %d frames and %d header fields", frames, fields)
			}
			wantNoErrors(t, path)
		})
	}
}

var checkSummary = regexp.MustCompile(`(\d+) errors?, .* in (\d+) frames?`)

// wantNoErrors wants a recording in which no error is found. It gives how many
// frames it has.
func wantNoErrors(t testing.TB, path string) (frames int) {
	t.Helper()
	out, err := exec.Command(h2sniff, "check", "--severity", "error", path).CombinedOutput()
	m := checkSummary.FindSubmatch(out)
	if err != nil || m == nil || string(m[1]) != "0" {
		t.Errorf("%v: %s", err, out)
		return 0
	}
	frames, _ = strconv.Atoi(string(m[2]))
	return frames
}
