// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// result is how a run of h2sniff that ends by itself went.
type result struct {
	stdout, stderr string
	status         int
}

func runSniff(t testing.TB, args ...string) result {
	t.Helper()
	return runCommand(t, exec.Command(h2sniff, args...))
}

func runCommand(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(timeout, func() { cmd.Process.Kill() })
	err := cmd.Wait()
	if !kill.Stop() {
		t.Fatalf("%v does not end\n%s", cmd.Args, stderr.String())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// wantSentence wants one sentence on standard error that matches, nothing on
// standard output, and an exit status.
func (r result) wantSentence(t testing.TB, status int, pattern string) {
	t.Helper()
	if r.status != status {
		t.Errorf("exit status %d, want %d", r.status, status)
	}
	if r.stdout != "" {
		t.Errorf("standard output: %s", r.stdout)
	}
	if strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "h2sniff: ") || strings.Contains(r.stderr, "goroutine") {
		t.Errorf("not one line on standard error:\n%s", r.stderr)
	}
	if !regexp.MustCompile(pattern).MatchString(r.stderr) {
		t.Errorf("standard error does not match %q:\n%s", pattern, r.stderr)
	}
}

// TestMistakes: each is answered with one sentence and an exit status.
func TestMistakes(t *testing.T) {
	needPrograms(t)
	t.Parallel()
	dir := sharedDir(t)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("this is neither a program nor a recording\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	own := strconv.Itoa(os.Getpid())
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, "run")); err == nil {
			t.Error("a command was run that could not be recorded")
		}
	})
	for _, test := range []struct {
		name    string
		args    []string
		status  int
		pattern string
	}{
		{"no such process", []string{"dump", "-p", "99999999"}, 1, `no process 99999999`},
		{"a program without functions", []string{"dump", "-b", peerProgram(t, strippedPeer)}, 1, `/peer_stripped: it holds OpenSSL without symbols`},
		{"a text as program", []string{"dump", "-b", text}, 1, `/text: not an ELF`},
		{"no such program", []string{"dump", "-b", missing}, 1, `/missing: no such file`},
		{"a directory as program", []string{"dump", "-b", dir}, 1, regexp.QuoteMeta(dir)},
		{"a text as recording", []string{"dump", "-r", text}, 1, `recording`},
		{"nothing as recording", []string{"dump", "-r", empty}, 1, `recording`},
		{"a directory as recording", []string{"-r", dir}, 1, `recording`},
		{"no such recording", []string{"-r", missing}, 1, `no such file`},
		{"nowhere to write", []string{"record", "-w", filepath.Join(missing, "x"), "--", "touch", filepath.Join(dir, "run")}, 1, `/missing/x: no such file`},
		{"no such command", []string{"dump", "--", missing}, 1, `^h2sniff: starting \S*/missing: no such file or directory\n$`},
		{"no such command in the path", []string{"dump", "--", "h2s_missing"}, 1, `starting h2s_missing: executable file not found`},
		{"unknown flag", []string{"--nonsense"}, 2, `nonsense`},
		{"unknown flag of dump", []string{"dump", "-x"}, 2, `-x`},
		{"unknown command", []string{"dmup"}, 2, `dmup`},
		{"argument without --", []string{"dump", "curl"}, 2, `curl`},
		{"nothing after --", []string{"dump", "--"}, 2, `no command`},
		{"pid is no number", []string{"-p", "nginx"}, 2, `nginx`},
		{"pid zero", []string{"dump", "-p", "0"}, 2, `0 is not a process`},
		{"no flag value", []string{"dump", "-c"}, 2, `-c`},
		{"empty name", []string{"dump", "-c", ""}, 2, `-c needs a name`},
		{"no container", []string{"dump", "--container", ""}, 2, `--container needs`},
		{"nothing left", []string{"dump", "-o", "--lib", "openssl"}, 2, `no family`},
		{"no family", []string{"dump", "--lib", ""}, 2, `--lib needs .*openssl, gnutls`},
		{"unknown family", []string{"dump", "--lib", "openssl,schannel"}, 2, `"schannel", only openssl, gnutls, .*h2c`},
		{"recording and process", []string{"dump", "-r", text, "-p", own}, 2, `-r`},
		{"command and process", []string{"dump", "-p", own, "--", "true"}, 2, `-p`},
		{"no file to record to", []string{"record", "-p", own}, 2, `-w`},
		{"unknown format", []string{"dump", "--format", "xml"}, 2, `xml`},
		{"no stream", []string{"dump", "--stream", "2147483648"}, 2, `stream`},
		{"no history", []string{"dump", "--history", "12"}, 2, `1MiB`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			runSniff(t, test.args...).wantSentence(t, test.status, test.pattern)
		})
	}
}

