// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// caller is a user who might call sudo.
const caller = 12345

// byCaller is what sudo adds to the environment when that user calls it.
func byCaller() []string {
	return []string{"SUDO_UID=" + strconv.Itoa(caller), "SUDO_GID=" + strconv.Itoa(caller)}
}

// needed are the capabilities (linux/capability.h) of the process that
// captures: DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF, CHECKPOINT_RESTORE.
const needed = 1<<2 | 1<<19 | 1<<38 | 1<<39 | 1<<40

// viewerOf finds the process that decodes and shows.
func viewerOf(t testing.TB, pid int) int {
	t.Helper()
	viewers := children(t, pid)
	if len(viewers) != 1 {
		t.Fatalf("h2sniff has %d children, want one", len(viewers))
	}
	return viewers[0]
}

// procStatus reads a field of proc_pid_status(5).
func procStatus(t testing.TB, pid int, field string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == field {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	t.Fatalf("process %d has no %s", pid, field)
	return ""
}

// callersDir is a folder of the caller's.
func callersDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "own")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, caller, caller); err != nil {
		t.Fatal(err)
	}
	return dir
}

// viewerFiles gives the number of BPF maps that a viewer has open, and what else
// it has open that it needs no longer once it decodes.
func viewerFiles(t testing.TB, viewer int) (maps int, others []string) {
	t.Helper()
	for _, target := range openFiles(t, viewer) {
		kind, _, _ := strings.Cut(target, "[")
		switch {
		case target == "anon_inode:bpf-map":
			maps++
		case strings.HasPrefix(target, "/sys/fs/cgroup/"): // of Go's runtime
		case kind == "pipe:", kind == "socket:", target == "/dev/null",
			target == "anon_inode:[eventpoll]", target == "anon_inode:[eventfd]":
		default:
			others = append(others, target)
		}
	}
	return maps, others
}

// TestTwoProcesses looks at both: what decodes has the ids of the caller, no
// capability, and no descriptor of anything but what it reads.
func TestTwoProcesses(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	for name, c := range map[string]struct {
		env []string
		uid string
	}{
		"sudo": {byCaller(), strconv.Itoa(caller)},
		"root": {nil, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(h2sniff, "dump", "--format", "json", "-p", strconv.Itoa(nginx.pid))
			cmd.Env = append(os.Environ(), c.env...)
			s := startSniffCommand(t, cmd)
			viewer := viewerOf(t, cmd.Process.Pid)
			// It is ready before the viewer has confined itself.
			var maps int
			var others []string
			for deadline := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
				if maps, others = viewerFiles(t, viewer); maps == 6 && len(others) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the viewer has %d maps open, want 6, and %v", maps, others)
				}
			}
			wantPowerless(t, viewer, "h2sniff", c.uid)
			for _, field := range []string{"CapPrm", "CapEff", "CapBnd"} {
				if got, want := procStatus(t, cmd.Process.Pid, field), fmt.Sprintf("%016x", needed); got != want {
					t.Errorf("the capturing process's %s is %s, want %s", field, got, want)
				}
			}
			if c.uid != "0" { // what can be dumped belongs to its user
				st, err := os.Stat(fmt.Sprintf("/proc/%d/environ", viewer))
				if err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 {
					t.Errorf("the viewer can be dumped by its user: %v", err)
				}
			}
			run(t, "nghttp", "-n", nginx.url("/"))
			s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
			wantClean(t, s.stop())
		})
	}
}

// wantPowerless fails unless a process has the ids of a user, no capability, and
// no way to gain one.
func wantPowerless(t testing.TB, pid int, name, uid string) {
	t.Helper()
	four := strings.Join([]string{uid, uid, uid, uid}, " ")
	none := fmt.Sprintf("%016x", 0)
	for field, want := range map[string]string{
		"Uid": four, "Gid": four, "NoNewPrivs": "1", "Name": name,
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
	} {
		if got := procStatus(t, pid, field); got != want {
			t.Errorf("%s of %s, process %d, is %s, want %s", field, name, pid, got, want)
		}
	}
}

