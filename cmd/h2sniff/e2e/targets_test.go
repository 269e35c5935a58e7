// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"syscall"
)

// listed is a line of "h2sniff targets --format json".
type listed struct {
	PID       int    `json:"pid"`
	Comm      string `json:"comm"`
	Exe       string `json:"exe"`
	Container struct {
		ID      string `json:"id"`
		Runtime string `json:"runtime"`
	} `json:"container"`
	Libraries []struct {
		Family    string   `json:"family"`
		Path      string   `json:"path"`
		Version   string   `json:"version"`
		Found     string   `json:"found"`
		Functions []string `json:"functions"`
		Deleted   bool     `json:"deleted"`
	} `json:"libraries"`
	Reason string `json:"reason"`
}

// listTargets gives the list by pid.
func listTargets(t testing.TB) map[int]listed {
	t.Helper()
	r := runSniff(t, "targets", "--format", "json")
	if r.status != 0 || r.stderr != "" {
		t.Fatalf("exit status %d\n%s", r.status, r.stderr)
	}
	all := make(map[int]listed)
	for line := range strings.Lines(r.stdout) {
		var l listed
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if (len(l.Libraries) == 0) == (l.Reason == "") {
			t.Errorf("neither libraries nor a reason, or both: %s", line)
		}
		all[l.PID] = l
	}
	return all
}

// listening starts a program that prints a line when it has a TCP socket.
func listening(t testing.TB, name string, args ...string) int {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cmd.Process.Pid
}

const goListener = `package main

import ("fmt"; "io"; "net"; "os")

func main() {
	if _, err := net.Listen("tcp", "127.0.0.1:0"); err != nil { panic(err) }
	fmt.Println("listening")
	io.Copy(io.Discard, os.Stdin)
}
`

const cListener = `
#include <stdio.h>
#include <sys/socket.h>
const char *volatile mark = "%s";
int main(void) { return listen(socket(AF_INET, SOCK_STREAM, 0), 1) || puts(mark) < 0 || fflush(stdout) || getchar() == 0; }
`

const pythonListener = `
import ctypes, socket, sys
s = socket.create_server(("127.0.0.1", 0))
for library in sys.argv[1:]: ctypes.CDLL(library)
print("listening", flush=True)
sys.stdin.read()
`

// TestTargets: real programs are listed with what can be probed in them, or
// with the reason why nothing can.
func TestTargets(t *testing.T) {
	t.Parallel()
	needPrograms(t, "openssl", "gnutls-serv", "gcc", "go")
	dir := sharedDir(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	goProgram := filepath.Join(dir, "go_listener")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", goProgram, write("listener.go", goListener))
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rust := filepath.Join(dir, "rust_like")
	run(t, "gcc", "-o", rust, write("rust.c", fmt.Sprintf(cListener, "/root/.cargo/registry/src/index/rustls-0.23.5/src/conn.rs")))
	hidden := filepath.Join(dir, "boring_like")
	run(t, "gcc", "-o", hidden, write("boring.c", fmt.Sprintf(cListener, "../../third_party/boringssl/src/ssl/ssl_lib.cc")))
	jvm := copyFile(t, filepath.Join(dir, "libjvm.so"), installedLibrary(t, "libz.so.1"))
	private := copyFile(t, filepath.Join(dir, "libssl.so.3"), installedLibrary(t, "libssl.so.3"))

	nginx := startNginx(t, 1)
	port := freePort(t)
	gnutls := startServer(t, fmt.Sprintf("127.0.0.1:%d", port), "gnutls-serv", "-p", fmt.Sprint(port), "--echo", "--disable-client-cert")
	replaced := listening(t, debianPython, "-c", pythonListener, private)
	if err := os.Remove(private); err != nil { // as dpkg does
		t.Fatal(err)
	}
	copyFile(t, private, installedLibrary(t, "libssl.so.3"))
	whys := map[int]string{
		listening(t, goProgram): `^Go program \(go1\.\d+\S*\) without crypto/tls`,
		listening(t, rust):      `^rustls: no stable symbols$`,
		listening(t, hidden):    `BoringSSL without symbols`,
		listening(t, debianPython, "-c", pythonListener, jvm): `^JVM: TLS in Java$`,
		listening(t, debianPython, "-c", pythonListener):      `^no TLS library that is known here`,
	}
	goServer := listening(t, h2sniff, "demo-server")
	static := startPeer(t, peerProgram(t, staticPeer))
	all := listTargets(t)
	for pid, why := range whys {
		l, ok := all[pid]
		if !ok || !regexp.MustCompile(why).MatchString(l.Reason) {
			t.Errorf("process %d, %s: reason %q, want %s", pid, l.Comm, l.Reason, why)
		}
	}
	openssl := strings.Fields(run(t, "openssl", "version"))[1]
	for _, want := range []struct {
		pid             int
		family, version string
		function        string
		path            string
		found           string
		deleted         bool
	}{
		{nginx.pid, "OpenSSL", "^" + regexp.QuoteMeta(openssl) + "$", "SSL_read", "/libssl.so.3", "library", false},
		{gnutls, "GnuTLS", `^3\.\d+\.\d+$`, "gnutls_record_recv", "/libgnutls.so.30", "library", false},
		{replaced, "OpenSSL", "^" + regexp.QuoteMeta(openssl) + "$", "SSL_read", private, "library", true},
		{goServer, "Go", `^go1\.\d+`, "crypto/tls.(*Conn).Read", h2sniff, "go", false},
		{static.pid, "OpenSSL", `^(3\.\d+\.\d+)?$`, "SSL_read", staticPeer, "executable", false}, // the version is not always linked
	} {
		l := all[want.pid]
		if len(l.Libraries) != 1 {
			t.Errorf("process %d: %+v", want.pid, l)
			continue
		}
		got := l.Libraries[0]
		if got.Family != want.family || !regexp.MustCompile(want.version).MatchString(got.Version) || got.Found != want.found ||
			!slices.Contains(got.Functions, want.function) || !strings.Contains(got.Path, want.path) || got.Deleted != want.deleted {
			t.Errorf("process %d: %+v, want %+v", want.pid, got, want)
		}
	}
	table := runSniff(t, "targets")
	for _, want := range []string{
		fmt.Sprintf(`(?m)^%d +nginx +- +OpenSSL +%s +library +SSL_write, SSL_write_ex and \d+ more +/`, nginx.pid, regexp.QuoteMeta(openssl)),
		fmt.Sprintf(`(?m)^%d +python3 .*%s \(replaced or deleted\)$`, replaced, regexp.QuoteMeta(private)),
		`(?m)^\d+ +rust_like +- +rustls: no stable symbols +/`,
	} {
		if !regexp.MustCompile(want).MatchString(table.stdout) {
			t.Errorf("no line of the table matches %s:\n%s", want, table.stdout)
		}
	}
}

// TestTargetsWithoutRights: it says how much it could not see.
func TestTargetsWithoutRights(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	cmd := exec.Command(h2sniff, "targets")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	r := runCommand(t, cmd)
	if r.status != 0 || !regexp.MustCompile(`^h2sniff: \d+ processe?s? may not be looked at: run as root`).MatchString(r.stderr) {
		t.Errorf("exit status %d\n%s", r.status, r.stderr)
	}
}