// TestNotRoot: without privileges one sentence says what is missing.
func TestNotRoot(t *testing.T) {
	needPrograms(t, "setpriv")
	t.Parallel()
	for _, args := range [][]string{nil, {"dump", "-p", strconv.Itoa(os.Getpid())}, {"dump", "-c", "nginx"}, {"dump", "--", "true"}} {
		cmd := exec.Command("setpriv", append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", h2sniff}, args...)...)
		runCommand(t, cmd).wantSentence(t, 1, `(?i)root`)
	}
}

// TestExitStatus: h2sniff passes on how its command ended.
func TestExitStatus(t *testing.T) {
	needPrograms(t)
	t.Parallel()
	for _, test := range []struct {
		script string
		status int
	}{
		{"exit 0", 0},
		{"exit 7", 7},
		{"kill -TERM $$", 128 + int(syscall.SIGTERM)},
		{"kill -KILL $$", 128 + int(syscall.SIGKILL)},
	} {
		for _, command := range [][]string{{"dump"}, {"record", "-w", filepath.Join(t.TempDir(), "x")}} {
			r := runSniff(t, append(command, "--", "sh", "-c", test.script)...)
			if r.status != test.status {
				t.Errorf("%s %s: exit status %d, want %d\n%s", command[0], test.script, r.status, test.status, r.stderr)
			}
			if ready := strings.Index(r.stderr, "h2sniff: ready\n"); ready < 0 || !strings.HasPrefix(r.stderr[ready:], "h2sniff: ready\nh2sniff: 0 frames, ") {
				t.Errorf("%s: %s", test.script, r.stderr)
			}
		}
	}
}

// TestCommandsStreams: the command reads h2sniff's standard input; what it
// writes does not mix with the lines.
func TestCommandsStreams(t *testing.T) {
	needPrograms(t)
	t.Parallel()
	const script = `read word; echo "out $word"; echo "err $word" >&2`
	dump := exec.Command(h2sniff, "dump", "--", "sh", "-c", script)
	dump.Stdin = strings.NewReader("word\n")
	r := runCommand(t, dump)
	if r.stdout != "" || !strings.Contains(r.stderr, "out word\n") || !strings.Contains(r.stderr, "err word\n") {
		t.Errorf("dump: %+v", r)
	}
	record := exec.Command(h2sniff, "record", "-w", filepath.Join(t.TempDir(), "x"), "--", "sh", "-c", script)
	record.Stdin = strings.NewReader("word\n")
	r = runCommand(t, record)
	if r.stdout != "out word\n" || !strings.Contains(r.stderr, "err word\n") {
		t.Errorf("record: %+v", r)
	}
}

// TestCommandOutlives: when h2sniff is told to end, its command goes on.
func TestCommandOutlives(t *testing.T) {
	t.Parallel()
	program, library := peerProgram(t, opensslPeer), installedLibrary(t, libssl)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		// The peer's answers come out of h2sniff's standard error.
		p := startPeerCommand(t, exec.Command("sh", "-c", `exec "$0" dump -- "$1" 2>&1 >/dev/null`, h2sniff, program))
		command, err := os.FindProcess(p.pid)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { command.Kill() })
		conn, w, _ := listen(t).begin(p)
		if len(changedFunctions(t, p.pid, library)) == 0 {
			t.Error("the command is not traced")
		}
		if err := p.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if _, err := p.cmd.Process.Wait(); err != nil { // cmd.Wait would close the pipes
			t.Fatal(err)
		}
		wantUntouched(t, []int{p.pid})
		smallFrames(w)
		conn.take(p, w.take())
		p.do("close")
		p.in.Close()
	}
}

// TestVersionIsQuick: also on a terminal that does not answer questions.
func TestVersionIsQuick(t *testing.T) {
	needPrograms(t)
	for _, args := range [][]string{{"--version"}, {"--help"}, {"dump", "--help"}} {
		cmd := exec.Command(h2sniff, args...)
		terminal := openTerminal(t)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TERM=") }), "TERM=xterm-256color")
		start := time.Now()
		if err := cmd.Run(); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		if took := time.Since(start); took > 5*time.Second { // as long as an answer is waited for
			t.Errorf("%v took %v", args, took)
		}
	}
	// What the processors work for it, and the best of some: the machine does
	// other things too.
	best := time.Hour
	for range 20 {
		cmd := exec.Command(h2sniff, "--version")
		terminal := openTerminal(t)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		best = min(best, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	t.Logf("--version took %v", best)
	if best > 50*time.Millisecond {
		t.Errorf("--version took %v", best)
	}
}

// openTerminal opens a terminal that nobody looks at.
func openTerminal(t testing.TB) *os.File {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return terminal
}
