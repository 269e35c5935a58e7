// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// recorder is a running "h2sniff record".
type recorder struct {
	t      testing.TB
	cmd    *exec.Cmd
	done   chan struct{}
	errors lockedBuilder
}

// startRecorder runs h2sniff record, whose standard output is out, and returns
// when it is ready.
func startRecorder(t testing.TB, out *os.File, env []string, args ...string) *recorder {
	t.Helper()
	r := &recorder{t: t, cmd: exec.Command(h2sniff, append([]string{"record"}, args...)...), done: make(chan struct{})}
	r.cmd.Stderr = &r.errors
	if out != nil {
		r.cmd.Stdout = out
	}
	r.cmd.Env = append(os.Environ(), env...)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("standard error of %v:\n%s", r.cmd.Args, r.errors.String())
		}
	})
	for deadline := time.Now().Add(timeout); !strings.Contains(r.errors.String(), "h2sniff: ready"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready:\n%s", r.errors.String())
		}
	}
	return r
}

// ends waits for the end and wants an exit status.
func (r *recorder) ends(status int) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(timeout):
		r.t.Fatalf("does not end:\n%s", r.errors.String())
	}
	if code := r.cmd.ProcessState.ExitCode(); code != status {
		r.t.Errorf("exit status %d, want %d:\n%s", code, status, r.errors.String())
	}
}

// startReader runs h2sniff dump --format json -r - on in.
func startReader(t testing.TB, in *os.File) *sniff {
	t.Helper()
	s := &sniff{t: t, cmd: exec.Command(h2sniff, "dump", "--format", "json", "-r", "-"), done: make(chan struct{}), ready: make(chan struct{})}
	s.cmd.Stdin = in
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { s.readRows(stdout) })
	readers.Go(func() { s.readErrors(stderr) })
	go func() {
		readers.Wait()
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.done
	})
	return s
}

// piped starts a recorder and a reader with a pipe between them, as a shell
// does for "h2sniff record -w - ... | h2sniff dump -r -".
func piped(t testing.TB, args ...string) (*recorder, *sniff) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := startReader(t, in)
	r := startRecorder(t, out, nil, append([]string{"-w", "-"}, args...)...)
	in.Close()
	out.Close()
	return r, s
}

// TestPipe: a recording that is read while it is written shows each frame soon,
// equals nghttp's log, and ends with either end's Ctrl-C, in silence too.
func TestPipe(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 300_000)
	for _, first := range []string{"recorder", "reader"} {
		t.Run(first+" ends first", func(t *testing.T) {
			r, s := piped(t, "-p", strconv.Itoa(nginx.pid))
			time.Sleep(300 * time.Millisecond) // nothing has to come for it to work
			log := parseNghttp(t, run(t, "nghttp", "-nv", nginx.url("/"), nginx.url("/large")))
			ended := time.Now()
			s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
			t.Logf("the last row came %v after the client's end", time.Since(ended))
			rows := s.snapshot()
			wantClean(t, rows)
			wantExact(t, rows)
			wantSeq(t, rows)
			for _, dir := range []string{"send", "recv"} {
				wantSame(t, log, dir, fold(frames(rows, "", reverse[dir])))
			}
			if first == "recorder" {
				r.cmd.Process.Signal(syscall.SIGINT)
			} else {
				s.cmd.Process.Signal(syscall.SIGINT)
			}
			r.ends(0)
			s.wait()
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("the reader's exit status is %d:\n%s", code, s.errors())
			}
		})
	}
}

// TestPipeKilled: the reader of a recorder that was killed says so.
func TestPipeKilled(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	r, s := piped(t, "-p", strconv.Itoa(nginx.pid))
	run(t, "nghttp", "-n", nginx.url("/"))
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
	killBoth(t, r.cmd.Process.Pid)
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(s.errors(), "cut off") {
		t.Errorf("exit status %d:\n%s", code, s.errors())
	}
}

// TestInterruptedWhileWaiting: Ctrl-C ends a reader that has got nothing yet.
func TestInterruptedWhileWaiting(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s := startReader(t, in)
	in.Close()
	time.Sleep(500 * time.Millisecond)
	s.cmd.Process.Signal(syscall.SIGINT)
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 || s.errors() != "" {
		t.Errorf("exit status %d:\n%s", code, s.errors())
	}
}

// TestKilledRecorder: what was flushed before SIGKILL can be read, and nginx
// does not notice.
func TestKilledRecorder(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 300_000)
	path := filepath.Join(t.TempDir(), "x.pcapng")
	r := startRecorder(t, nil, nil, "-w", path, "-p", strconv.Itoa(nginx.pid))
	log := parseNghttp(t, run(t, "nghttp", "-nv", nginx.url("/"), nginx.url("/large")))
	waitUntil(t, "the connection's end to be written", func() bool { // it flushes every second
		rows, _, _ := dump(t, path)
		return countKind(rows, "", "close") == 1
	})
	killBoth(t, r.cmd.Process.Pid)
	<-r.done
	rows, stderr, status := dump(t, path)
	wantClean(t, rows)
	wantExact(t, rows)
	for _, dir := range []string{"send", "recv"} {
		wantSame(t, log, dir, fold(frames(rows, "", reverse[dir])))
	}
	if status != 1 || strings.Count(stderr, "cut off") != 1 {
		t.Errorf("exit status %d:\n%s", status, stderr)
	}
	run(t, "nghttp", "-n", nginx.url("/"))
}

