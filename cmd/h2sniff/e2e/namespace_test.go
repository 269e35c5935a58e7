// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// privateLibraries, run in a mount namespace of its own, puts copies in the
// places of all installed TLS libraries: inodes that only processes of the
// namespace map.
const privateLibraries = `
for library in /usr/lib/*-linux-gnu/lib* /usr/lib64/lib* /usr/local/lib/lib* /usr/local/lib/*-linux-gnu/lib*; do
	case "$library" in */libssl*.so*|*/libgnutls*.so*|*/libwolfssl*.so*|*/libmbedtls*.so*|*/libnspr4*.so*) ;; *) continue ;; esac
	if [ -f "$library" ] && [ ! -L "$library" ]; then
		copy="$1/$(basename "$library")"
		cp "$library" "$copy" && mount --bind "$copy" "$library" || exit 1
	fi
done`

// enterNamespace puts the test, and all that it starts from now on, into pid
// and mount namespaces of its own, where a shell script was run first. What it
// reads in /proc is that of the namespace.
func enterNamespace(t testing.TB, setup string) {
	t.Helper()
	needPrograms(t, "unshare")
	holder := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", "set -e\n"+setup+"\necho done; read end", "sh", sharedDir(t))
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	holder.Stderr = os.Stderr
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		holder.Process.Kill()
		holder.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("making a namespace: %v %s", err, line)
	}
	// The thread is not given back: it ends with the test.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []struct {
		name string
		kind int
	}{{"pid_for_children", unix.CLONE_NEWPID}, {"mnt", unix.CLONE_NEWNS}} {
		fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/%s", holder.Process.Pid, ns.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Setns(fd, ns.kind)
		unix.Close(fd)
		if err != nil {
			t.Fatalf("entering the %s namespace: %v", ns.name, err)
		}
	}
}

// namedPeer is a copy of a peer's program with a name of its own.
func namedPeer(t testing.TB, name string) string {
	t.Helper()
	return copyFile(t, filepath.Join(sharedDir(t), name), peerProgram(t, opensslPeer))
}

// TestPidsOfTheNamespace: in a pid namespace, pids are those of the namespace.
func TestPidsOfTheNamespace(t *testing.T) {
	t.Parallel()
	program := peerProgram(t, opensslPeer)
	enterNamespace(t, "")
	far := listen(t)
	p := startPeer(t, program)
	if p.pid == p.cmd.Process.Pid {
		t.Fatal("the peer is not in a pid namespace")
	}
	s := startSniff(t, "--body", "-d", "-p", strconv.Itoa(p.pid))
	_, _, sent := far.begin(p)
	child, err := strconv.Atoi(p.do("fork"))
	if err != nil {
		t.Fatal(err)
	}
	s.attached(child)
	_, _, again := far.begin(p)
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantExact(t, rows)
	list := conns(rows, "")
	if len(list) != 2 {
		t.Fatalf("%d connections", len(list))
	}
	for i, want := range []struct {
		pid  int
		sent []wireFrame
	}{{p.pid, sent}, {child, again}} {
		f := frames(rows, list[i], "send")
		wantFrames(t, f, want.sent)
		for _, r := range f {
			if r.PID != want.pid || r.TID != want.pid {
				t.Errorf("row %d: pid %d, tid %d; want %d", r.Seq, r.PID, r.TID, want.pid)
			}
		}
	}
}

// TestComm: -c takes processes by the exact name, cut at 15 octets, waits for
// them, and follows their children.
func TestComm(t *testing.T) {
	t.Parallel()
	const long = "a_name_longer_than_15_octets"
	for _, test := range []struct {
		name, comm string
		program    string // of the process to be taken
		other      string // of one that is not to be taken
	}{
		{"exact", "peer_x", "peer_x", "peer_xy"},
		{"a part is not enough", "peer_xy", "peer_xy", "peer_x"},
		{"long", long, long, "another_name"},
		{"cut", long[:15], long, long[:14]},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program, otherProgram := namedPeer(t, test.program), namedPeer(t, test.other)
			library := installedLibrary(t, libssl)
			enterNamespace(t, "")
			far := listen(t)
			running := startPeer(t, program)
			other := startPeer(t, otherProgram)
			s := startSniff(t, "--body", "-d", "-c", test.comm)
			later, otherLater := startPeer(t, program), startPeer(t, otherProgram)
			s.attached(later.pid)
			want := make(map[int][]wireFrame)
			for _, p := range []*peer{running, later, other, otherLater} {
				_, _, sent := far.begin(p)
				if p == running || p == later {
					want[p.pid] = sent
				} else if changed := changedFunctions(t, p.pid, library); len(changed) > 0 {
					t.Errorf("%v of a process that was not chosen are changed", changed)
				}
				p.end()
			}
			s.waitFor("both to end", closed(2))
			rows := s.stop()
			wantClean(t, rows)
			wantExact(t, rows)
			list := conns(rows, "")
			if len(list) != 2 {
				t.Errorf("%d connections", len(list))
			}
			for _, conn := range list {
				f := frames(rows, conn, "send")
				wantFrames(t, f, want[f[0].PID])
				if f[0].Comm != test.program[:min(15, len(test.program))] {
					t.Errorf("comm %q", f[0].Comm)
				}
			}
		})
	}
}

// TestCommWaits: the process appears after h2sniff, and another when the first
// has ended.
func TestCommWaits(t *testing.T) {
	t.Parallel()
	program := namedPeer(t, "late_comer")
	enterNamespace(t, "")
	far := listen(t)
	s := startSniff(t, "--body", "-d", "-c", "late_comer")
	if !strings.Contains(s.errors(), "h2sniff: waiting for a process named late_comer\n") {
		t.Errorf("h2sniff does not say that it waits:\n%s", s.errors())
	}
	for i := range 3 {
		p := startPeer(t, program)
		s.attached(p.pid)
		_, _, sent := far.begin(p)
		p.end()
		s.waitFor("its end", closed(i+1))
		rows := s.snapshot()
		wantClean(t, rows)
		wantFrames(t, frames(rows, fmt.Sprintf("c%d", i+1), "send"), sent)
	}
	s.stop()
}

// TestChildrenOfChosen: what a chosen shell starts, or executes, is traced,
// whatever its name.
func TestChildrenOfChosen(t *testing.T) {
	t.Parallel()
	shell := copyFile(t, filepath.Join(sharedDir(t), "chosen_shell"), "/bin/sh")
	program := peerProgram(t, opensslPeer)
	for _, script := range []string{`exec "$0"`, `"$0"; true`, `("$0"; true); true`} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			enterNamespace(t, "")
			far := listen(t)
			running := startPeerCommand(t, exec.Command(shell, "-c", script, program))
			s := startSniff(t, "--body", "-d", "-c", "chosen_shell")
			later := startPeerCommand(t, exec.Command(shell, "-c", script, program))
			s.attached(later.pid)
			want := make(map[int][]wireFrame)
			for _, p := range []*peer{running, later} {
				if _, _, sent := far.begin(p); p == later || !strings.HasPrefix(script, "exec") {
					// One that had executed before h2sniff came has another name.
					want[p.pid] = sent
				}
				p.end()
			}
			s.waitFor("them to end", closed(len(want)))
			rows := s.stop()
			wantClean(t, rows)
			wantExact(t, rows)
			list := conns(rows, "")
			if len(list) != len(want) {
				t.Errorf("%d connections, want %d", len(list), len(want))
			}
			for _, conn := range list {
				f := frames(rows, conn, "send")
				wantFrames(t, f, want[f[0].PID])
			}
		})
	}
}