// openFiles says what the descriptors of a process are of.
func openFiles(t testing.TB, pid int) []string {
	t.Helper()
	var out []string
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			out = append(out, target)
		}
	}
	return out
}

// withCapabilities is a command of a caller who is not root, and has the
// capabilities that the README names.
func withCapabilities(args ...string) *exec.Cmd {
	capabilities := "-all,+bpf,+perfmon,+sys_ptrace,+dac_read_search,+checkpoint_restore"
	return exec.Command("setpriv", append([]string{"--reuid", strconv.Itoa(caller), "--regid", strconv.Itoa(caller), "--clear-groups",
		"--bounding-set", capabilities, "--inh-caps", capabilities, "--ambient-caps", capabilities}, args...)...)
}

// TestCapabilitiesSuffice: without root, the capabilities that the README names
// attach to a server of other users.
func TestCapabilitiesSuffice(t *testing.T) {
	needPrograms(t, "nghttp", "setpriv")
	nginx := startNginx(t, 1)
	cmd := withCapabilities(h2sniff, "dump", "--format", "json", "-p", strconv.Itoa(nginx.pid))
	s := startSniffCommand(t, cmd)
	viewer := viewerOf(t, cmd.Process.Pid)
	// It is ready before the viewer has confined itself.
	waitUntil(t, "the viewer to have no capability", func() bool { return procStatus(t, viewer, "CapPrm") == fmt.Sprintf("%016x", 0) })
	log := parseNghttp(t, run(t, "nghttp", "-nv", nginx.url("/")))
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
	rows := s.stop()
	wantClean(t, rows)
	for _, dir := range []string{"send", "recv"} {
		wantSame(t, log, dir, fold(frames(rows, "", reverse[dir])))
	}
}

// TestFileCapabilities: the same where the file has them, as setcap gives them
// to it; the viewer, which executes that file too, keeps none.
func TestFileCapabilities(t *testing.T) {
	needPrograms(t, "nghttp", "setcap", "runuser")
	nginx := startNginx(t, 1)
	program := copyFile(t, filepath.Join(sharedDir(t), "h2sniff"), h2sniff)
	run(t, "/usr/sbin/setcap", "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore,cap_sys_admin=ep", program)
	s := startSniffCommand(t, exec.Command("runuser", "-u", "nobody", "--", program, "dump", "--format", "json", "-p", strconv.Itoa(nginx.pid)))
	capturing := children(t, s.cmd.Process.Pid) // runuser waits for it
	if len(capturing) != 1 {
		t.Fatalf("runuser has %d children", len(capturing))
	}
	viewer := viewerOf(t, capturing[0])
	// It is ready before the viewer has confined itself.
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		waitUntil(t, "the viewer to have nothing in its "+field, func() bool { return procStatus(t, viewer, field) == fmt.Sprintf("%016x", 0) })
	}
	waitUntil(t, "the viewer to have its name", func() bool { return procStatus(t, viewer, "Name") == "h2sniff" })
	run(t, "nghttp", "-n", nginx.url("/"))
	s.waitFor("the connection to close", func(rows []row) bool { return countKind(rows, "", "close") == 1 })
	wantClean(t, s.snapshot())
	if err := syscall.Kill(capturing[0], syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	s.wait()
	if out, err := exec.Command("runuser", "-u", "nobody", "--", program, "demo", "--lines", "-n", "20", "--for", timeout.String()).CombinedOutput(); err != nil || !strings.Contains(string(out), "SETTINGS frame") {
		t.Errorf("demo: %v\n%s", err, out)
	}
}

