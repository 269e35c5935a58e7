// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/capture/recording"
)

// recordHTTP records what a client and a server of net/http say to each other
// over one cleartext HTTP/2 connection, as the server sees it.
func recordHTTP(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "http.pcapng")
	w, err := recording.Create(path, recording.Options{Start: time.Now().UnixNano(), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var pos [2]uint64
	write := func(ev capture.Event) {
		mu.Lock()
		defer mu.Unlock()
		ev.Conn, ev.Time = 1, time.Now().UnixNano()
		if ev.Kind == capture.Data {
			ev.Offset, ev.Length = pos[ev.Direction], uint64(len(ev.Data))
			pos[ev.Direction] += ev.Length
		}
		if err := w.Write(&ev); err != nil {
			t.Error(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A server that leaves the body unread resets the stream.
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		if r.URL.Path == "/reset" {
			w.Write([]byte("begun"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		z.Write([]byte(`{"answer":[42,"` + strings.Repeat("x", 1000) + `"]}`))
		z.Close()
	})}
	go server.Serve(listener{l, write})
	defer server.Close()
	transport := &http.Transport{Protocols: &protocols}
	client := &http.Client{Transport: transport}
	for _, target := range []string{"/json?a=b", "/reset"} {
		resp, err := client.Post("http://"+l.Addr().String()+target, "text/plain", strings.NewReader("question"))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		resp.Body.Close()
		if (err != nil) != (target == "/reset") {
			t.Fatalf("%s: %v", target, err)
		}
	}
	transport.CloseIdleConnections()
	server.Close()
	write(capture.Event{Kind: capture.Close})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// listener hands what passes its first connection to write.
type listener struct {
	net.Listener
	write func(capture.Event)
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.write(capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{PID: 7, Comm: "server", Role: capture.Server, Fresh: true}})
	l.write(capture.Event{Kind: capture.Bind, Binding: &capture.Binding{Evidence: capture.Exact,
		Local: netip.MustParseAddrPort(c.LocalAddr().String()), Remote: netip.MustParseAddrPort(c.RemoteAddr().String())}})
	return tappedConn{c, l.write}, nil
}

type tappedConn struct {
	net.Conn
	write func(capture.Event)
}

func (c tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.write(capture.Event{Kind: capture.Data, Direction: capture.Recv, Data: p[:n]})
	}
	return n, err
}

func (c tappedConn) Write(p []byte) (int, error) {
	c.write(capture.Event{Kind: capture.Data, Direction: capture.Send, Data: p})
	return c.Conn.Write(p)
}

// runOut runs the program and returns its standard output.
func runOut(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, stderr bytes.Buffer
	err := run(t.Context(), args, strings.NewReader(""), &out, &stderr)
	t.Logf("h2sniff %s: %v; %s", strings.Join(args, " "), err, stderr.String())
	return out.String(), err
}

func TestExport(t *testing.T) {
	file := recordHTTP(t)
	dir := t.TempDir()
	out := filepath.Join(dir, "x.har")
	if _, err := runOut(t, "export", "-r", file, "-w", out); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var archive struct {
		Log struct {
			Version string
			Entries []struct {
				Time            float64
				ServerIPAddress string
				Complete        bool `json:"_complete"`
				Request         struct {
					Method, URL string
					PostData    struct{ Text string }
				}
				Response struct {
					Status  int
					Error   string `json:"_error"`
					Content struct {
						Text              string
						Size, Compression int
					}
					BodySize int
				}
			}
		}
	}
	if err := json.Unmarshal(data, &archive); err != nil {
		t.Fatal(err)
	}
	if n := len(archive.Log.Entries); n != 2 {
		t.Fatalf("%d entries", n)
	}
	e := archive.Log.Entries[0]
	body := `{"answer":[42,"` + strings.Repeat("x", 1000) + `"]}`
	if !e.Complete || e.ServerIPAddress != "127.0.0.1" || e.Time <= 0 || e.Request.Method != "POST" || !strings.HasSuffix(e.Request.URL, "/json?a=b") ||
		e.Request.PostData.Text != "question" || e.Response.Status != 200 || e.Response.Content.Text != body ||
		e.Response.Content.Size != len(body) || e.Response.Content.Compression != len(body)-e.Response.BodySize {
		t.Errorf("%+v", e)
	}
	if e := archive.Log.Entries[1]; e.Complete || e.Response.Error != "stream reset by the server: INTERNAL_ERROR" || e.Response.Content.Text != "begun" {
		t.Errorf("%+v", e)
	}

	// The lines are those of dump, and a recording written anew gives them too.
	want, err := runOut(t, "dump", "-r", file, "--format", "json", "--body")
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"har", "json", "pcapng"} {
		if _, err := runOut(t, "export", "-r", file, "--format", format, "-w", out); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s over an export: %v", format, err)
		}
		if again, err := os.ReadFile(out); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s has changed it: %v", format, err)
		}
	}
	if _, err := runOut(t, "export", "-r", file, "--format", "json", "-w", out, "--force"); err != nil {
		t.Error(err)
	}
	got, err := runOut(t, "export", "-r", file, "--format", "json", "-w", "-")
	if err != nil || got != want || !strings.Contains(got, `"data":`) {
		t.Errorf("%v, %d octets of lines, %d wanted", err, len(got), len(want))
	}
	again := filepath.Join(dir, "again.pcapng")
	if _, err := runOut(t, "export", "-r", file, "--format", "pcapng", "-w", again); err != nil {
		t.Fatal(err)
	}
	if got, err := runOut(t, "dump", "-r", again, "--format", "json", "--body"); err != nil || got != want {
		t.Errorf("%v, %d octets of lines from the new recording, %d wanted", err, len(got), len(want))
	}
}

