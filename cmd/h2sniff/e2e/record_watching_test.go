// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRecordWhileWatching: a recording begins and ends while the user interface
// shows what goes on. A connection that is open is in it as one found in its
// middle; what came before and after is not.
func TestRecordWhileWatching(t *testing.T) {
	needPrograms(t, "node", "curl")
	nginx := startNginx(t, 1)
	for i := range 3 {
		nginx.file(t, fmt.Sprint("f", i), 100)
	}
	c := startConsole(t, exec.Command("node", "-e", `
		const session = require('http2').connect(process.argv[1], { rejectUnauthorized: false });
		process.stdin.on('data', (path) => session.request({ ':path': String(path).trim() }).resume());
	`, nginx.url("")))
	s := startScreen(t, 120, 36)
	s.keys(fmt.Sprintf("%s -p %d", h2sniff, nginx.pid), "Enter")
	s.waitFor("LIVE", "OpenSSL")
	c.send(t, []byte("/f0\n"))
	s.waitFor("GET /f0", ":status 200")

	path := filepath.Join(sharedDir(t), "watched.pcapng")
	s.keys(":")
	s.keys("record "+path, "Enter")
	s.waitFor("recording into")
	c.send(t, []byte("/f1\n"))
	s.waitFor("GET /f1")
	run(t, "curl", "-sk", "--http2", "-o", "/dev/null", nginx.url("/f2"))
	s.waitFor("GET /f2", "closed")
	s.keys(":")
	s.keys("record", "Enter")
	s.waitFor("is written")
	c.send(t, []byte("/f0?later\n"))
	s.waitFor("GET /f0?later")
	s.keys("q")
	s.waitForShell()

	rows := dumpRecording(t, path)
	asked := make(map[string]string) // by connection
	for _, r := range frames(rows, "", "recv") {
		for _, h := range r.Headers {
			if h.Name == ":path" && h.Trust == "exact" {
				asked[r.Conn] += h.Value + " "
			}
		}
	}
	list := conns(rows, "")
	if len(list) != 2 || asked[list[0]] != "/f1 " || asked[list[1]] != "/f2 " {
		t.Errorf("connections %v have asked for %v", list, asked)
	}
}

// TestRecordingIsKept: a recording is not written over, nor mixed with the files
// of another, unless --force says so; the command is not run.
func TestRecordingIsKept(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	for _, test := range []struct {
		name  string
		there string
		args  []string
	}{
		{"record", "x.pcapng", []string{"record"}},
		{"dump", "x.pcapng", []string{"dump"}},
		{"rotate", "x-00007.pcapng", []string{"record", "--rotate", "1MiB"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := sharedDir(t)
			there, ran := filepath.Join(dir, test.there), filepath.Join(dir, "ran")
			if err := os.WriteFile(there, []byte("evidence"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := append(test.args, "-w", filepath.Join(dir, "x.pcapng"))
			command := []string{"--", "touch", ran}
			runSniff(t, append(args, command...)...).wantSentence(t, 1, test.there+`.*--force`)
			if held, err := os.ReadFile(there); err != nil || string(held) != "evidence" {
				t.Errorf("the recording holds %q, %v", held, err)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Error("the command was run")
			}
			args = append(args, "--force")
			if r := runSniff(t, append(args, command...)...); r.status != 0 {
				t.Errorf("--force: exit status %d: %s", r.status, r.stderr)
			}
			held, err := os.ReadFile(there)
			if test.name == "rotate" && !os.IsNotExist(err) || string(held) == "evidence" {
				t.Errorf("--force leaves %q, %v", held, err)
			}
		})
	}
}

// TestFullDiskIsToldAtOnce: the capture goes on when the recording cannot, says
// so while it does, and ends with status 1.
func TestFullDiskIsToldAtOnce(t *testing.T) {
	t.Parallel()
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid), "-w", "/dev/full")
	run(t, "nghttp", "-n", nginx.url("/"))
	waitUntil(t, "the message", func() bool { return strings.Contains(s.errors(), "recording stopped") })
	if !strings.Contains(s.errors(), "no space left on device") {
		t.Errorf("no reason is given: %s", s.errors())
	}
	run(t, "nghttp", "-n", nginx.url("/"))
	s.waitFor("a second connection", func(rows []row) bool { return countKind(rows, "", "close") == 2 })
	wantClean(t, s.snapshot())
	s.cmd.Process.Signal(os.Interrupt)
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit status %d: %s", code, s.errors())
	}
}