// TestFileCapabilitiesOpenNothing: whoever may execute that file reads with it what
// he may read without it.
func TestFileCapabilitiesOpenNothing(t *testing.T) {
	needPrograms(t, "setcap", "runuser")
	dir := sharedDir(t)
	program := copyFile(t, filepath.Join(dir, "h2sniff"), h2sniff)
	run(t, "/usr/sbin/setcap", "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_checkpoint_restore,cap_sys_admin=ep", program)
	own := filepath.Join(dir, "own.pcapng")
	if err := os.WriteFile(own, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("xyzzy is not for others"), 0o600); err != nil {
		t.Fatal(err)
	}
	peer := startPeer(t, peerProgram(t, cleartextPeer))
	pid := strconv.Itoa(peer.pid)
	for _, args := range [][]string{
		{"dump", "-r", secret}, {"-r", secret}, {"check", secret}, {"export", "-r", secret, "-w", "-"},
		{"dump", "--content", "--proto", secret, "-r", own}, {"dump", "--content", "--proto", secret, "-p", pid},
		{"dump", "-b", secret},
	} {
		out, err := exec.Command("runuser", append([]string{"-u", "nobody", "--", program}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "permission denied") {
			t.Errorf("%q: %v: %s", args, err, out)
		}
	}
	for _, args := range []string{"-r " + own, "-p " + pid} {
		// Only the user interface reads a configuration.
		out, err := exec.Command("runuser", "-u", "nobody", "--", "script", "-qec", program+" --config "+secret+" "+args, "/dev/null").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "permission denied") || strings.Contains(string(out), "xyzzy") {
			t.Errorf("--config with %s: %v: %s", args, err, out)
		}
	}

	reading := exec.Command("runuser", "-u", "nobody", "--", program, "dump", "-r", "-")
	stdin, err := reading.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reading.Start(); err != nil {
		t.Fatal(err)
	}
	defer reading.Wait()
	defer stdin.Close()
	var reader []int
	waitUntil(t, "a process without capabilities that reads", func() bool {
		reader = children(t, reading.Process.Pid)
		return len(reader) == 1 && procStatus(t, reader[0], "Name") == "h2sniff" && procStatus(t, reader[0], "CapPrm") == fmt.Sprintf("%016x", 0)
	})
}

// TestFilesOfTheCaller: what is written belongs to the caller, who must be
// allowed to.
func TestFilesOfTheCaller(t *testing.T) {
	nginx := startNginx(t, 1)
	env := byCaller()
	path := filepath.Join(callersDir(t), "x.pcapng")
	r := startRecorder(t, nil, env, "-w", path, "-p", strconv.Itoa(nginx.pid))
	r.cmd.Process.Signal(syscall.SIGINT)
	r.ends(0)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if sys := st.Sys().(*syscall.Stat_t); sys.Uid != caller || sys.Gid != caller || st.Mode().Perm() != 0o600 {
		t.Errorf("owner %d, group %d, mode %v", sys.Uid, sys.Gid, st.Mode())
	}

	foreign := filepath.Join(sharedDir(t), "x.pcapng")
	cmd := exec.Command(h2sniff, "record", "-w", foreign, "-p", strconv.Itoa(nginx.pid))
	cmd.Env = append(os.Environ(), env...)
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "permission denied") {
		t.Errorf("into a folder of root: exit status %d: %s", code, out)
	}
}

