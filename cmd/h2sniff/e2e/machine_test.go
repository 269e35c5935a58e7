// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWholeMachine: without a choice every process is traced, those that start
// later from their first octet on, and libraries in unusual places.
func TestWholeMachine(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	programs := map[string]string{libssl: peerProgram(t, opensslPeer), libgnutls: peerProgram(t, gnutlsPeer)}
	enterNamespace(t, privateLibraries)
	far := listen(t)
	unusual := privateLibrary(t, libssl)
	want := make(map[int][]wireFrame)
	library := make(map[int]string)
	var running []*peer
	for name, program := range programs {
		p := startPeer(t, program)
		library[p.pid] = name
		running = append(running, p)
	}
	s := startSniff(t, "--body", "-d")
	for _, name := range []string{libssl, libgnutls} {
		p := startPeer(t, programs[name])
		_, _, want[p.pid] = far.begin(p) // at once: it is not waited for h2sniff
		library[p.pid] = name
		p.end()
	}
	for _, p := range running {
		_, _, want[p.pid] = far.begin(p)
		p.end()
	}
	cmd := exec.Command(programs[libssl])
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(unusual))
	p := startPeerCommand(t, cmd)
	waitUntil(t, "the unusual library to be attached to", func() bool {
		return strings.Contains(s.errors(), "OpenSSL "+unusual+": ")
	})
	_, _, want[p.pid] = far.begin(p)
	library[p.pid] = unusual
	p.end()
	log := parseNghttp(t, run(t, "nghttp", "-nv", "--no-verify-peer", startNginx(t, 2).url("/")))
	s.waitFor("all connections to close", closed(len(want)+2))
	rows := s.stop()
	wantClean(t, rows)
	wantExact(t, rows)
	wantSeq(t, rows)
	seen := 0
	for _, conn := range conns(rows, "") {
		f := frames(rows, conn, "send")
		switch comm := f[0].Comm; comm {
		case "nghttp":
			wantSame(t, log, "send", fold(f))
			wantSame(t, log, "recv", fold(frames(rows, conn, "recv")))
			seen++
		case "nginx":
			wantSame(t, log, "recv", fold(f))
			wantSame(t, log, "send", fold(frames(rows, conn, "recv")))
			seen++
		default:
			if !slices.Contains([]string{opensslPeer, gnutlsPeer}, comm) {
				t.Errorf("a connection of %s", comm)
			}
			wantFrames(t, f, want[f[0].PID])
			if !strings.Contains(f[0].Library, library[f[0].PID]) {
				t.Errorf("library %s of process %d, want %s", f[0].Library, f[0].PID, library[f[0].PID])
			}
			delete(want, f[0].PID)
		}
	}
	if seen != 2 || len(want) != 0 {
		t.Errorf("%d connections of nghttp and nginx, want 2; %d of peers are missing", seen, len(want))
	}
}

// TestMachineLeavesItselfOut: h2sniff, which is a Go program of two processes,
// does not find itself.
func TestMachineLeavesItselfOut(t *testing.T) {
	t.Parallel()
	enterNamespace(t, privateLibraries)
	s := startSniff(t)
	s.stop()
	if strings.Contains(s.errors(), filepath.Base(h2sniff)+",") {
		t.Errorf("h2sniff has attached to itself:\n%s", s.errors())
	}
}
