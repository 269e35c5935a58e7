// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// upgrade puts another inode with the same content in a file's place, as a
// package manager does.
func upgrade(t testing.TB, path string) {
	t.Helper()
	next := copyFile(t, path+".dpkg-new", path)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// TestUpgrade: while a process goes on with the library that was replaced, and
// with the connection that it had, another maps the new one. A third comes
// after a second upgrade, while h2sniff runs.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	program := namedPeer(t, "upgraded")
	library := privateLibrary(t, libssl)
	start := func() *peer {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(library))
		return startPeerCommand(t, cmd)
	}
	enterNamespace(t, "")
	far := listen(t)
	old := start()
	oldConn, w, _ := far.begin(old)
	upgrade(t, library)
	running := start()
	s := startSniff(t, "--body", "-d", "-c", "upgraded")
	upgrade(t, library)
	later := start()
	attached := regexp.MustCompile(fmt.Sprintf(`(?m)^h2sniff: OpenSSL %s: \d+ functions, process %d `, regexp.QuoteMeta(library), later.pid))
	waitUntil(t, "the newest library", func() bool { return attached.MatchString(s.errors()) })
	smallFrames(w)
	octets := w.take()
	oldConn.take(old, octets)
	want := map[int][]wireFrame{old.pid: wireFrames(t, octets)}
	for _, p := range []*peer{running, later} {
		_, _, want[p.pid] = far.begin(p)
	}
	for _, p := range []*peer{old, running, later} {
		p.end()
	}
	s.waitFor("all to end", closed(3))
	wantOnly(t, s.stop(), want)
}

// TestProgramDeleted: the file of a program that runs is deleted, before
// h2sniff comes and after.
func TestProgramDeleted(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before=%v", before), func(t *testing.T) {
			t.Parallel()
			program := copyFile(t, filepath.Join(sharedDir(t), "deleted"), peerProgram(t, staticPeer))
			p := startPeer(t, program)
			remove := func() {
				if err := os.Remove(program); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				remove()
			}
			s := startSniff(t, "--body", "-d", "-p", strconv.Itoa(p.pid))
			if !before {
				remove()
			}
			far := listen(t)
			_, _, sent := far.begin(p)
			child, err := strconv.Atoi(p.do("fork"))
			if err != nil {
				t.Fatal(err)
			}
			s.attached(child) // by a path that outlives the name
			_, _, again := far.begin(p)
			p.end()
			s.wait()
			rows := s.snapshot()
			wantClean(t, rows)
			wantExact(t, rows)
			list := conns(rows, "")
			if len(list) != 2 {
				t.Fatalf("%d connections\n%s", len(list), s.errors())
			}
			wantFrames(t, frames(rows, list[0], "send"), sent)
			wantFrames(t, frames(rows, list[1], "send"), again)
		})
	}
}

// TestDiesDuringAttach: whenever the process ends, h2sniff ends, without a
// panic, and says why if that is worth a word.
func TestDiesDuringAttach(t *testing.T) {
	t.Parallel()
	program := peerProgram(t, opensslPeer)
	for i := range 10 {
		p := startPeer(t, program)
		cmd := exec.Command(h2sniff, "dump", "-p", strconv.Itoa(p.pid))
		kill := time.AfterFunc(time.Duration(rand.IntN(600))*time.Millisecond, func() { p.cmd.Process.Kill() })
		r := runCommand(t, cmd)
		kill.Stop()
		missing := fmt.Sprintf("h2sniff: there is no process %d\n", p.pid)
		if r.status != 0 && (r.status != 1 || r.stderr != missing) || strings.Contains(r.stderr, "goroutine") {
			t.Errorf("time %d: exit status %d\n%s", i, r.status, r.stderr)
		}
	}
}

// TestThousandProcesses: a thousand programs that map libssl come and go under
// a chosen shell. h2sniff keeps no descriptor, thread or memory for them, and
// goes on capturing.
func TestThousandProcesses(t *testing.T) {
	needPrograms(t, "gcc")
	t.Parallel()
	dir := sharedDir(t)
	source := filepath.Join(dir, "short.c")
	err := os.WriteFile(source, []byte("#include <openssl/ssl.h>\nint main(void) { return !SSL_alert_type_string(0); }\n"), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(dir, "short")
	run(t, "gcc", "-o", short, source, "-lssl", "-lcrypto")
	p := startPeerCommand(t, exec.Command("sh", "-c", `
		many() { for i in $(seq 250); do "$1" || { echo "it failed"; return; }; done; }
		echo "ok $$"; read -r go
		many "$1" & many "$1" & many "$1" & many "$1" & wait
		echo over; exec "$2"`, "sh", short, peerProgram(t, opensslPeer)))
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	own := s.cmd.Process.Pid
	before, most := descriptors(t, own), 0
	over, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", own)) // none if it has died: told below
			most = max(most, len(list))
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	began := time.Now()
	p.tell("go")
	if line := p.line(); line != "over" {
		t.Fatal(line)
	}
	storm := time.Since(began)
	close(over)
	<-sampled
	waitUntil(t, "h2sniff to let go of what has ended", func() bool { return descriptors(t, own) <= before+5 })
	t.Logf("1000 processes in %v; %d descriptors before, at most %d, %d after %v", storm.Round(time.Millisecond),
		before, most, descriptors(t, own), time.Since(began).Round(time.Millisecond))
	p.answer()
	_, _, sent := listen(t).begin(p)
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantFrames(t, frames(rows, "", "send"), sent)
	if strings.Contains(s.errors(), "goroutine") || s.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit status %d\n%s", s.cmd.ProcessState.ExitCode(), s.errors())
	}
}

// descriptors counts the open files of a process.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