// TestHalfKilled: where one of the two processes dies the other ends, says so,
// and leaves no probe behind.
func TestHalfKilled(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 1)
	pid := strconv.Itoa(nginx.pid)
	restored := func() {
		t.Helper()
		wantUntouched(t, []int{nginx.pid})
	}

	t.Run("viewer", func(t *testing.T) {
		s := startSniff(t, "-p", pid)
		kill(t, viewerOf(t, s.cmd.Process.Pid))
		s.wait()
		if code := s.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(s.errors(), "the process that shows has ended: killed") {
			t.Errorf("exit status %d:\n%s", code, s.errors())
		}
		restored()
	})
	t.Run("capturing process", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x.pcapng")
		s := startSniff(t, "-w", path, "-p", pid)
		viewer := viewerOf(t, s.cmd.Process.Pid)
		run(t, "nghttp", "-n", nginx.url("/"))
		s.waitFor("the connection to close", closed(1))
		wantSocketLast(t, s.cmd.Process.Pid)
		s.cmd.Process.Kill()
		s.wait() // standard output and error are closed by the viewer's end
		waitUntil(t, "the viewer's end", func() bool { return hasEnded(viewer) })
		if !strings.Contains(s.errors(), "the process that captures has ended unexpectedly") {
			t.Errorf("standard error:\n%s", s.errors())
		}
		restored()
		rows, stderr, code := dump(t, path)
		if code != 0 || countKind(rows, "", "close") != 1 {
			t.Errorf("the recording is not complete: exit status %d, %d rows: %s", code, len(rows), stderr)
		}
	})
	t.Run("viewer with a screen", func(t *testing.T) {
		s := startScreen(t, 80, 24)
		s.keys(h2sniff+" -p "+pid, "Enter")
		s.waitFor("LIVE", "OpenSSL, 2 processes")
		var viewer int
		for _, shell := range strings.Fields(s.tmux("list-panes", "-F", "#{pane_pid}")) {
			shellPID, err := strconv.Atoi(shell)
			if err != nil {
				t.Fatal(err)
			}
			viewer = viewerOf(t, viewerOf(t, shellPID))
		}
		kill(t, viewer)
		s.waitFor("the process that shows has ended")
		s.wantShell()
		restored()
	})
}

// wantSocketLast wants the highest descriptor of a process to be a socket: of one
// that is killed the kernel releases it first.
func wantSocketLast(t *testing.T, pid int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for _, f := range files {
		n, err := strconv.Atoi(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		highest = max(highest, n)
	}
	if file, err := os.Readlink(fmt.Sprintf("%s/%d", dir, highest)); err != nil || !strings.HasPrefix(file, "socket:") {
		t.Errorf("descriptor %d is %s, %v", highest, file, err)
	}
}

// TestCapturingProcessKilledBesideScreen: the user interface does not stay on a
// terminal that the shell has again.
func TestCapturingProcessKilledBesideScreen(t *testing.T) {
	nginx := startNginx(t, 1)
	s := startScreen(t, 80, 24)
	s.keys(h2sniff+" -p "+strconv.Itoa(nginx.pid), "Enter")
	s.waitFor("LIVE", "OpenSSL, 2 processes")
	shell, err := strconv.Atoi(strings.TrimSpace(s.tmux("list-panes", "-F", "#{pane_pid}")))
	if err != nil {
		t.Fatal(err)
	}
	capturing := viewerOf(t, shell) // the shell's child
	viewer := viewerOf(t, capturing)
	kill(t, capturing)
	s.waitFor("the process that captures has ended unexpectedly")
	waitUntil(t, "the viewer's end", func() bool { return hasEnded(viewer) })
	s.wantShell()
}

// wantShell wants the shell back, after what had the terminal has ended without
// giving it back. The shell's prompt may be gone with the screen of that.
func (s *screen) wantShell() {
	s.t.Helper()
	s.keys("Enter")
	s.wait("a second prompt", func(content string) bool { return strings.Count(content, "shell>") >= 2 })
	s.keys("echo st", "ill", "Enter") // typed letters are shown again
	s.wait("what was typed and what that prints", func(content string) bool { return strings.Count(content, "still") == 2 })
}

// hasEnded tells so of a process that somebody else may still have to wait for.
func hasEnded(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func kill(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// killBoth is the end that leaves nothing time for anything.
func killBoth(t testing.TB, pid int) {
	t.Helper()
	for _, p := range slices.Concat(children(t, pid), []int{pid}) {
		kill(t, p)
	}
}
