// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"h2sniff/bpf"
)

// TestShortLived: of many processes that live some ms each, one after the other,
// most are captured from their first octet on, and each that is not is told of.
func TestShortLived(t *testing.T) {
	t.Parallel()
	needPrograms(t, "curl", "nghttpd")
	const runs = 40
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	name := "h2s_short"
	curl := copyFile(t, filepath.Join(t.TempDir(), name), path)
	server := startNghttpd(t, 1)
	server.file(t, "small", 100)
	// How many are depends on what else has the processors: one series in which
	// most are will do.
	for last := 5; ; last-- {
		s := startSniff(t, "--h2c=false", "-c", name)
		for range runs {
			if out, err := exec.Command(curl, "-sSk", "-o", "/dev/null", server.url("/small")).CombinedOutput(); err != nil {
				t.Fatalf("curl: %v\n%s", err, out)
			}
		}
		rows := s.stop()
		whole := 0
		for _, r := range rows {
			if r.Kind == "open" && r.Fresh != nil && *r.Fresh && len(frames(rows, r.Conn, "send")) > 0 {
				whole++
			}
		}
		told := 0
		for _, r := range s.unfollowed {
			told = r.Processes + r.Late
		}
		t.Logf("%d of %d whole, %d told", whole, runs, told)
		if lost := strings.Contains(s.errors(), "notices of new processes were lost"); whole+told < runs && !lost {
			t.Errorf("%d of %d processes were captured whole, and only %d are told of", whole, runs, told)
		}
		if whole >= runs/2 {
			return
		}
		if last == 1 {
			t.Fatal("in none of the series most processes were captured whole")
		}
	}
}

// TestShortLivedCleartext: the kernel itself follows the sockets of a process from
// when it gets the name, so that none is missed.
func TestShortLivedCleartext(t *testing.T) {
	t.Parallel()
	needPrograms(t, "curl", "nghttpd")
	if err := bpf.HaveTCPTracepoints(); err != nil {
		t.Skipf("the first process is followed late: %v", err)
	}
	const runs = 40
	path, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	name := "h2s_short_clear" // of 15 octets
	curl := copyFile(t, filepath.Join(t.TempDir(), name+"_and_more"), path)
	server := startCleartext(t)
	server.file(t, "small", 100)
	s := startSniff(t, "--lib", "h2c", "-c", name+"_and_more")
	for range runs {
		if out, err := exec.Command(curl, "-sS", "--http2-prior-knowledge", "-o", "/dev/null", server.plainURL("/small")).CombinedOutput(); err != nil {
			t.Fatalf("curl: %v\n%s", err, out)
		}
	}
	rows := s.stop()
	whole := 0
	for _, r := range rows {
		if r.Kind == "open" && r.Fresh != nil && *r.Fresh && len(frames(rows, r.Conn, "send")) > 0 && len(frames(rows, r.Conn, "recv")) > 0 {
			whole++
		}
	}
	if whole != runs {
		t.Errorf("%d of %d processes were captured whole", whole, runs)
	}
	if len(s.unfollowed) > 0 && !strings.Contains(s.errors(), "notices of new processes were lost") {
		t.Errorf("processes are told of as not followed: %+v", s.unfollowed)
	}
}
