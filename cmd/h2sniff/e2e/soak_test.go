// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// soakLoad is how much passes before what is left over is counted.
type soakLoad struct {
	frames      int // about
	connections int
	processes   int
}

// soakShare is the share of the long form that is asked for: H2SNIFF_SOAK=1 (make
// soak) is hours of use in one go, 0.1 a tenth of them. 0 stands for the short form.
func soakShare(t testing.TB) float64 {
	t.Helper()
	text := os.Getenv("H2SNIFF_SOAK")
	if text == "" {
		return 0
	}
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || share <= 0 || share > 1 {
		t.Fatalf("H2SNIFF_SOAK=%s is not a share of 1", text)
	}
	return share
}

func soakOf(t testing.TB) soakLoad {
	if share := soakShare(t); share > 0 {
		part := func(n float64) int { return int(n * share) }
		return soakLoad{frames: part(10_000_000), connections: part(100_000), processes: part(10_000)}
	}
	return soakLoad{frames: 100_000, connections: 1_000, processes: 100}
}

// usage is what the two processes of an h2sniff hold.
type usage struct {
	rss         [2]int // KiB, not shared, of the capturing process and the viewer
	descriptors [2]int
	entries     map[string]int // of the BPF maps
}

func (u usage) String() string {
	return fmt.Sprintf("memory %d and %d MiB, descriptors %d and %d, map entries %v",
		u.rss[0]>>10, u.rss[1]>>10, u.descriptors[0], u.descriptors[1], u.entries)
}

func usageOf(t testing.TB, pid int) usage {
	t.Helper()
	u := usage{entries: make(map[string]int)}
	for i, p := range []int{pid, viewerOf(t, pid)} {
		kib, _, _ := strings.Cut(procStatus(t, p, "RssAnon"), " ")
		u.rss[i] = int(number(t, kib, 10))
		u.descriptors[i] = len(openFiles(t, p))
	}
	for _, name := range []string{"threads", "conns", "processes"} {
		u.entries[name] = mapEntries(t, pid, name)
	}
	return u
}

// TestSoak: after frames, connections and processes in numbers h2sniff holds
// what it held before, and has shown all of them.
func TestSoak(t *testing.T) {
	needPrograms(t, "h2load", "curl")
	load := soakOf(t)
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 1<<20)
	curl := copyFile(t, filepath.Join(sharedDir(t), "h2sniff-soak"), lookPath(t, "curl"))
	// A name, not a process: nginx by its executable's name would be others too.
	watch := func(args ...string) (*exec.Cmd, *lockedBuilder) {
		cmd := exec.Command(h2sniff, append([]string{"dump", "--format", "plain", "--history", "16MiB"}, args...)...)
		errors := &lockedBuilder{}
		cmd.Stderr = errors
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			if t.Failed() {
				t.Logf("%v said:\n%s", cmd.Args, errors.String())
			}
		})
		waitUntil(t, "h2sniff to be ready", func() bool { return strings.Contains(errors.String(), "h2sniff: ready") })
		return cmd, errors
	}
	server, serverErrors := watch("-p", strconv.Itoa(nginx.pid))
	clients, clientErrors := watch("-c", "h2sniff-soak")

	connections, processes := 0, 0
	connect := func(n int) { // connections of a request each
		for ; n > 0; n -= 100 {
			run(t, "h2load", "-n", "100", "-c", "100", nginx.url("/"))
			connections += 100
		}
	}
	request := func(frames int) { // a response of 1 MiB is about 64 DATA frames
		n := max(frames/64, 10)
		run(t, "h2load", "-n", strconv.Itoa(n), "-c", "10", "-m", "10", nginx.url("/large"))
		connections += 10
	}
	execute := func(n int) {
		script := fmt.Sprintf(`i=0; while [ $i -lt %d ]; do "$0" -sk --http2 -o /dev/null "$1" || exit 1; i=$((i+1)); done`, n)
		run(t, "sh", "-c", script, curl, nginx.url("/"))
		connections, processes = connections+n, processes+n
	}
	// What waits is read, and the kernel lets go of links, some time later.
	settled := func(cmd *exec.Cmd) usage {
		time.Sleep(time.Second)
		return usageOf(t, cmd.Process.Pid)
	}

	connect(200)
	request(20_000) // fills the history: memory is to be flat from here on
	execute(20)
	before := map[*exec.Cmd]usage{server: settled(server), clients: settled(clients)}
	connect(load.connections)
	request(load.frames)
	execute(load.processes)
	for cmd, was := range before {
		is := settled(cmd)
		// The end of the last processes is dealt with in the background.
		for deadline := time.Now().Add(timeout); more(is, was) && time.Now().Before(deadline); {
			is = settled(cmd)
		}
		t.Logf("%v\nbefore: %v\nafter:  %v", cmd.Args[4:], was, is)
		for i, who := range []string{"capturing process", "viewer"} {
			if is.descriptors[i] > was.descriptors[i] {
				t.Errorf("%v: the %s has %d descriptors, had %d", cmd.Args, who, is.descriptors[i], was.descriptors[i])
			}
			if is.rss[i] > was.rss[i]*3/2+32<<10 {
				t.Errorf("%v: the %s takes %d MiB, took %d", cmd.Args, who, is.rss[i]>>10, was.rss[i]>>10)
			}
		}
		for name, n := range is.entries {
			if n > was.entries[name]+moreEntries {
				t.Errorf("%v: %d entries in the map %s, there were %d", cmd.Args, n, name, was.entries[name])
			}
		}
	}
	for cmd, errors := range map[*exec.Cmd]*lockedBuilder{server: serverErrors, clients: clientErrors} {
		goroutines := goroutinesOf(t, cmd, errors)
		t.Logf("%v: %d goroutines in both processes", cmd.Args[4:], goroutines)
		if goroutines > 50 {
			t.Errorf("%v: %d goroutines:\n%s", cmd.Args, goroutines, errors.String())
		}
	}
	t.Logf("%d connections, %d processes", connections, processes)
}

// moreEntries is how many entries a map may have more than before.
const moreEntries = 5

// more tells whether more descriptors or map entries are held.
func more(is, was usage) bool {
	for name, n := range is.entries {
		if n > was.entries[name]+moreEntries {
			return true
		}
	}
	return is.descriptors[0] > was.descriptors[0] || is.descriptors[1] > was.descriptors[1]
}

// goroutinesOf ends both processes of h2sniff with SIGQUIT, by which Go's
// runtime tells of its goroutines, and counts these. The viewer is held
// meanwhile: it would end with the other.
func goroutinesOf(t testing.TB, cmd *exec.Cmd, errors *lockedBuilder) int {
	t.Helper()
	viewer := viewerOf(t, cmd.Process.Pid)
	send := func(pid int, signal syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
	}
	send(viewer, syscall.SIGSTOP)
	send(viewer, syscall.SIGQUIT)
	send(cmd.Process.Pid, syscall.SIGQUIT)
	waitUntil(t, "the capturing process to end", func() bool { return strings.HasPrefix(procStatus(t, cmd.Process.Pid, "State"), "Z") })
	send(viewer, syscall.SIGCONT)
	cmd.Wait()
	dumps := strings.Count(errors.String(), "\nSIGQUIT: quit")
	if dumps == 1 && strings.Contains(errors.String(), "the process that captures has ended unexpectedly") {
		t.Log("the viewer has ended by itself before it told of its goroutines")
	} else if dumps != 2 {
		t.Fatalf("%d processes tell of their goroutines:\n%s", dumps, errors.String())
	}
	return strings.Count(errors.String(), "\ngoroutine ")
}

func lookPath(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
