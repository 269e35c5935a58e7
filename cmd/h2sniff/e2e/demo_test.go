// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// startDemo starts h2sniff demo, which prints JSON lines.
func startDemo(t testing.TB, args ...string) *sniff {
	t.Helper()
	needPrograms(t)
	return startSniffCommand(t, exec.Command(h2sniff, append([]string{"demo", "--lines", "--format", "json"}, args...)...))
}

// demoLacks gives what the rows of a process do not show yet of all that the demo
// is to show.
func demoLacks(rows []row, comm string) (lacks []string) {
	types := make(map[string]int)
	var interim, trailers, cancelled bool
	for _, r := range frames(rows, "", "") {
		if r.Comm != comm {
			continue
		}
		types[r.Type]++
		for _, h := range r.Headers {
			interim = interim || h.Name == ":status" && h.Value == "103"
			trailers = trailers || h.Name == "grpc-status" && h.Value == "0"
		}
		cancelled = cancelled || r.Type == "RST_STREAM"
	}
	for _, name := range []string{"DATA", "HEADERS", "SETTINGS", "WINDOW_UPDATE", "PING", "GOAWAY", "RST_STREAM"} {
		if types[name] == 0 {
			lacks = append(lacks, name)
		}
	}
	for what, seen := range map[string]bool{
		"interim response": interim, "trailers": trailers, "cancelled stream": cancelled, "reconnect": len(conns(rows, comm)) > 1,
	} {
		if !seen {
			lacks = append(lacks, what)
		}
	}
	return lacks
}

// wantPeers fails unless the last frame of each connection names its other end.
func wantPeers(t testing.TB, rows []row) {
	t.Helper()
	last := make(map[string]row)
	for _, r := range frames(rows, "", "") {
		last[r.Conn] = r
	}
	n := 0
	for conn, r := range last {
		other, ok := last[r.Peer]
		switch {
		case !ok && r.Peer == "": // the other end of the newest may not have said anything
			n++
		case !ok, other.Comm == r.Comm, r.Local != other.Remote, other.Peer != "" && other.Peer != conn:
			t.Errorf("%s of %s has the peer %q, %+v", conn, r.Comm, r.Peer, other)
		}
	}
	if n > 2 || len(last) < 4 {
		t.Errorf("%d of %d connections without a peer", n, len(last))
	}
}

// wasReplaced says that the server of a demo has closed one connection with
// GOAWAY, and that each process has got another.
func wasReplaced(rows []row) bool {
	said := slices.IndexFunc(rows, func(r row) bool { return r.Type == "GOAWAY" })
	if said < 0 {
		return false
	}
	for comm, n := range map[string]int{"demo-server": 2, "demo-client": 2} {
		if list := conns(rows, comm); len(list) > 0 && len(list) < n {
			return false
		}
	}
	return true
}

// TestDemo: what the demo is to show is seen, whole, at the server alone and at
// both ends.
func TestDemo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		args  []string
		comms []string
	}{
		{"server", nil, []string{"demo-server"}},
		{"both", []string{"--both"}, []string{"demo-server", "demo-client"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startDemo(t, test.args...)
			s.waitFor("the reconnect", wasReplaced)
			// The client asks by PING where it has been idle for long enough, which
			// on a busy machine it is not in each round.
			for _, comm := range test.comms {
				s.waitFor("all that the demo is to show of "+comm, func(rows []row) bool { return len(demoLacks(rows, comm)) == 0 })
			}
			rows := s.stop()
			wantClean(t, rows)
			wantExact(t, rows)
			var seen []string
			for _, r := range rows {
				if !slices.Contains(seen, r.Comm) {
					seen = append(seen, r.Comm)
				}
				if r.Kind == "bind" && (r.Address != "exact" || !strings.HasPrefix(r.Remote, "127.0.0.1:")) {
					t.Errorf("row %d: address %s, %s", r.Seq, r.Remote, r.Address)
				}
			}
			slices.Sort(seen)
			if want := slices.Sorted(slices.Values(test.comms)); !slices.Equal(seen, want) {
				t.Errorf("processes %q, want %q", seen, want)
			}
			if len(test.comms) > 1 {
				wantPeers(t, rows)
			}
		})
	}
}

