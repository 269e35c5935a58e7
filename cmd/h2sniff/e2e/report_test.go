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

// reported is what h2sniff has said about attaching, up to "ready", which is
// the last of it.
func (s *sniff) reported() []string {
	s.t.Helper()
	before, _, ok := strings.Cut(s.errors(), "h2sniff: ready\n")
	if !ok {
		s.t.Fatalf("h2sniff is not ready:\n%s", s.errors())
	}
	return strings.Split(strings.TrimSuffix(before, "\n"), "\n")
}

// TestReport: h2sniff says what it has attached to, and to what it could not.
func TestReport(t *testing.T) {
	t.Parallel()
	library := installedLibrary(t, libssl)
	broken := filepath.Join(sharedDir(t), libssl)
	if err := os.WriteFile(broken, []byte(strings.Repeat("this is no library\n", 1000)), 0o755); err != nil {
		t.Fatal(err)
	}
	nginx := startNginx(t, 2)
	workersOf(t, nginx, 2)
	python := startPeerCommand(t, exec.Command("/usr/bin/python3", "-c", `
import mmap, os, sys
with open(sys.argv[1]) as file:
    code = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)
print("ok", os.getpid(), flush=True)
sys.stdin.read()`, broken))
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sleep.Process.Kill(); sleep.Wait() })
	waitUntil(t, "sleep to run", func() bool {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", sleep.Process.Pid))
		return err == nil && string(comm) == "sleep\n"
	})
	for _, test := range []struct {
		pid  int
		want []string
		args []string
	}{
		{nginx.pid, []string{fmt.Sprintf("h2sniff: OpenSSL: enabled, %s, 3 processes", library), "h2sniff: TCP (cleartext): enabled, 3 processes"}, nil},
		{python.pid, []string{"h2sniff: TCP (cleartext): enabled, 1 process", fmt.Sprintf("h2sniff: %s, mapped by %d (python3): not an ELF file", broken, python.pid)}, nil},
		{sleep.Process.Pid, []string{fmt.Sprintf("h2sniff: sleep %d: no TLS library that can be probed so far; what is loaded later is attached to", sleep.Process.Pid)}, []string{"--h2c=false"}},
		{sleep.Process.Pid, []string{fmt.Sprintf("h2sniff: sleep %d: nothing of OpenSSL so far; what is loaded later is attached to", sleep.Process.Pid)}, []string{"--lib", "openssl"}},
	} {
		s := startSniff(t, append([]string{"-p", strconv.Itoa(test.pid)}, test.args...)...)
		if got := s.reported(); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
		s.stop()
	}
}

// TestNotItself: h2sniff does not capture itself.
func TestNotItself(t *testing.T) {
	needPrograms(t)
	t.Parallel()
	cmd := exec.Command("sh", "-c", `exec "$0" dump -p $$`, h2sniff)
	runCommand(t, cmd).wantSentence(t, 1, `cannot capture itself`)
}
