// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// curlRequest is a request as curl -v tells of it.
type curlRequest struct {
	stream   uint32
	request  []string // "name: value", pseudo-header fields included
	response []string // curl does not tell of trailers
}

var (
	curlField    = regexp.MustCompile(`^\* h2h3 \[(.*)\]$`)
	curlStream   = regexp.MustCompile(`^\* Using Stream ID: (\d+) `)
	curlStatus   = regexp.MustCompile(`^< HTTP/2 (\d+) $`)
	curlResponse = regexp.MustCompile(`^< ([^:]+: .*)$`)
)

// parseCurl reads what curl -v writes of requests that it makes one after
// another.
func parseCurl(t testing.TB, output string) []curlRequest {
	t.Helper()
	var out []curlRequest
	var fields []string
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		if m := curlField.FindStringSubmatch(line); m != nil {
			fields = append(fields, m[1])
		} else if m := curlStream.FindStringSubmatch(line); m != nil {
			out = append(out, curlRequest{stream: number(t, m[1], 10), request: fields})
			fields = nil
		} else if len(out) > 0 {
			last := &out[len(out)-1]
			if m := curlStatus.FindStringSubmatch(line); m != nil {
				last.response = append(last.response, ":status: "+m[1])
			} else if m := curlResponse.FindStringSubmatch(line); m != nil {
				last.response = append(last.response, m[1])
			}
		}
	}
	return out
}

// fieldLines are the header fields of a stream in one direction, in order.
func fieldLines(rows []row, dir string, stream uint32) []string {
	var out []string
	for _, r := range frames(rows, "", dir) {
		for _, h := range r.Headers {
			if r.Stream == stream {
				out = append(out, h.Name+": "+h.Value)
			}
		}
	}
	return out
}

// body is the content of a stream's DATA frames in one direction.
func body(rows []row, dir string, stream uint32) []byte {
	var out []byte
	for _, r := range frames(rows, "", dir) {
		if r.Type == "DATA" && r.Stream == stream {
			out = append(out, r.Data...)
		}
	}
	return out
}

// TestCurl: header fields as curl -v tells them, and bodies octet for octet, in
// curl and in its server.
func TestCurl(t *testing.T) {
	needPrograms(t, "curl")
	t.Parallel()
	for _, test := range []struct {
		name  string
		start func() *server
		args  []string // for each request
	}{
		{"nginx", func() *server { return startNginx(t, 1) }, nil},
		{"nghttpd, uploads", func() *server { return startNghttpd(t, 1, "--echo-upload") }, []string{"-X", "POST", "-T"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := test.start()
			from := time.Now()
			s := startSniff(t, "--body", "-p", strconv.Itoa(server.pid))
			var args, outputs []string
			var contents [][]byte
			for i, size := range []int{0, 1, 16384, 1_500_000} {
				contents = append(contents, content(size))
				name := fmt.Sprintf("body%d", size)
				path := filepath.Join(server.dir, name)
				if err := os.WriteFile(path, contents[i], 0o644); err != nil {
					t.Fatal(err)
				}
				outputs = append(outputs, path+".out")
				if i > 0 {
					args = append(args, "--next")
				}
				args = append(args, "-kvsS", "--http2", "-H", "x-size: "+strconv.Itoa(size), "-o", outputs[i])
				if test.args != nil {
					args = append(append(args, test.args...), path)
				}
				args = append(args, server.url("/"+name))
			}
			c := startSniff(t, append([]string{"--body", "--", "curl"}, args...)...)
			c.wait()
			s.waitFor("the connection to close", closed(1))
			log := parseCurl(t, c.errors())
			if len(log) != len(contents) {
				t.Fatalf("curl tells of %d requests, want %d", len(log), len(contents))
			}
			wantCurl := func(rows []row, send, recv string) {
				t.Helper()
				wantClean(t, rows)
				wantExact(t, rows)
				wantTimes(t, rows, from, time.Now())
				for i, request := range log {
					if got := fieldLines(rows, send, request.stream); !slices.Equal(got, request.request) {
						t.Errorf("stream %d: request %q, curl says %q", request.stream, got, request.request)
					}
					if got := fieldLines(rows, recv, request.stream); !slices.Equal(got, request.response) {
						t.Errorf("stream %d: response %q, curl says %q", request.stream, got, request.response)
					}
					wantBody(t, fmt.Sprintf("response on stream %d", request.stream), body(rows, recv, request.stream), contents[i])
					if test.args != nil {
						wantBody(t, fmt.Sprintf("request on stream %d", request.stream), body(rows, send, request.stream), contents[i])
					}
				}
			}
			for i, path := range outputs {
				if got, err := os.ReadFile(path); err != nil && len(contents[i]) > 0 || !bytes.Equal(got, contents[i]) {
					t.Errorf("curl received %d octets, want %d: %v", len(got), len(contents[i]), err)
				}
			}
			client, rows := c.snapshot(), s.stop()
			wantCurl(client, "send", "recv")
			wantCurl(rows, "recv", "send")
			wantSummary(t, c.errors(), client)
			wantSummary(t, s.errors(), rows)
			wantIdentity(t, client, identity{comm: "curl", role: "client", pids: []int{client[0].PID}, library: libssl})
			wantAddresses(t, rows, client, "exact")
		})
	}
}

