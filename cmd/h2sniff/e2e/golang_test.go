// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// goBuild is a way to build testdata/gopeer.
type goBuild struct {
	name      string
	toolchain string // "" is the one that builds h2sniff
	cgo       bool
	args      []string
}

var (
	goNormal   = goBuild{name: "normal"}
	goStripped = goBuild{name: "stripped", args: []string{"-ldflags=-s -w"}}
	goBuilds   = []goBuild{
		goNormal,
		goStripped,
		{name: "pie", args: []string{"-buildmode=pie", "-ldflags=-s -w"}},
		{name: "cgo", cgo: true, args: []string{"-ldflags=-s -w -linkmode=external"}},
		{name: "cgo_pie", cgo: true, args: []string{"-buildmode=pie", "-ldflags=-s -w -linkmode=external"}},
	}
	// goToolchains are others than the one that builds h2sniff. With the oldest
	// the table of functions is told by relocations.
	goToolchains = []goBuild{
		{name: "go1.21_stripped", toolchain: "go1.21.13", args: []string{"-ldflags=-s -w"}},
		{name: "go1.24_pie", toolchain: "go1.24.11", args: []string{"-buildmode=pie", "-ldflags=-s -w"}},
	}
)

// goProgram gives the path of testdata/gopeer, built so.
func goProgram(t testing.TB, b goBuild) string {
	t.Helper()
	needPrograms(t)
	if b.cgo {
		needPrograms(t, "gcc")
	}
	path := filepath.Join(filepath.Dir(h2sniff), "gopeer_"+b.name)
	environment := append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if b.cgo {
		environment = append(environment, "CGO_ENABLED=1")
	}
	if b.toolchain != "" {
		environment = append(environment, "GOTOOLCHAIN="+b.toolchain)
		version := exec.Command("go", "version")
		version.Env = environment
		if out, err := version.CombinedOutput(); err != nil || !strings.Contains(string(out), b.toolchain+" ") {
			t.Skipf("NOT TESTED: the toolchain %s cannot be had here: %v\n%s", b.toolchain, err, out)
		}
	}
	once, _ := compiled.LoadOrStore(path, sync.OnceValue(func() error {
		// In a module of its own, which an old toolchain accepts.
		dir := path + ".source"
		if err := os.CopyFS(dir, os.DirFS("testdata/gopeer")); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module gopeer\n\ngo 1.18\n"), 0o644); err != nil {
			return err
		}
		build := exec.Command("go", append(append([]string{"build", "-o", path}, b.args...), ".")...)
		build.Dir, build.Env = dir, environment
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", build.Args, err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return path
}

// startGoLogging starts a Go program that logs its frames.
func startGoLogging(t testing.TB, program string, args ...string) (*peer, *lockedBuilder) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "GODEBUG=http2debug=2")
	log := &lockedBuilder{}
	cmd.Stderr = log
	return startPeerCommand(t, cmd), log
}

// allFrames gives frames in the form of goFrames, which has DATA of net/http.
func allFrames(rows []row) []string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %d %d", r.Type, r.Stream, r.Length))
	}
	return out
}

// wantGoAddresses wants every connection of a process to be bound to the server's
// port, exactly.
func wantGoAddresses(t testing.TB, rows []row, pid int, port string, isServer bool) {
	t.Helper()
	bound := 0
	for _, r := range rows {
		if r.Kind != "bind" || r.PID != pid {
			continue
		}
		bound++
		local, remote := r.Local, r.Remote
		if isServer {
			local, remote = remote, local
		}
		if r.Address != "exact" || remote != "127.0.0.1:"+port || !strings.HasPrefix(local, "127.0.0.1:") || local == remote {
			t.Errorf("process %d: bound to %s %s (%s), the server's port is %s", pid, r.Local, r.Remote, r.Address, port)
		}
	}
	if opened := len(connsOf(rows, pid)); bound != opened {
		t.Errorf("process %d: %d of %d connections have addresses", pid, bound, opened)
	}
}

// TestGo: what Go programs send and receive is what they log, however they
// were built.
func TestGo(t *testing.T) {
	t.Parallel()
	for _, b := range append(goBuilds, goToolchains...) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			program := goProgram(t, b)
			server, serverLog := startGoLogging(t, program, "serve")
			port := server.answer()
			client, clientLog := startGoLogging(t, program, "fetch", port)
			s := startSniff(t, "-p", strconv.Itoa(server.pid), "-p", strconv.Itoa(client.pid), "--lib", "go")
			client.do("%d", 40)
			client.end()
			s.waitFor("the connection to close", closed(2))
			server.end()
			s.wait()
			rows := s.snapshot()
			wantClean(t, rows)
			wantExact(t, rows)
			for i, p := range []*peer{client, server} {
				list := connsOf(rows, p.pid)
				if len(list) != 1 {
					t.Fatalf("%d connections of process %d", len(list), p.pid)
				}
				log := []*lockedBuilder{clientLog, serverLog}[i].String()
				for _, dir := range []string{"send", "recv"} {
					got, want := allFrames(frames(rows, list[0], dir)), goFrames(log, dir)
					if len(want) < 80 {
						t.Fatalf("%d frames in the log", len(want))
					}
					// The last ones may not be logged by a program that ends.
					if n := len(got) - len(want); n > 0 && n < 3 {
						got = got[:len(want)]
					}
					if len(got) != len(want) {
						t.Errorf("%d frames, %d were logged", len(got), len(want))
					}
					wantTail(t, []string{"client ", "server "}[i]+dir, got, want, len(want))
				}
				wantGoAddresses(t, rows, p.pid, port, i == 1)
				for _, r := range rows {
					if role := []string{"client", "server"}[i]; r.PID == p.pid && (r.Role != role || r.Comm != filepath.Base(program)[:min(15, len(filepath.Base(program)))]) {
						t.Errorf("row %d: role %q, command %q; want %s", r.Seq, r.Role, r.Comm, role)
						break
					}
				}
			}
			if n := wantCausality(t, rows); n != 1 {
				t.Errorf("%d connections with both ends", n)
			}
		})
	}
}

// TestGoOrder: of 3,000 requests, one after another, none has an answer before
// it, although the call that sends one often returns later than the call that
// receives the answer.
func TestGoOrder(t *testing.T) {
	t.Parallel()
	const requests = 3000
	program := goProgram(t, goStripped)
	server := startPeerCommand(t, exec.Command(program, "serve"))
	client := startPeerCommand(t, exec.Command(program, "fetch", server.answer()))
	s := startSniff(t, "-p", strconv.Itoa(client.pid), "--lib", "go")
	for range requests / 100 {
		client.do("100")
	}
	client.end()
	s.wait()
	rows := s.snapshot()
	wantClean(t, rows)
	asked := make(map[uint32]bool)
	answers, early, threads := 0, 0, make(map[int]bool)
	for _, r := range frames(rows, "", "") {
		threads[r.TID] = true
		switch {
		case r.Type != "HEADERS":
		case r.Dir == "send":
			asked[r.Stream] = true
		case !asked[r.Stream]:
			early++
		default:
			answers++
		}
	}
	if early > 0 || answers != requests || len(asked) != requests {
		t.Errorf("%d requests, %d answers, %d of them before their request", len(asked), answers+early, early)
	}
	t.Logf("%d threads", len(threads))
}
