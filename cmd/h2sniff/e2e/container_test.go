// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cgroup makes a control group below a new folder and gives its path. It is
// removed with the test; what runs in it must have ended.
func cgroup(t testing.TB, name string) string {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue
		}
		parent := filepath.Join(root, fmt.Sprintf("h2sniff-test-%d", time.Now().UnixNano()))
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() {
			for _, dir := range []string{path, parent} {
				deadline := time.Now().Add(timeout)
				for os.Remove(dir) != nil && time.Now().Before(deadline) {
					time.Sleep(20 * time.Millisecond) // processes leave it as they end
				}
			}
		})
		return path
	}
	need(t, "control groups", false)
	return ""
}

// inContainer starts a shell script as a container runtime would: in a control
// group of that name and with mount, pid and network namespaces of its own,
// where the library at path is a private copy.
type inContainer struct {
	t   testing.TB
	in  io.Writer
	out *bufio.Reader
}

// containerScript runs the commands that it reads, and prints a line that says
// "done" behind the output of each.
const containerScript = `
mount --bind "$0" "$1"
ip link set lo up
echo ready
while read -r line; do eval "$line"; echo done; done`

func startContainer(t testing.TB, group, library string) *inContainer {
	t.Helper()
	needPrograms(t, "unshare", "ip", "mount")
	private := copyFile(t, filepath.Join(sharedDir(t), filepath.Base(library)), library)
	// It enters the group before it makes namespaces, and executes after that.
	cmd := exec.Command("sh", "-c", `read go; exec "$@"`, "sh", "unshare", "--mount", "--pid", "--net", "--fork", "--kill-child",
		"--mount-proc", "sh", "-e", "-c", containerScript, private, library)
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
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	c := &inContainer{t: t, in: in, out: bufio.NewReader(out)}
	fmt.Fprintln(in, "go")
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the container does not begin: %q, %v", line, err)
	}
	return c
}

// do runs a command inside and gives its output.
func (c *inContainer) do(command string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		c.t.Fatal(err)
	}
	var text strings.Builder
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%s: %v", command, err)
		}
		if line == "done\n" {
			return text.String()
		}
		text.WriteString(line)
	}
}

// TestContainer: what runs in a container is chosen by its id, whether it was
// there before h2sniff or comes later, with the library that is mounted there,
// and is captured to the last frame; addresses are those of its network.
func TestContainer(t *testing.T) {
	t.Parallel()
	needPrograms(t, "nghttpd", "nghttp")
	library := installedLibrary(t, "libssl.so.3")
	for _, late := range []bool{false, true} {
		name := "before"
		if late {
			name = "later"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.Repeat(map[bool]string{false: "0a1b2c3d", true: "9f8e7d6c"}[late], 8)
			group := cgroup(t, "docker-"+id+".scope")
			dir := sharedDir(t)
			cert, key := certificate(t, dir)
			if err := os.WriteFile(filepath.Join(dir, "index.html"), content(70_000), 0o644); err != nil {
				t.Fatal(err)
			}
			serve := func() *inContainer {
				c := startContainer(t, group, library)
				c.do(fmt.Sprintf("nghttpd -d %s 8443 %s %s & server=$!", dir, key, cert))
				c.do(`until nghttp -n https://127.0.0.1:8443/ >/dev/null 2>&1; do sleep 0.1; done`)
				return c
			}
			var c *inContainer
			if !late {
				c = serve()
			}
			s := startSniff(t, "--container", id[:12])
			if late {
				if !strings.Contains(s.errors(), "h2sniff: waiting for a process in container "+id[:12]+"\n") {
					t.Errorf("h2sniff does not say that it waits:\n%s", s.errors())
				}
				c = serve()
			}
			waitUntil(t, "the server's frames", func() bool {
				c.do("nghttp -n https://127.0.0.1:8443/ >/dev/null 2>&1")
				return len(conns(s.snapshot(), "nghttpd")) > 0
			})
			log := parseNghttp(t, c.do("nghttp -nv https://127.0.0.1:8443/ https://127.0.0.1:8443/missing"))
			// The server's connection that was asked for it, of some.
			asked := ""
			s.waitFor("the server's last connection to close", func(rows []row) bool {
				for _, r := range rows {
					if r.Comm == "nghttpd" && slices.ContainsFunc(r.Headers, func(h header) bool { return h.Value == "/missing" }) {
						asked = r.Conn
					}
				}
				return countKind(rows, asked, "close") > 0 && asked != ""
			})
			c.do("kill $server")
			rows := s.stop()
			wantClean(t, rows)
			// The clients are gone in milliseconds; some may end before they are
			// attached to.
			last := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return r.Conn != asked })
			wantAccount(t, log, last, false)
			for _, r := range rows {
				if r.Container != id || r.Kind == "bind" && r.Local != "127.0.0.1:8443" && r.Remote != "127.0.0.1:8443" {
					t.Fatalf("row %d, %s of %s: container %q, local %s, remote %s", r.Seq, r.Kind, r.Comm, r.Container, r.Local, r.Remote)
				}
			}
		})
	}
}

// TestContainerWaits: where nothing runs in the container that was asked for,
// h2sniff says what would count, and which containers there are.
func TestContainerWaits(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("4d5c6b7a", 8)
	startContainer(t, cgroup(t, "docker-"+id+".scope"), installedLibrary(t, "libssl.so.3"))
	for prefix, want := range map[string]string{
		"4d5": "a container named 4d5 (of an id, at least 4 digits are needed)\n", "4d5f": "container 4d5f\n",
	} {
		s := startSniff(t, "--container", prefix)
		if !strings.Contains(s.errors(), "h2sniff: waiting for a process in "+want) {
			t.Errorf("it does not say for what it waits:\n%s", s.errors())
		}
		_, there, _ := strings.Cut(s.errors(), "h2sniff: containers there are: ")
		if line, _, _ := strings.Cut(there, "\n"); !strings.Contains(line, id[:12]) {
			t.Errorf("it does not name the container %s:\n%s", id[:12], s.errors())
		}
		s.stop()
	}
}
