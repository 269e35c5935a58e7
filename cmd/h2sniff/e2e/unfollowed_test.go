// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestUnfollowed: what comes while h2sniff cannot attach is told: processes that
// have ended by then, and those that it follows late.
func TestUnfollowed(t *testing.T) {
	t.Parallel()
	for i, test := range []struct {
		name        string
		ended, late int
		summary     string // behind what is lost
	}{
		{"none", 0, 0, `$`},
		{"one has ended", 1, 0, `, 1 process may have been missed: it ended before it could be followed$`},
		{"both", 2, 2, `, 2 processes may have been missed: they ended before they could be followed, 2 processes followed late, by up to [0-9.]+m?s$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := fmt.Sprintf("h2s_unfollow%d", i)
			program := copyFile(t, filepath.Join(t.TempDir(), name), peerProgram(t, opensslPeer))
			s := startSniff(t, "--body", "-d", "-c", name)
			far := listen(t)
			signal := func(sig syscall.Signal) {
				if err := s.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			// It is this process that attaches; its child, which shows, goes on.
			signal(syscall.SIGSTOP)
			waitUntil(t, "h2sniff to stop", func() bool { return stopped(t, s.cmd.Process.Pid) })
			var ended []int
			for range test.ended {
				p := startPeer(t, program)
				far.begin(p)
				p.end()
				ended = append(ended, p.pid)
			}
			type open struct {
				*peer
				*farConn
				*wire
			}
			var late []open
			for range test.late {
				p := startPeer(t, program)
				conn, w, _ := far.begin(p)
				late = append(late, open{p, conn, w})
			}
			signal(syscall.SIGCONT)
			for _, l := range late {
				s.attached(l.pid)
				smallFrames(l.wire)
				octets := l.wire.take()
				l.farConn.take(l.peer, octets)
				s.waitFor("the frames behind the attach", func(rows []row) bool {
					for _, r := range frames(rows, "", "send") {
						if r.PID == l.pid && r.Type == "GOAWAY" {
							return true
						}
					}
					return false
				})
				l.end()
			}
			for _, pid := range ended {
				line := fmt.Sprintf("process %d has ended before it could be followed\n", pid)
				waitUntil(t, "what has ended to be told", func() bool { return strings.Contains(s.errors(), line) })
			}
			rows := s.stop()
			// Where so many programs start meanwhile that the kernel had no
			// room to tell of all, there may have been more.
			more := strings.Contains(s.errors(), "notices of new processes were lost")
			if !more && !regexp.MustCompile(`(?m) 0 bytes lost`+test.summary).MatchString(s.errors()) {
				t.Errorf("the summary does not end with %q", test.summary)
			}
			for _, r := range rows {
				if r.Kind == "open" && (r.Fresh == nil || *r.Fresh) {
					t.Errorf("%s is told as seen from its beginning", r.Conn)
				}
			}
			if n := countKind(rows, "", "open"); n != test.late {
				t.Errorf("%d connections, want %d", n, test.late)
			}
			if test.ended+test.late == 0 && !more {
				if len(s.unfollowed) != 0 {
					t.Error("unfollowed processes are told of")
				}
				return
			}
			if len(s.unfollowed) != 1 {
				t.Fatalf("%d lines tell of processes", len(s.unfollowed))
			}
			last := s.unfollowed[0]
			if last.Processes < test.ended || last.Processes > test.ended && !more || last.Late != test.late || (last.LateBy > 0) != (test.late > 0) {
				t.Errorf("the line on processes says %+v", last)
			}
		})
	}
}

// stopped reports whether every thread of a process is.
func stopped(t testing.TB, pid int) bool {
	t.Helper()
	list, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if _, state, ok := strings.Cut(string(stat), ") "); !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}
