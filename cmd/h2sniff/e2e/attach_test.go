// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wantOnly wants the rows to be the connections of some peers, by pid, with
// the frames that each has sent.
func wantOnly(t testing.TB, rows []row, want map[int][]wireFrame) {
	t.Helper()
	wantClean(t, rows)
	seen := make(map[int]bool)
	for _, conn := range conns(rows, "") {
		f := frames(rows, conn, "send")
		pid := f[0].PID
		if want[pid] == nil || seen[pid] {
			t.Errorf("a connection too many, of process %d (%s)", pid, f[0].Comm)
			continue
		}
		seen[pid] = true
		wantFrames(t, f, want[pid])
	}
	for pid := range want {
		if !seen[pid] {
			t.Errorf("no connection of process %d", pid)
		}
	}
}

// TestFamilies: -o leaves OpenSSL out, -g GnuTLS, and --lib what it does not
// name.
func TestFamilies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flags           []string
		openssl, gnutls bool
	}{
		{nil, true, true},
		{[]string{"-o"}, false, true},
		{[]string{"--no-gnutls"}, true, false},
		{[]string{"--lib", "gnutls"}, false, true},
		{[]string{"--lib=openssl", "--lib=gnutls,h2c"}, true, true},
		{[]string{"--lib=openssl,gnutls", "-g"}, true, false},
	} {
		t.Run(strings.Join(test.flags, " "), func(t *testing.T) {
			t.Parallel()
			a, b := startPeer(t, peerProgram(t, opensslPeer)), startPeer(t, peerProgram(t, gnutlsPeer))
			args := append(test.flags, "--body", "-p", strconv.Itoa(a.pid), "-p", strconv.Itoa(b.pid))
			s := startSniff(t, args...)
			far := listen(t)
			want := make(map[int][]wireFrame)
			if _, _, sent := far.begin(a); test.openssl {
				want[a.pid] = sent
			}
			if _, _, sent := far.begin(b); test.gnutls {
				want[b.pid] = sent
			}
			a.end()
			b.end()
			s.wait()
			wantOnly(t, s.snapshot(), want)
			lacks := fmt.Sprintf("h2sniff: %s %d: without GnuTLS; it has OpenSSL (libssl.so.3)\n", opensslPeer, a.pid)
			if told := strings.Contains(s.errors(), lacks); told != (len(test.flags) == 2 && test.flags[1] == "gnutls") {
				t.Errorf("said %v: %sbut h2sniff says\n%s", told, lacks, s.errors())
			}
			plain := !strings.HasPrefix(strings.Join(test.flags, " "), "--lib") || slices.Contains(test.flags, "--lib=gnutls,h2c")
			for family, on := range map[string]bool{"OpenSSL": test.openssl, "GnuTLS": test.gnutls, cleartext: plain} {
				if strings.Contains(s.errors(), "h2sniff: "+family+": enabled, ") != on {
					t.Errorf("%s: want enabled %v, but h2sniff says\n%s", family, on, s.errors())
				}
			}
		})
	}
}