// closed is satisfied when n connections have closed.
func closed(n int) func([]row) bool {
	return func(rows []row) bool { return count(rows, func(r row) bool { return r.Kind == "close" }) >= n }
}

func count(rows []row, is func(row) bool) int {
	n := 0
	for _, r := range rows {
		if is(r) {
			n++
		}
	}
	return n
}

var h2loadTraffic = regexp.MustCompile(`traffic: \S+ \((\d+)\) total, \S+ \((\d+)\) headers \([^)]*\), \S+ \((\d+)\) data`)

// TestH2load: every connection has its requests and responses, and the octets
// are those that h2load has counted.
func TestH2load(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	const connections, requests, size = 4, 100, 20_000
	nginx := startNginx(t, 2)
	nginx.file(t, "file", size)
	from := time.Now()
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	c := startSniff(t, "--", "h2load", "-n", strconv.Itoa(requests), "-c", strconv.Itoa(connections), "-m", "10", "-t", "2", nginx.url("/file"))
	c.wait()
	s.waitFor("all connections to close", closed(connections))
	report := c.errors()
	if !strings.Contains(report, fmt.Sprintf("%d succeeded", requests)) {
		t.Fatal("h2load failed")
	}
	m := h2loadTraffic.FindStringSubmatch(report)
	if m == nil {
		t.Fatal("h2load tells of no traffic")
	}
	client, server := c.snapshot(), s.stop()

	var total, headers, data uint32
	for _, r := range frames(client, "", "recv") {
		total += 9 + r.Length
		switch r.Type {
		case "HEADERS":
			headers += r.Length
		case "DATA":
			data += r.Length
		}
	}
	for i, got := range []uint32{total, headers, data} {
		if want := number(t, m[i+1], 10); got != want {
			t.Errorf("%s octets: got %d, h2load counted %d", []string{"all", "header", "data"}[i], got, want)
		}
	}
	for _, end := range []struct {
		name       string
		rows       []row
		send, recv string // of the client, as this end sees them
		identity   identity
	}{
		{"client", client, "send", "recv", identity{comm: "h2load", role: "client", pids: []int{client[0].PID}, library: libssl, threads: true}},
		{"server", server, "recv", "send", identity{comm: "nginx", role: "server", pids: children(t, nginx.pid), library: libssl}},
	} {
		wantClean(t, end.rows)
		wantExact(t, end.rows)
		wantIdentity(t, end.rows, end.identity)
		wantTimes(t, end.rows, from, time.Now())
		list := conns(end.rows, "")
		if len(list) != connections {
			t.Errorf("%s: %d connections, want %d", end.name, len(list), connections)
		}
		for _, conn := range list {
			wantRequests(t, end.name+" "+conn, frames(end.rows, conn, end.send), requests/connections, 0)
			wantRequests(t, end.name+" "+conn, frames(end.rows, conn, end.recv), requests/connections, size)
		}
	}
	wantSummary(t, report, client)
	wantSummary(t, s.errors(), server)
}

// wantRequests wants one direction of a connection to have a HEADERS frame on
// each of the first streams, with a body of the given size, END_STREAM once on
// each, and nothing else of the kind.
func wantRequests(t testing.TB, what string, rows []row, streams int, size uint32) {
	t.Helper()
	type stream struct{ headers, ends, octets uint32 }
	seen := make(map[uint32]stream)
	for _, r := range rows {
		if r.Type != "HEADERS" && r.Type != "DATA" {
			if r.Type == "RST_STREAM" || r.Type == "CONTINUATION" {
				t.Errorf("%s: %s on stream %d", what, r.Type, r.Stream)
			}
			continue
		}
		s := seen[r.Stream]
		if s.ends > 0 {
			t.Errorf("%s: %s on stream %d after its end", what, r.Type, r.Stream)
		}
		if r.Type == "HEADERS" {
			s.headers++
			if r.Flags&uint8(http2.FlagHeadersEndHeaders) == 0 || len(r.Headers) < 4 {
				t.Errorf("%s: header fields %v on stream %d, flags %#x", what, r.Headers, r.Stream, r.Flags)
			}
		} else {
			s.octets += r.Length
		}
		if r.Flags&uint8(http2.FlagDataEndStream) != 0 {
			s.ends++
		}
		seen[r.Stream] = s
	}
	for i := range streams {
		id := uint32(2*i + 1)
		if want := (stream{1, 1, size}); seen[id] != want {
			t.Errorf("%s: stream %d has (headers, ends, octets) %v, want %v", what, id, seen[id], want)
		}
		delete(seen, id)
	}
	for id := range seen {
		t.Errorf("%s: stream %d is too many", what, id)
	}
}
