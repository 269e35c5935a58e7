// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestCleartextLate: a socket that was in use before h2sniff came is judged by
// what moves then: frames are seen from the first whole call on.
func TestCleartextLate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		calls func(octets []byte) []int // how many octets a call moves
		// whole says whether the first frame is seen: its call has its header.
		whole bool
	}{
		{"whole frames", func(octets []byte) []int { return nil }, true},
		{"a header, its payload", func(octets []byte) []int { return []int{9, len(octets) - 9} }, true},
		{"inside a frame", func(octets []byte) []int { return []int{100, len(octets) - 100} }, false},
	} {
		for _, dir := range []string{"send", "recv"} {
			t.Run(test.name+", "+dir, func(t *testing.T) {
				t.Parallel()
				p := startPeer(t, peerProgram(t, cleartextPeer))
				conn := listenCleartext(t).connect(p, "open")
				w := newWire()
				w.preface()
				w.headers(1, false, get("/")...)
				conn.take(p, w.take())
				w.WriteSettings()
				conn.send(p, w.take())
				w.WriteData(1, false, content(5000))
				cut := w.take()
				lengths := test.calls(cut)
				move := func(octets []byte) {
					if dir == "send" {
						conn.take(p, octets)
					} else {
						conn.send(p, octets)
					}
				}
				if !test.whole {
					move(cut[:lengths[0]])
					cut, lengths = cut[lengths[0]:], nil
				}
				s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
				for _, n := range lengths {
					move(cut[:n])
					cut = cut[n:]
				}
				if len(cut) > 0 {
					move(cut)
				}
				w.WritePing(false, [8]byte{1})
				w.headers(3, true, get("/late")...)
				behind := w.take()
				move(behind)
				smallFrames(w)
				last := w.take()
				move(last)
				p.do("close")
				p.end()
				s.wait()
				rows := s.snapshot()
				got := frames(rows, "", dir)
				want := append(wireFrames(t, behind), wireFrames(t, last)...)
				if len(got) < len(want) {
					t.Fatalf("%d frames, want %d at least", len(got), len(want))
				}
				wantFrames(t, got[len(got)-len(want):], want)
				if first := got[:len(got)-len(want)]; len(first) > 0 && (len(first) != 1 || first[0].Type != "DATA") {
					t.Errorf("%d frames before them", len(first))
				} else if test.name == "whole frames" && len(first) == 0 {
					t.Error("the first frame is missing")
				}
				wantBound(t, rows, conn)
				for _, r := range rows {
					if r.Kind == "open" && r.Library != cleartext {
						t.Errorf("library %q", r.Library)
					}
				}
			})
		}
	}
}

// TestCleartextLateOthers: connections that were open before h2sniff came, of
// TLS and of HTTP/1, are not taken for HTTP/2.
func TestCleartextLateOthers(t *testing.T) {
	needPrograms(t, "h2o")
	t.Parallel()
	plain, encrypted := startCleartextH2O(t, 1), startH2O(t, 1)
	for _, s := range []*server{plain, encrypted} {
		s.content(t, "frames", framesForHTTP1(t))
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{Transport: transport}
	t.Cleanup(transport.CloseIdleConnections)
	ask := func() {
		for _, url := range []string{plain.plainURL("/frames"), encrypted.url("/frames")} {
			resp, err := client.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			if resp.ProtoMajor != 1 {
				t.Fatal(resp.Proto)
			}
			resp.Body.Close()
		}
	}
	ask()
	s := startSniff(t, "-o", "-g", "-p", strconv.Itoa(plain.pid), "-p", strconv.Itoa(encrypted.pid))
	for range 20 {
		ask()
	}
	if rows := s.stop(); len(rows) > 0 {
		t.Errorf("%d rows, the first: %+v", len(rows), rows[0])
	}
}

// framesForHTTP1 is content that is a chain of frames.
func framesForHTTP1(t testing.TB) []byte {
	w := newWire()
	for range 50 {
		smallFrames(w)
	}
	return w.take()
}

// TestCleartextChosen: the system calls of processes that were not chosen are
// not looked at, and those of the machine only if that is asked for.
func TestCleartextChosen(t *testing.T) {
	t.Parallel()
	exchange := func(t *testing.T, far *far, p *peer) []wireFrame {
		_, _, sent := far.begin(p)
		p.do("close")
		return sent
	}
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		a, b := startPeer(t, peerProgram(t, cleartextPeer)), startPeer(t, peerProgram(t, cleartextPeer))
		s := startSniff(t, "--body", "-p", strconv.Itoa(a.pid))
		far := listenCleartext(t)
		exchange(t, far, b)
		want := map[int][]wireFrame{a.pid: exchange(t, far, a)}
		exchange(t, far, b)
		a.end()
		s.wait()
		wantOnly(t, s.snapshot(), want)
	})
	for flags, on := range map[string]bool{"": false, "--h2c": true, "--lib openssl": false, "--lib gnutls,h2c": true, "--lib h2c --h2c=false --lib openssl": false} {
		t.Run("machine "+flags, func(t *testing.T) {
			t.Parallel()
			program := peerProgram(t, cleartextPeer)
			enterNamespace(t, privateLibraries)
			far := listenCleartext(t)
			running := startPeer(t, program)
			s := startSniff(t, append(strings.Fields(flags), "--body")...)
			if said := strings.Contains(s.errors(), "h2sniff: "+cleartext+": enabled, all processes\n"); said != on {
				t.Errorf("h2sniff says\n%s", s.errors())
			}
			later := startPeer(t, program)
			want := make(map[int][]wireFrame)
			for _, p := range []*peer{running, later} {
				if sent := exchange(t, far, p); on {
					want[p.pid] = sent
				}
				p.end()
			}
			if on {
				s.waitFor("them to end", closed(2))
			}
			wantOnly(t, s.stop(), want)
		})
	}
	t.Run("left out", func(t *testing.T) {
		t.Parallel()
		p := startPeer(t, peerProgram(t, cleartextPeer))
		s := startSniff(t, "--h2c=false", "-p", strconv.Itoa(p.pid))
		exchange(t, listenCleartext(t), p)
		p.end()
		s.wait()
		if rows := s.snapshot(); len(rows) > 0 || strings.Contains(s.errors(), cleartext) {
			t.Errorf("%d rows\n%s", len(rows), s.errors())
		}
	})
}