// TestDemoIsPowerless: neither of the demo's processes keeps anything of root's,
// and they end with h2sniff all the same.
func TestDemoIsPowerless(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env []string
		uid string
	}{
		"sudo": {byCaller(), strconv.Itoa(caller)},
		"root": {nil, "65534"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needPrograms(t)
			cmd := exec.Command(h2sniff, "demo", "--lines", "--format", "json", "--both")
			cmd.Env = append(os.Environ(), c.env...)
			s := startSniffCommand(t, cmd)
			s.waitFor("both ends", func(rows []row) bool {
				return len(conns(rows, "demo-server")) > 0 && len(conns(rows, "demo-client")) > 0
			})
			pids := make(map[string]int)
			for _, r := range s.snapshot() {
				pids[r.Comm] = r.PID
			}
			for name, pid := range pids {
				wantPowerless(t, pid, name, c.uid)
			}
			s.stop()
			for name, pid := range pids {
				if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
					t.Errorf("%s goes on", name)
				}
			}
		})
	}
}

// TestDemoProcessStopped: a process of the demo that was stopped, and that
// h2sniff may not end, does not hold h2sniff up; it ends when it goes on.
func TestDemoProcessStopped(t *testing.T) {
	t.Parallel()
	s := startDemo(t)
	s.waitFor("a frame", func(rows []row) bool { return len(conns(rows, "demo-server")) > 0 })
	pid := s.snapshot()[0].PID
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGSTOP, nil, 0); err != nil {
		t.Fatal(err)
	}
	s.cmd.Process.Signal(syscall.SIGINT)
	s.wait()
	if err := unix.PidfdSendSignal(fd, unix.SIGCONT, nil, 0); err != nil {
		t.Fatal(err)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(s.errors(), "is stopped and ends when it goes on") {
		t.Errorf("exit status %d\n%s", code, s.errors())
	}
	waitUntil(t, "the server's end", func() bool { return over(fd) })
}

// over tells whether the process of a pidfd has ended.
func over(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 1
}

// TestDemoEnds: however h2sniff ends, so do the processes that it started.
func TestDemoEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		args   []string
		end    func(*sniff)
		status int
	}{
		{"by itself", []string{"--for", "5s"}, func(*sniff) {}, 0},
		{"SIGINT", nil, func(s *sniff) { s.cmd.Process.Signal(syscall.SIGINT) }, 0},
		{"SIGTERM", nil, func(s *sniff) { s.cmd.Process.Signal(syscall.SIGTERM) }, 0},
		{"SIGKILL", nil, func(s *sniff) { s.cmd.Process.Kill() }, -1},
		{"enough frames", []string{"-n", "200"}, func(*sniff) {}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := startDemo(t, test.args...)
			own := children(t, s.cmd.Process.Pid)
			if len(own) != 3 && test.name != "enough frames" {
				t.Fatalf("%d children, want server, client and viewer", len(own))
			}
			fds := make([]int, len(own)) // no other process can take their place
			for i, pid := range own {
				fd, err := unix.PidfdOpen(pid, 0)
				if err != nil {
					fds[i] = -1 // gone already
					continue
				}
				defer unix.Close(fd)
				fds[i] = fd
			}
			test.end(s)
			s.wait()
			if code := s.cmd.ProcessState.ExitCode(); code != test.status {
				t.Errorf("exit status %d, want %d\n%s", code, test.status, s.errors())
			}
			for i, fd := range fds {
				if fd < 0 {
					continue
				}
				waitUntil(t, fmt.Sprintf("the end of process %d", own[i]), func() bool { return over(fd) })
			}
		})
	}
}

// TestDemoServerEnds: the session ends with a server that is killed, and says
// so.
func TestDemoServerEnds(t *testing.T) {
	t.Parallel()
	s := startDemo(t)
	s.waitFor("a frame", func(rows []row) bool { return len(conns(rows, "demo-server")) > 0 })
	if err := syscall.Kill(s.snapshot()[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(s.errors(), "h2sniff: the demo's server: signal: killed") {
		t.Errorf("exit status %d\n%s", code, s.errors())
	}
}

// TestDemoScreen: the demo opens the user interface, and gives the terminal
// back when its time is over.
func TestDemoScreen(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	screen := startScreen(t, 120, 30)
	screen.keys(h2sniff+" demo --for 15s", "Enter")
	screen.waitFor("demo-server", "HEADERS")
	screen.waitForShell()
}
