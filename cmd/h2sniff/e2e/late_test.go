// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// trusts counts header fields by what h2sniff says of them.
type trusts struct{ exact, unknown int }

// wantNoWrongValue wants a frame's header fields to be those that were sent,
// where they are said to be exact, and otherwise to be told as unknown.
func wantNoWrongValue(t testing.TB, r row, sent []hpack.HeaderField, n *trusts) {
	t.Helper()
	if len(r.Headers) != len(sent) {
		t.Fatalf("row %d: %d header fields, %d were sent", r.Seq, len(r.Headers), len(sent))
	}
	for i, h := range r.Headers {
		want := sent[i]
		switch h.Trust {
		case "exact":
			n.exact++
			if h.Name != want.Name || h.Value != want.Value {
				t.Fatalf("row %d: exact %s: %s, but %s: %s was sent", r.Seq, h.Name, h.Value, want.Name, want.Value)
			}
		case "unknown since attach":
			n.unknown++
			if h.Name != "" && h.Name != want.Name || h.Value != "" && h.Value != want.Value {
				t.Fatalf("row %d: %+v, but %s: %s was sent", r.Seq, h, want.Name, want.Value)
			}
		default:
			t.Fatalf("row %d: trust %q", r.Seq, h.Trust)
		}
	}
}

// TestAttachInTheMiddle: h2sniff comes when half of 1,000 requests have gone
// over a connection.
func TestAttachInTheMiddle(t *testing.T) {
	t.Parallel()
	const requests = 1000
	for _, test := range []struct {
		name string
		// unique fields are put into the dynamic tables, so that old entries
		// soon leave them; or never, so that the old ones stay.
		indexed bool
		table   uint32
	}{
		{"entries leave", true, 4096},
		{"entries stay", false, 4096},
		{"large tables", true, 65536},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, opensslPeer))
			conn := listen(t).connect(p, "open")
			up, down := newWire(), newWire()
			up.preface(http2.Setting{ID: http2.SettingHeaderTableSize, Val: test.table})
			down.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: test.table})
			for _, w := range []*wire{up, down} {
				w.enc.SetMaxDynamicTableSizeLimit(test.table)
				w.enc.SetMaxDynamicTableSize(test.table)
			}
			request := func(i int) []hpack.HeaderField {
				return append(get(fmt.Sprintf("/%d", i%50)),
					hpack.HeaderField{Name: "user-agent", Value: "one for all of them"},
					hpack.HeaderField{Name: "cookie", Value: fmt.Sprintf("session=%d", i%20)},
					hpack.HeaderField{Name: "x-request", Value: strconv.Itoa(i), Sensitive: !test.indexed},
				)
			}
			response := func(i int) []hpack.HeaderField {
				return []hpack.HeaderField{
					{Name: ":status", Value: "200"},
					{Name: "server", Value: "one for all of them"},
					{Name: "set-cookie", Value: fmt.Sprintf("session=%d", i%20)},
					{Name: "x-reply", Value: strconv.Itoa(i), Sensitive: !test.indexed},
				}
			}
			var s *sniff
			var sent, received []byte
			for i := range requests {
				if i == requests/2 {
					s = startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
					sent, received = nil, nil
				}
				stream := uint32(2*i + 1)
				up.headers(stream, i%3 != 0, request(i)...)
				if i%3 == 0 {
					up.WriteData(stream, true, content(i))
				}
				down.headers(stream, false, response(i)...)
				down.WriteData(stream, true, content(2*i))
				question, answer := up.take(), down.take()
				conn.take(p, question, 10000)
				conn.send(p, answer)
				sent, received = append(sent, question...), append(received, answer...)
			}
			p.do("close")
			p.end()
			rows := s.stop()
			wantClean(t, rows)
			for _, side := range []struct {
				dir    string
				octets []byte
				fields func(int) []hpack.HeaderField
			}{{"send", sent, request}, {"recv", received, response}} {
				got := frames(rows, "", side.dir)
				wantFrames(t, got, wireFrames(t, side.octets))
				var n trusts
				for _, r := range got {
					if r.Type == "HEADERS" {
						wantNoWrongValue(t, r, side.fields(int(r.Stream-1)/2), &n)
					}
				}
				t.Logf("%s: %d fields exact, %d unknown", side.dir, n.exact, n.unknown)
				if n.unknown == 0 || n.exact < requests/2 {
					t.Errorf("%s: %d fields exact, %d unknown", side.dir, n.exact, n.unknown)
				}
			}
		})
	}
}

