// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

// ignoredHandles counts the TLS handles that a running h2sniff has told the
// kernel to leave alone.
func ignoredHandles(t testing.TB, s *sniff) int {
	t.Helper()
	return mapEntries(t, s.cmd.Process.Pid, "ignored")
}

// mapEntries counts the entries of a BPF map of a process.
func mapEntries(t testing.TB, pid int, name string) int {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	n := 0
	for _, e := range entries {
		info, err := os.ReadFile(filepath.Join(dir, e.Name()))
		_, rest, ok := strings.Cut(string(info), "map_id:\t")
		if err != nil || !ok {
			continue // closed meanwhile, or not a map
		}
		id, _, _ := strings.Cut(rest, "\n")
		if seen[id] {
			continue
		}
		seen[id] = true
		m, err := ebpf.NewMapFromID(ebpf.MapID(number(t, id, 10)))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if about, err := m.Info(); err != nil || about.Name != name {
			continue
		}
		var key, value []byte
		for all := m.Iterate(); all.Next(&key, &value); {
			n++
		}
	}
	return n
}

// http1 is a client that keeps one HTTP/1.1 connection.
func http1(t testing.TB) *http.Client {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		TLSNextProto:    map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
		MaxConnsPerHost: 1,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: timeout}
}

// fetch gets a body of the given size.
func fetch(t testing.TB, client *http.Client, url string, size int64) {
	t.Helper()
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); n != size || err != nil || response.ProtoMajor != 1 {
		t.Fatalf("%s: %d octets of HTTP/%d: %v", url, n, response.ProtoMajor, err)
	}
}

// TestHTTP1: connections that speak HTTP/1.1 are told as such and have no
// frames, and the HTTP/2 connections among them, which reuse their handles, are
// all seen.
func TestHTTP1(t *testing.T) {
	needPrograms(t, "curl")
	t.Parallel()
	const rounds = 20
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 300_000)
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	for range rounds {
		run(t, "curl", "-ksS", "--http1.1", "-o", "/dev/null", nginx.url("/large"), "-o", "/dev/null", nginx.url("/"))
		run(t, "curl", "-ksS", "--http2", "-o", "/dev/null", nginx.url("/"))
	}
	s.waitFor("all connections to close", closed(2*rounds))
	rows := s.stop()
	wantClean(t, rows)
	wantExact(t, rows)
	if list := conns(rows, ""); len(list) != rounds {
		t.Errorf("%d connections have frames, want %d", len(list), rounds)
	}
	opened := count(rows, func(r row) bool { return r.Kind == "open" })
	prefaces := count(rows, func(r row) bool { return r.Kind == "preface" })
	recognised := count(rows, func(r row) bool { return r.Kind == "protocol" && r.Protocol == "HTTP/1.1" })
	if opened != 2*rounds || prefaces != rounds || recognised != rounds {
		t.Errorf("%d connections were opened, of which %d began with a preface and %d speak HTTP/1.1; want %d, %d, %[4]d",
			opened, prefaces, recognised, 2*rounds, rounds)
	}
}

// TestHTTP1CostsLittle: once a connection is known to speak HTTP/1.1 nothing of
// it is captured any more.
func TestHTTP1CostsLittle(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	const size, requests = 1_000_000, 50
	nginx := startNginx(t, 1)
	nginx.file(t, "large", size)
	path := filepath.Join(t.TempDir(), "recording")
	s := startRecord(t, path, nginx.pid)
	client := http1(t)
	fetch(t, client, nginx.url("/"), 100)
	waitUntil(t, "the connection to be recognised", func() bool { return ignoredHandles(t, s) == 1 })
	for range requests {
		fetch(t, client, nginx.url("/large"), size)
	}
	log := parseNghttp(t, run(t, "nghttp", "-nv", nginx.url("/")))
	s.stop()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(100_000); info.Size() > limit {
		t.Errorf("%d octets were recorded of %d that HTTP/1.1 moved, want at most %d", info.Size(), requests*size, limit)
	}
	wantAccount(t, log, dumpRecording(t, path), false)
}