// TestCleartextPython: Python's h2 package on blocking sockets, a thread for
// each connection.
func TestCleartextPython(t *testing.T) {
	needPrograms(t, "nghttp", debianPython)
	t.Parallel()
	port := freePort(t)
	pid := startServer(t, fmt.Sprintf("127.0.0.1:%d", port), debianPython, "testdata/h2_server.py", strconv.Itoa(port))
	server := &server{port: port, dir: t.TempDir(), pid: pid}
	upload := server.dir + "/upload"
	server.file(t, "upload", 200_000)
	s := startSniff(t, "-p", strconv.Itoa(pid))
	for _, request := range [][]string{
		{server.plainURL("/")},
		{server.plainURL("/"), server.plainURL("/1"), server.plainURL("/2")},
		{"-d", upload, server.plainURL("/")},
		{"-w", "30", "-W", "30", "-m", "5", server.plainURL("/")},
	} {
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
		wantIdentity(t, withoutCloses(rows), identity{comm: "python3", role: "server", pids: []int{pid}, library: cleartext, threads: true})
	}
	s.stop()
}

// TestPriorKnowledge: curl --http2-prior-knowledge, by its own account.
func TestPriorKnowledge(t *testing.T) {
	needPrograms(t, "curl")
	t.Parallel()
	server := startCleartextNginx(t, 1)
	server.file(t, "large", 1_500_000)
	s := startSniff(t, "--body", "-p", strconv.Itoa(server.pid))
	// A connection each: curl 7.88 fails where it would use one again.
	for i, path := range []string{"/large", "/missing"} {
		before := len(s.snapshot())
		c := startSniff(t, "--body", "--", "curl", "-vsS", "--http2-prior-knowledge", "-H", "x-one: 1", "-o", "/dev/null", server.plainURL(path))
		c.wait()
		s.waitFor("the connection to close", closed(i+1))
		log := parseCurl(t, c.errors())
		if len(log) != 1 {
			t.Fatalf("curl tells of %d requests", len(log))
		}
		client, rows := c.snapshot(), s.snapshot()[before:]
		wantAddresses(t, rows, client, "exact")
		for _, end := range []struct {
			rows       []row
			send, recv string
		}{{client, "send", "recv"}, {rows, "recv", "send"}} {
			wantClean(t, end.rows)
			wantExact(t, end.rows)
			if got := fieldLines(end.rows, end.send, log[0].stream); !slices.Equal(got, log[0].request) {
				t.Errorf("request %q, curl says %q", got, log[0].request)
			}
			if got := fieldLines(end.rows, end.recv, log[0].stream); !slices.Equal(got, log[0].response) {
				t.Errorf("response %q, curl says %q", got, log[0].response)
			}
			if n := len(body(end.rows, end.recv, log[0].stream)); path == "/large" && n != 1_500_000 && !headersOnly {
				t.Errorf("%d octets of response", n)
			}
		}
	}
	s.stop()
}