// TestAttachInsideFrame: h2sniff comes between two calls that send one frame.
func TestAttachInsideFrame(t *testing.T) {
	t.Parallel()
	for _, before := range []int{5, 9, 100} { // octets of the frame that have gone
		t.Run(strconv.Itoa(before), func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, opensslPeer))
			conn := listen(t).connect(p, "open")
			w := newWire()
			w.preface()
			w.headers(1, false, get("/")...)
			conn.take(p, w.take())
			w.WriteData(1, false, content(5000))
			cut := w.take()
			conn.take(p, cut[:before])
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			conn.take(p, cut[before:])
			smallFrames(w)
			w.WriteData(1, true, content(100))
			behind := w.take()
			conn.take(p, behind)
			p.do("close")
			p.end()
			rows := s.stop()
			wantFrames(t, frames(rows, "", "send"), wireFrames(t, behind))
			var skipped uint64
			for _, r := range rows {
				if r.Kind == "gap" {
					skipped += r.Bytes
				}
			}
			if want := uint64(len(cut) - before); skipped != want {
				t.Errorf("%d octets skipped, want %d", skipped, want)
			}
		})
	}
}

// TestAttachInsideCall: h2sniff comes while the process waits for octets inside
// a call. Nobody can tell what that call returns; what comes behind it must not
// be taken for something else because of that.
func TestAttachInsideCall(t *testing.T) {
	t.Parallel()
	for _, program := range []string{opensslPeer, gnutlsPeer, boringPeer, wolfsslPeer, mbedtlsPeer, nssPeer} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, program))
			conn, _, _ := listen(t).begin(p)
			w := newWire()
			answer := func(i int) ([]byte, []hpack.HeaderField) {
				fields := []hpack.HeaderField{
					{Name: ":status", Value: "200"},
					{Name: "x-all", Value: "one for all of them"},
					{Name: "x-reply", Value: strconv.Itoa(i / 2)}, // an old entry every other time
				}
				w.headers(uint32(2*i+1), false, fields...)
				w.WriteData(uint32(2*i+1), true, content(100))
				return w.take(), fields
			}
			w.WriteSettings()
			conn.send(p, w.take())
			missed, _ := answer(0)
			p.tell("read %d", len(missed))
			waitUntil(t, "the peer to wait inside a call", func() bool { return waitsForSocket(t, p.pid) })
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			if _, err := conn.Write(missed); err != nil {
				t.Fatal(err)
			}
			p.answer()
			var received []byte
			sent := make(map[uint32][]hpack.HeaderField)
			for i := 1; i < 20; i++ {
				octets, fields := answer(i)
				conn.send(p, octets)
				received = append(received, octets...)
				sent[uint32(2*i+1)] = fields
			}
			p.do("close")
			p.end()
			s.wait()
			rows := s.snapshot()
			wantClean(t, rows)
			got := frames(rows, "", "recv")
			wantFrames(t, got, wireFrames(t, received))
			var n trusts
			for _, r := range headersOf(got) {
				wantNoWrongValue(t, r, sent[r.Stream], &n)
			}
			if n.exact == 0 || n.unknown == 0 {
				t.Errorf("%d fields exact, %d unknown", n.exact, n.unknown)
			}
		})
	}
}

// waitsForSocket says whether a process is in a system call on another file
// than its standard input.
func waitsForSocket(t testing.TB, pid int) bool {
	t.Helper()
	call, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(call)) // number and arguments, or "running"
	return len(f) > 1 && f[1] != "0x0"
}

