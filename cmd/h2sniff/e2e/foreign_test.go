// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packets captures what goes over a TCP port of the loopback interface while
// during runs, and gives the file.
func packets(t testing.TB, port int, during func(), args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "packets.pcapng")
	var said bytes.Buffer
	cmd := exec.Command("dumpcap", append([]string{"-q", "-i", "lo", "-f", "tcp port " + strconv.Itoa(port), "-w", path}, args...)...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	// Only what is in the file shows that the capture has begun.
	for deadline := time.Now().Add(timeout); ; {
		if c, err := dial(port); err == nil {
			c.Close()
		}
		if b, err := os.ReadFile(path); err == nil && len(b) > 1000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("dumpcap writes nothing: %s", &said)
		}
		time.Sleep(50 * time.Millisecond)
	}
	during()
	time.Sleep(300 * time.Millisecond) // for what servers still have to say
	// The kernel hands packets over in batches, in order: one that comes last is
	// known by its ports.
	last, err := dial(port)
	if err != nil {
		t.Fatal(err)
	}
	ports := binary.BigEndian.AppendUint16(nil, uint16(last.LocalAddr().(*net.TCPAddr).Port))
	ports = binary.BigEndian.AppendUint16(ports, uint16(port))
	last.Close()
	waitUntil(t, "the last packet to be written", func() bool {
		b, err := os.ReadFile(path)
		return err == nil && bytes.Contains(b, ports)
	})
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("dumpcap: %v: %s", err, &said)
	}
	return path
}

// dump reads a file and gives its rows, standard error and exit status.
func dump(t testing.TB, path string, args ...string) ([]row, string, int) {
	t.Helper()
	cmd := exec.Command(h2sniff, append([]string{"dump", "--format", "json", "-r", path}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	var rows []row
	for line := range bytes.Lines(out) {
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("not JSON: %v: %.200s", err, line)
		}
		rows = append(rows, r)
	}
	return rows, stderr.String(), cmd.ProcessState.ExitCode()
}

// startCleartext runs nghttpd without TLS.
func startCleartext(t testing.TB) *server {
	t.Helper()
	s := &server{port: freePort(t), dir: sharedDir(t)}
	s.content(t, "index.html", []byte("hello\n"))
	s.file(t, "large", 300_000)
	s.pid = startServer(t, s.addr(), "nghttpd", "--no-tls", "-d", s.dir, strconv.Itoa(s.port))
	return s
}

// edit runs an editor of captures and gives the file that it makes.
func edit(t testing.TB, name string, before []string, in string, behind ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "edited")
	run(t, name, append(append(before, in, out), behind...)...)
	return out
}

// merged gives a file with the packets of others in the order of their times.
func merged(t testing.TB, in ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "merged")
	run(t, "mergecap", append([]string{"-w", out}, in...)...)
	return out
}

// jittered moves packets: the even ones of each group of 16 go behind the odd
// ones. SYNs stay in their places: what is captured before its connection's SYN
// counts as found in the middle.
func jittered(t testing.TB, path string) string {
	t.Helper()
	parts := []string{"mergecap", "-a", "-w", filepath.Join(t.TempDir(), "jittered")}
	var odd, even []string
	flush := func() {
		for _, list := range [][]string{odd, even} {
			if len(list) > 0 {
				parts = append(parts, edit(t, "editcap", []string{"-r"}, path, list...))
			}
		}
		odd, even = nil, nil
	}
	out, err := exec.Command("tshark", "-r", path, "-T", "fields", "-e", "frame.number", "-e", "tcp.flags.syn").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		syn := fields[1] != "0" && fields[1] != "False"
		if syn || len(odd)+len(even) == 16 {
			flush()
		}
		if len(odd) > len(even) {
			even = append(even, fields[0])
		} else {
			odd = append(odd, fields[0])
		}
		if syn {
			flush()
		}
	}
	flush()
	run(t, parts[0], parts[1:]...)
	return parts[3]
}

func dial(port int) (net.Conn, error) {
	return net.DialTimeout("tcp", "127.0.0.1:"+strconv.Itoa(port), time.Second)
}

// TestForeignCapture: what h2sniff reads in packets that dumpcap captured is
// what nghttp says it sent and received, however the file was edited.
func TestForeignCapture(t *testing.T) {
	needPrograms(t, "nghttpd", "nghttp", "curl", "dumpcap", "editcap", "mergecap", "tshark")
	s := startCleartext(t)
	base := fmt.Sprintf("http://%s/", s.addr())
	var log []logged
	path := packets(t, s.port, func() {
		log = parseNghttp(t, run(t, "nghttp", "-nv", base, base+"large", base+"missing"))
		run(t, "curl", "-sS", "--http2-prior-knowledge", "-o", "/dev/null", base+"large")
		// What is no HTTP/2 must not disturb; nghttpd refuses it.
		exec.Command("curl", "-s", "--http1.1", "-m", "5", "-o", "/dev/null", base).Run()
	})
	if len(log) < 10 {
		t.Fatalf("nghttp logged %d frames", len(log))
	}
	compressed := filepath.Join(t.TempDir(), "packets.gz")
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	zw := gzip.NewWriter(&z)
	zw.Write(plain)
	zw.Close()
	if err := os.WriteFile(compressed, z.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
	}{
		{"as captured", path},
		{"pcap", edit(t, "editcap", []string{"-F", "pcap"}, path)},
		{"pcap with nanoseconds", edit(t, "editcap", []string{"-F", "nsecpcap"}, path)},
		{"gzip", compressed},
		{"every packet twice", merged(t, path, path)},
		{"every packet again 1 ms later", merged(t, path, edit(t, "editcap", []string{"-t", "0.001"}, path))},
		{"out of order", jittered(t, path)},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, stderr, status := dump(t, test.path)
			if status != 0 {
				t.Fatalf("exit status %d: %s", status, stderr)
			}
			list := conns(rows, "")
			var nghttp string
			for _, id := range list {
				for _, r := range frames(rows, id, "send") {
					if r.Type == "PRIORITY" { // only nghttp sends these
						nghttp = id
					}
				}
			}
			own := frames(rows, nghttp, "")
			wantExact(t, own)
			for _, dir := range []string{"send", "recv"} {
				wantSame(t, log, dir, fold(frames(rows, nghttp, dir)))
			}
			for _, r := range rows {
				if r.Kind == "gap" && r.Reason != "skipped" { // HTTP/1.1 to nghttpd is no HTTP/2
					t.Errorf("row %d of %s: a gap of %d octets (%s)", r.Seq, r.Conn, r.Bytes, r.Reason)
				}
				if r.Conn == nghttp && r.Kind == "bind" && (r.Remote != s.addr() || r.Address != "exact") {
					t.Errorf("bound to %s (%s)", r.Remote, r.Address)
				}
			}
		})
	}
}