// Of a recording that is cut off there is an archive of what it holds, and an
// error.
func TestExportCut(t *testing.T) {
	file := recordHTTP(t)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data[:len(data)*3/4], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"har", "json", "pcapng"} {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := runOut(t, "export", "-r", file, "--format", format, "-w", out); !errors.Is(err, recording.ErrTruncated) {
			t.Errorf("%s: %v", format, err)
		}
		got, err := os.ReadFile(out)
		if err != nil || len(got) == 0 || format == "har" && !json.Valid(got) {
			t.Errorf("%s: %v, %d octets", format, err, len(got))
		}
	}
}

func TestExportUsage(t *testing.T) {
	file := recordHTTP(t)
	for _, args := range [][]string{
		{"export"}, {"export", "-r", file}, {"export", "-w", "x"}, {"export", "-r", file, "-w", file},
		{"export", "-r", file, "-w", "-", "--format", "xml"}, {"export", "-r", file, "-w", "-", "more"},
		{"dump", "-r", file, "--proto", "x"}, {"dump", "-r", file, "--content", "--format", "json"},
	} {
		var usage usageError
		if _, err := runOut(t, args...); !errors.As(err, &usage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := runOut(t, "dump", "-r", file, "--content", "--proto", file); err == nil || !strings.Contains(err.Error(), "not a descriptor set") {
		t.Errorf("%v", err)
	}
	if before, err := recording.Open(file); err != nil {
		t.Errorf("the recording was harmed: %v", err)
	} else {
		before.Close()
	}
}

// A body stands under the last frame of its message.
func TestDumpContent(t *testing.T) {
	out, err := runOut(t, "dump", "-r", recordHTTP(t), "--content")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"flags=END_STREAM>\n          body (type=text/plain, octets=8)\n            text\n              question\n",
		"encoding=gzip, decoded=1018)\n            JSON\n              {\n                \"answer\": [\n                  42,\n",
		"(error_code=INTERNAL_ERROR(0x02))\n          body (type=text/plain; charset=utf-8, octets=5)\n            ! the end was not seen\n            text\n              begun\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
}

// A disk that is full is told of once, and nothing is called written.
func TestExportFull(t *testing.T) {
	path := recordHTTP(t)
	for _, format := range []string{"har", "json", "pcapng"} {
		var out, stderr bytes.Buffer
		err := run(t.Context(), []string{"export", "-r", path, "--format", format, "--force", "-w", "/dev/full"}, strings.NewReader(""), &out, &stderr)
		if err == nil || strings.Count(err.Error(), "no space left") != 1 || stderr.Len() > 0 {
			t.Errorf("%s: %v; said: %q", format, err, stderr.String())
		}
	}
}