// TestAllSelectionsHold: several -p are alternatives, but different options
// must all hold.
func TestAllSelectionsHold(t *testing.T) {
	t.Parallel()
	program, otherProgram := namedPeer(t, "one_name"), namedPeer(t, "other_name")
	for _, test := range []struct {
		name string
		args func(a, b, c *peer) []string
		want func(a, b, c *peer) []*peer
	}{
		{
			"-p -p",
			func(a, b, c *peer) []string {
				return []string{"-p", strconv.Itoa(a.pid), "--pid=" + strconv.Itoa(c.pid)}
			},
			func(a, b, c *peer) []*peer { return []*peer{a, c} },
		},
		{
			"-p -p -c",
			func(a, b, c *peer) []string {
				return []string{"-p", strconv.Itoa(a.pid), "-p", strconv.Itoa(c.pid), "-c", "other_name"}
			},
			func(a, b, c *peer) []*peer { return []*peer{c} },
		},
		{
			"-p -c of another",
			func(a, b, c *peer) []string { return []string{"-p", strconv.Itoa(a.pid), "--comm", "other_name"} },
			func(a, b, c *peer) []*peer { return nil },
		},
		{
			"-p -b",
			func(a, b, c *peer) []string { return []string{"-p", strconv.Itoa(b.pid), "-b", program} },
			func(a, b, c *peer) []*peer { return []*peer{b} },
		},
		{
			"-p -b of another",
			func(a, b, c *peer) []string { return []string{"-p", strconv.Itoa(c.pid), "-b", program} },
			func(a, b, c *peer) []*peer { return nil },
		},
		{
			"-c -b",
			func(a, b, c *peer) []string { return []string{"-c", "one_name", "-b", program} },
			func(a, b, c *peer) []*peer { return []*peer{a, b} },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			enterNamespace(t, "")
			a, b, c := startPeer(t, program), startPeer(t, program), startPeer(t, otherProgram)
			s := startSniff(t, append(test.args(a, b, c), "--body")...)
			far := listen(t)
			want := make(map[int][]wireFrame)
			library := installedLibrary(t, libssl)
			for _, p := range []*peer{a, b, c} {
				_, _, sent := far.begin(p)
				chosen := slices.Contains(test.want(a, b, c), p)
				if chosen {
					want[p.pid] = sent
				}
				if changed := changedFunctions(t, p.pid, library); chosen != (len(changed) > 0) {
					t.Errorf("process %d: chosen %v, but %v are changed", p.pid, chosen, changed)
				}
			}
			wantOnly(t, s.stop(), want)
		})
	}
}

// TestBinaryWithFunctions: -b of an executable that holds libssl itself: its
// processes, whether they run already or not, and no other.
func TestBinaryWithFunctions(t *testing.T) {
	t.Parallel()
	program := copyFile(t, filepath.Join(sharedDir(t), "static"), peerProgram(t, staticPeer))
	running, other := startPeer(t, program), startPeer(t, peerProgram(t, opensslPeer))
	s := startSniff(t, "--body", "-b", program)
	if line := "h2sniff: OpenSSL: enabled, " + program + ", 1 process\n"; !strings.Contains(s.errors(), line) {
		t.Errorf("h2sniff does not say %q:\n%s", line, s.errors())
	}
	later := startPeer(t, program)
	far := listen(t)
	want := make(map[int][]wireFrame)
	_, _, want[running.pid] = far.begin(running)
	_, _, want[later.pid] = far.begin(later)
	far.begin(other)
	for _, p := range []*peer{running, later, other} {
		p.end()
	}
	s.waitFor("them to end", closed(2))
	rows := s.stop()
	wantOnly(t, rows, want)
	wantExact(t, rows)
	if rows[0].Library != program {
		t.Errorf("library %s, want %s", rows[0].Library, program)
	}
}

// TestBinaryWithoutFunctions: -b of an executable that loads libssl: the
// library in the processes that run it, not in others.
func TestBinaryWithoutFunctions(t *testing.T) {
	t.Parallel()
	program, otherProgram := namedPeer(t, "same_name"), namedPeer(t, "same_name")
	link := filepath.Join(sharedDir(t), "link")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	running, other := startPeer(t, program), startPeer(t, otherProgram)
	s := startSniff(t, "--body", "-d", "-b", link)
	later := startPeer(t, program)
	s.attached(later.pid)
	far := listen(t)
	want := make(map[int][]wireFrame)
	_, _, want[running.pid] = far.begin(running)
	_, _, want[later.pid] = far.begin(later)
	far.begin(other)
	if changed := changedFunctions(t, other.pid, installedLibrary(t, libssl)); len(changed) > 0 {
		t.Errorf("%v of a process that was not chosen are changed", changed)
	}
	for _, p := range []*peer{running, later, other} {
		p.end()
	}
	s.waitFor("them to end", closed(2))
	rows := s.stop()
	wantOnly(t, rows, want)
	wantExact(t, rows)
}