// attachWithin starts h2sniff while a client works. Where that takes longer
// than the time that there is, the client has to wait for it.
func attachWithin(t testing.TB, client *held, early func() bool, args ...string) *sniff {
	t.Helper()
	ready, done := make(chan struct{}), make(chan struct{})
	defer func() { <-done }()
	defer close(ready)
	go func() {
		defer close(done)
		for early() {
			select {
			case <-ready:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		client.cmd.Process.Signal(syscall.SIGSTOP)
		<-ready
		client.cmd.Process.Signal(syscall.SIGCONT)
	}()
	return startSniff(t, args...)
}

// TestAttachUnderLoad: h2sniff comes while h2load is at work, whose every
// request has a path of its own.
func TestAttachUnderLoad(t *testing.T) {
	needPrograms(t, "h2load", "curl")
	t.Parallel()
	const requests, connections = 1000, 4
	log := filepath.Join(sharedDir(t), "access")
	nginx := startNginx(t, 2, "access_log "+log+";")
	head := run(t, "curl", "-ksI", "--http2", nginx.url("/"))
	var response []hpack.HeaderField
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if status, ok := strings.CutPrefix(name, "HTTP/2 "); ok {
			name, value = ":status", strings.TrimSpace(status)
		}
		if name != "" {
			response = append(response, hpack.HeaderField{Name: name, Value: value})
		}
	}
	agent := strings.TrimSpace(run(t, "h2load", "--version"))
	var urls bytes.Buffer
	for i := range requests {
		fmt.Fprintln(&urls, nginx.url(fmt.Sprintf("/?%d", i)))
	}
	list := filepath.Join(t.TempDir(), "urls")
	if err := os.WriteFile(list, urls.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	client := hold(t, `exec h2load "$@"`, "-n", strconv.Itoa(requests*connections), "-c", strconv.Itoa(connections),
		"-i", list, "--rps=400", "-H", "x-run: one for all", "-H", "cookie: a=b", nginx.url("/"))
	client.release()
	served := func() int {
		content, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return bytes.Count(content, []byte("\n"))
	}
	waitUntil(t, "a third of the requests", func() bool { return served() > requests*connections/3 })
	s := attachWithin(t, client, func() bool { return served() < requests*connections*2/3 },
		"-p", strconv.Itoa(nginx.pid), "-p", client.pid())
	if out := client.wait(); !strings.Contains(out, fmt.Sprintf("%d succeeded", requests*connections)) {
		t.Fatal(out)
	}
	s.waitFor("all connections to close", closed(2*connections))
	rows := s.stop()
	for _, end := range []struct{ comm, asks, answers string }{{"h2load", "send", "recv"}, {"nginx", "recv", "send"}} {
		var asked, answered trusts
		list := conns(rows, end.comm)
		if len(list) != connections {
			t.Errorf("%s: %d connections, want %d", end.comm, len(list), connections)
		}
		for _, conn := range list {
			questions, answers := headersOf(frames(rows, conn, end.asks)), headersOf(frames(rows, conn, end.answers))
			wantNoneMissing(t, questions, requests)
			wantNoneMissing(t, answers, requests)
			for _, r := range questions {
				wantNoWrongValue(t, r, []hpack.HeaderField{
					{Name: ":path", Value: fmt.Sprintf("/?%d", r.Stream/2)}, {Name: ":scheme", Value: "https"},
					{Name: ":authority", Value: nginx.addr()}, {Name: ":method", Value: "GET"},
					{Name: "user-agent", Value: agent},
					{Name: "x-run", Value: "one for all"}, {Name: "cookie", Value: "a=b"},
				}, &asked)
			}
			for _, r := range answers {
				sent := append([]hpack.HeaderField(nil), response...)
				for i := range sent {
					if sent[i].Name == "date" { // the one field that changes
						sent[i].Value = r.Headers[i].Value
					}
				}
				wantNoWrongValue(t, r, sent, &answered)
			}
		}
		t.Logf("%s: requests %+v, responses %+v", end.comm, asked, answered)
		if asked.exact == 0 || asked.unknown == 0 || answered.exact == 0 {
			t.Errorf("%s: requests %+v, responses %+v", end.comm, asked, answered)
		}
	}
	// What comes before the first frame of a direction may have no boundary in it.
	begun := make(map[string]bool)
	for _, r := range rows {
		if r.Kind == "gap" && begun[r.Conn+r.Dir] {
			t.Errorf("row %d of %s: a gap of %d octets (%s)", r.Seq, r.Conn, r.Bytes, r.Reason)
		}
		begun[r.Conn+r.Dir] = begun[r.Conn+r.Dir] || r.Kind == "frame"
	}
}

func headersOf(rows []row) []row {
	var out []row
	for _, r := range rows {
		if r.Type == "HEADERS" {
			out = append(out, r)
		}
	}
	return out
}

// wantNoneMissing wants the rows to have every stream from their first on, of
// that many in all.
func wantNoneMissing(t testing.TB, rows []row, streams int) {
	t.Helper()
	for i := 1; i < len(rows); i++ {
		if rows[i].Stream != rows[i-1].Stream+2 {
			t.Errorf("row %d: stream %d after %d", rows[i].Seq, rows[i].Stream, rows[i-1].Stream)
		}
	}
	if len(rows) < streams/4 || rows[0].Stream == 1 || rows[len(rows)-1].Stream != uint32(2*streams-1) {
		t.Errorf("%d streams, the last one of %d", len(rows), streams)
	}
}
