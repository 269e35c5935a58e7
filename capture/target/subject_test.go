// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// subject is a process of ours that runs the Python we send it.
type subject struct {
	t   testing.TB
	pid int // as we see it
	in  io.WriteCloser
	out *bufio.Reader
	cmd *exec.Cmd
}

const subjectLoop = `
import ctypes, os, sys, time
for line in sys.stdin:
    exec(line)
    print("", flush=True)
`

func python(t testing.TB) string {
	t.Helper()
	const path = "/usr/bin/python3" // not a shim, which would be a shell
	if _, err := os.Stat(path); err != nil {
		missing(t, path)
	}
	return path
}

// needRoot skips what other users may not do: reach into other processes,
// mount, perf_event_open.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		missing(t, "root")
	}
}

// start runs a subject; wrap is put in front of its command line and must
// execute it in the same process or wait for it.
func start(t testing.TB, wrap ...string) *subject {
	t.Helper()
	args := append(wrap, python(t), "-c", subjectLoop)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &subject{t: t, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out), cmd: cmd}
	t.Cleanup(s.stop)
	s.do("pass")
	return s
}

// do runs a line of Python and returns what it printed.
func (s *subject) do(format string, args ...any) string {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.in, format+"\n", args...); err != nil {
		s.t.Fatalf("subject: %v", err)
	}
	var text strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Fatalf("subject: %v", err)
		}
		if line == "\n" {
			return strings.TrimSuffix(text.String(), "\n")
		}
		text.WriteString(line)
	}
}

// load maps a library and forgets it: the mapping stays.
func (s *subject) load(path string) { s.t.Helper(); s.do("ctypes.CDLL(%q)", path) }

func (s *subject) stop() {
	s.in.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// privateCopy copies a library, so that nobody else maps the file.
func privateCopy(t testing.TB, name, dir, as string) string {
	t.Helper()
	b, err := os.ReadFile(systemLibrary(t, name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, as)
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// silentPort takes connections and says nothing: clients wait there.
func silentPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return itoa(l.Addr().(*net.TCPAddr).Port)
}

// command finds a program.
func command(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