// TestLibraryOutOfSight: libraries that the process maps and that h2sniff
// cannot open by the path that the process knows.
func TestLibraryOutOfSight(t *testing.T) {
	needPrograms(t, "unshare")
	t.Parallel()
	program := peerProgram(t, opensslPeer)
	for _, test := range []struct {
		name, script string
		remove       bool
	}{
		{"in another mount namespace", `
			mount -t tmpfs tmpfs "$2" && cp "$3" "$2"/libssl.so.3 || exit
			LD_LIBRARY_PATH=$2 exec "$1"`, false},
		{"in another root", `
			mkdir "$2/root" && cd "$2/root" && mkdir -p usr own ".$4" && mount --bind /usr usr && mount --bind "$4" ".$4" || exit
			ln -s usr/lib lib && ln -s usr/lib64 lib64 && cp "$1" own/peer && cp "$3" own/libssl.so.3 || exit
			LD_LIBRARY_PATH=/own exec chroot . /own/peer`, false},
		{"deleted since", `
			cp "$3" "$2"/libssl.so.3 || exit
			LD_LIBRARY_PATH=$2 exec "$1"`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := sharedDir(t)
			p := startPeerCommand(t, exec.Command("unshare", "--mount", "sh", "-c", test.script, "sh",
				program, dir, installedLibrary(t, libssl), os.TempDir()))
			if test.remove {
				if err := os.Remove(filepath.Join(dir, libssl)); err != nil {
					t.Fatal(err)
				}
			}
			s := startSniff(t, "--body", "-p", strconv.Itoa(p.pid))
			_, _, sent := listen(t).begin(p)
			p.end()
			s.wait()
			rows := s.snapshot()
			wantOnly(t, rows, map[int][]wireFrame{p.pid: sent})
			wantExact(t, rows)
		})
	}
}

// TestLibraryLoadedLater: Python loads libssl after h2sniff has attached, the
// installed one or one from somewhere else.
func TestLibraryLoadedLater(t *testing.T) {
	t.Parallel()
	for _, library := range []string{installedLibrary(t, libssl), privateLibrary(t, libssl)} {
		t.Run(filepath.Base(filepath.Dir(library)), func(t *testing.T) {
			t.Parallel()
			python := exec.Command("/usr/bin/python3", "-c", `
import os, sys
print("ok", os.getpid(), flush=True)
sys.stdin.readline()
import ssl
print("ok", flush=True)
port = int(sys.stdin.readline())
import socket
context = ssl._create_unverified_context()
context.set_alpn_protocols(["h2"])
tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
tls.sendall(bytes.fromhex(sys.stdin.readline()))
print("ok", flush=True)
sys.stdin.read()`)
			python.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(library))
			p := startPeerCommand(t, python)
			s := startSniff(t, "--body", "-d", "-p", strconv.Itoa(p.pid))
			p.do("load it")
			waitUntil(t, "probes", func() bool { return probed(changedFunctions(t, p.pid, library)) })
			far := listen(t)
			w := newWire()
			w.preface()
			smallFrames(w)
			octets := w.take()
			p.tell("%d", far.port())
			c, err := far.Accept()
			if err != nil {
				t.Fatal(err)
			}
			p.tell("%x", octets)
			got := make([]byte, len(octets))
			if _, err := io.ReadFull(c, got); err != nil {
				t.Fatal(err)
			}
			p.answer()
			p.end()
			s.wait()
			rows := s.snapshot()
			wantOnly(t, rows, map[int][]wireFrame{p.pid: wireFrames(t, octets)})
			if rows[0].Library != library {
				t.Errorf("library %s, want %s", rows[0].Library, library)
			}
		})
	}
}