// TestWriteWhileWatching: what dump shows, and writes on the side, is read back
// the same.
func TestWriteWhileWatching(t *testing.T) {
	needPrograms(t, "nghttp", "editcap", "mergecap")
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 300_000)
	path := filepath.Join(t.TempDir(), "x.pcapng")
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid), "--write", path)
	log := parseNghttp(t, run(t, "nghttp", "-nv", nginx.url("/"), nginx.url("/large")))
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
	want := s.stop()
	got, stderr, status := dump(t, path)
	if status != 0 {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	wantEqualRows(t, got, want)

	t.Run("copied from standard input", func(t *testing.T) {
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		copied := filepath.Join(t.TempDir(), "y.pcapng")
		cmd := exec.Command(h2sniff, "dump", "-r", "-", "-w", copied)
		cmd.Stdin = in
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		got, _, _ := dump(t, copied)
		wantEqualRows(t, got, want)
	})
	t.Run("edited by mergecap", func(t *testing.T) {
		// It puts its own name for the program that wrote the file: these are
		// packets now, seen from the end that sends the SYN. A recording has
		// that of the connection's ports where it knew no better.
		rows, stderr, status := dump(t, merged(t, path))
		if status != 0 {
			t.Fatalf("exit status %d: %s", status, stderr)
		}
		wantClean(t, rows)
		wantExact(t, rows)
		for _, dir := range []string{"send", "recv"} {
			seen := dir
			if rows[len(rows)-1].Role == "server" {
				seen = reverse[dir]
			}
			wantSame(t, log, dir, fold(frames(rows, "", seen)))
		}
	})
	t.Run("edited by editcap", func(t *testing.T) {
		// It keeps all but the end mark.
		rows, stderr, status := dump(t, edit(t, "editcap", nil, path))
		if status != 1 || !strings.Contains(stderr, "another program edited it") {
			t.Errorf("exit status %d: %s", status, stderr)
		}
		wantEqualRows(t, rows, want)
	})
	t.Run("onto itself", func(t *testing.T) {
		out, err := exec.Command(h2sniff, "dump", "-r", path, "-w", path).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "same file") {
			t.Errorf("%v: %s", err, out)
		}
		if again, _, _ := dump(t, path); len(again) != len(want) {
			t.Errorf("%d rows are left of %d", len(again), len(want))
		}
	})
}

func wantEqualRows(t testing.TB, got, want []row) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			t.Fatalf("%d rows, want %d", len(got), len(want))
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("row %d:\ngot  %+v\nwant %+v", i+1, got[i], want[i])
		}
	}
}

// TestRotatedFiles: each file of a rotation can be read by itself; what is said
// to be exact in it is right although its connections began in earlier files.
func TestRotatedFiles(t *testing.T) {
	needPrograms(t, "h2load")
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 300_000)
	path := filepath.Join(callersDir(t), "x.pcapng")
	r := startRecorder(t, nil, []string{"SUDO_UID=12345", "SUDO_GID=54321"},
		"-w", path, "--rotate", "1MiB", "--files", "4", "-p", strconv.Itoa(nginx.pid))
	run(t, "h2load", "-n", "60", "-c", "2", "-m", "3", nginx.url("/large"))
	time.Sleep(200 * time.Millisecond)
	r.cmd.Process.Signal(syscall.SIGINT)
	r.ends(0)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 || filepath.Base(files[0]) == "x-00001.pcapng" {
		t.Fatalf("files %v", files)
	}
	for i, name := range files {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if sys := st.Sys().(*syscall.Stat_t); sys.Uid != 12345 || sys.Gid != 54321 || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: owner %d, group %d, mode %v", name, sys.Uid, sys.Gid, st.Mode())
		}
		rows, stderr, status := dump(t, name)
		if status != 0 {
			t.Errorf("%s: exit status %d: %s", name, status, stderr)
		}
		data := 0
		for _, r := range rows {
			if r.Type == "DATA" {
				data++
			}
			for _, h := range r.Headers {
				want := map[string]string{":status": "200", ":path": "/large", "content-length": "300000", ":method": "GET"}[h.Name]
				if h.Trust == "exact" && want != "" && h.Value != want {
					t.Errorf("%s row %d: %s is said to be %q", name, r.Seq, h.Name, h.Value)
				}
			}
			if r.Kind == "gap" && r.Reason != "skipped" {
				t.Errorf("%s row %d: a gap of %d octets (%s)", name, r.Seq, r.Bytes, r.Reason)
			}
			if r.Kind == "open" && (r.Comm != "nginx" || r.Conn != "c1" && r.Conn != "c2") {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if data < 20 && i < len(files)-1 {
			t.Errorf("%s: %d DATA frames", name, data)
		}
	}
}

// TestWriteUsage: options that contradict each other are refused.
func TestWriteUsage(t *testing.T) {
	for _, args := range [][]string{
		{"record"}, {"record", "-w", ""}, {"dump", "-w", "-"}, {"dump", "--rotate", "10MiB"},
		{"record", "-w", "-", "--rotate", "10MiB"}, {"record", "-w", "x", "--files", "3"},
		{"record", "-w", "x", "--rotate", "10MiB", "--files", "0"}, {"record", "-w", "x", "--rotate", "10"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		cmd := exec.CommandContext(ctx, h2sniff, args...)
		out, _ := cmd.CombinedOutput()
		cancel()
		if code := cmd.ProcessState.ExitCode(); code != 2 || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v: exit status %d: %s", args, code, out)
		}
	}
}
