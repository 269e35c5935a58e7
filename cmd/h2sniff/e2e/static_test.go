// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// staticPeers hold their TLS library themselves.
var staticPeers = map[string]string{ // to the family's name
	staticPeer:        "OpenSSL",
	staticWolfsslPeer: "wolfSSL",
	staticMbedtlsPeer: "mbedTLS",
}

// wantStatic wants the rows to be those of one static peer's connection.
func wantStatic(t testing.TB, rows []row, program string, p *peer, conn *farConn, sent []wireFrame) {
	t.Helper()
	wantOnly(t, rows, map[int][]wireFrame{p.pid: sent})
	wantExact(t, rows)
	wantBound(t, rows, conn)
	wantIdentity(t, rows, identity{comm: filepath.Base(program), role: "client", pids: []int{p.pid}, library: filepath.Base(program)})
}

// TestStaticPrograms: a program that holds its TLS library itself is found by
// any way to choose it, and with none.
func TestStaticPrograms(t *testing.T) {
	t.Parallel()
	for peerName, family := range staticPeers {
		for _, way := range []string{"-p", "-c", "machine"} {
			t.Run(family+"/"+way, func(t *testing.T) {
				t.Parallel()
				program := copyFile(t, filepath.Join(sharedDir(t), "held_"+family), peerProgram(t, peerName))
				setup := ""
				if way == "machine" {
					setup = privateLibraries
				}
				enterNamespace(t, setup)
				far := listen(t)
				p := startPeer(t, program)
				args := map[string][]string{
					"-p": {"-p", strconv.Itoa(p.pid)}, "-c": {"-c", "held_" + family}, "machine": nil,
				}[way]
				s := startSniff(t, append(args, "--body")...)
				if line := "h2sniff: " + family + ": enabled, " + program + ", 1 process\n"; !strings.Contains(s.errors(), line) {
					t.Errorf("h2sniff does not say %q:\n%s", line, s.errors())
				}
				conn, _, sent := far.begin(p)
				p.do("close")
				p.end()
				s.waitFor("the connection to close", closed(1))
				if way != "-p" {
					wantStatic(t, s.stop(), program, p, conn, sent)
					return
				}
				s.wait()
				wantStatic(t, s.snapshot(), program, p, conn, sent)
			})
		}
		t.Run(family+"/command", func(t *testing.T) {
			t.Parallel()
			program := copyFile(t, filepath.Join(sharedDir(t), "held_"+family), peerProgram(t, peerName))
			output := filepath.Join(t.TempDir(), "rows")
			// The peer's answers come out of h2sniff's standard error.
			p := startPeerCommand(t, exec.Command("sh", "-c", `exec "$0" dump --format json --body -- "$1" 2>&1 >"$2"`, h2sniff, program, output))
			conn, _, sent := listen(t).begin(p)
			p.do("close")
			p.end()
			wantStatic(t, readRows(t, output), program, p, conn, sent)
		})
	}
}

// readRows reads what "h2sniff dump --format json" has written into a file.
func readRows(t testing.TB, path string) []row {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

// TestStaticProgramLate: a connection of a program that holds OpenSSL itself,
// open since before h2sniff came.
func TestStaticProgramLate(t *testing.T) {
	t.Parallel()
	p := startPeer(t, copyFile(t, filepath.Join(sharedDir(t), "held_late"), peerProgram(t, staticPeer)))
	conn, w, _ := listen(t).begin(p)
	s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
	smallFrames(w)
	octets := w.take()
	conn.take(p, octets)
	conn.send(p, octets)
	p.do("close")
	p.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	wantFrames(t, frames(rows, "", "send"), wireFrames(t, octets))
	wantFrames(t, frames(rows, "", "recv"), wireFrames(t, octets))
	wantBound(t, rows, conn)
}

// TestStrippedProgram: where the functions of a library cannot be found in the
// program that holds it, h2sniff says so.
func TestStrippedProgram(t *testing.T) {
	t.Parallel()
	program := copyFile(t, filepath.Join(sharedDir(t), "held_stripped"), peerProgram(t, strippedPeer))
	p := startPeer(t, program)
	s := startSniff(t, "-p", strconv.Itoa(p.pid))
	want := "h2sniff: " + program + ", mapped by " + strconv.Itoa(p.pid) + " (held_stripped): it holds OpenSSL without symbols: its functions cannot be found\n"
	if !strings.Contains(s.errors(), want) {
		t.Errorf("h2sniff does not say %q:\n%s", want, s.errors())
	}
	p.end()
	s.wait()
}

// TestLibraryByOtherName: BoringSSL in a library that is called something else.
// Where the name does not tell, -b names the file.
func TestLibraryByOtherName(t *testing.T) {
	t.Parallel()
	real, err := filepath.EvalSymlinks(filepath.Join(boringLibraries(t), "libssl.so"))
	need(t, "BoringSSL (android-libboringssl-dev)", err == nil)
	for name, byPath := range map[string]bool{
		"libboringssl.so": false, "libmy_ssl_shim.so.1": false, "libnetty_tcnative_linux_x86_64.so": false, "libcall.so": true,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := sharedDir(t)
			library := copyFile(t, filepath.Join(dir, name), real)
			if err := os.Symlink(name, filepath.Join(dir, filepath.Base(real))); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(peerProgram(t, boringPeer))
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+dir)
			p := startPeerCommand(t, cmd)
			args := []string{"--body", "-p", strconv.Itoa(p.pid)}
			if byPath {
				args = append(args, "-b", library)
			}
			s := startSniff(t, args...)
			conn, _, sent := listen(t).begin(p)
			p.do("close")
			p.end()
			s.waitFor("the connection to close", closed(1))
			if byPath {
				s.stop()
			} else {
				s.wait()
			}
			rows := s.snapshot()
			wantOnly(t, rows, map[int][]wireFrame{p.pid: sent})
			wantBound(t, rows, conn)
			wantIdentity(t, rows, identity{comm: boringPeer, role: "client", pids: []int{p.pid}, library: name})
		})
	}
}

// wantBound wants the one connection to have its socket's addresses, once.
func wantBound(t testing.TB, rows []row, conn *farConn) {
	t.Helper()
	n := 0
	for _, r := range rows {
		if r.Kind != "bind" {
			continue
		}
		n++
		if r.Address != "exact" || r.Local != conn.RemoteAddr().String() || r.Remote != conn.LocalAddr().String() {
			t.Errorf("bound to %s %s (%s), want %s %s", r.Local, r.Remote, r.Address, conn.RemoteAddr(), conn.LocalAddr())
		}
	}
	if n != 1 {
		t.Errorf("bound %d times", n)
	}
}
