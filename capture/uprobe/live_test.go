// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture"
	"h2sniff/capture/target"
)

// need skips a test that lacks something, and fails it in CI.
func need(t *testing.T, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// TestEveryModeCaptures: what the newest kernels do not need must go on
// working for the older ones.
func TestEveryModeCaptures(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	for _, program := range []string{"openssl", "python3"} {
		_, err := exec.LookPath(program)
		need(t, program, err == nil)
	}
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
		"-subj", "/CN=localhost", "-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl req: %v\n%s", err, out)
	}
	for _, mode := range []bpf.Mode{{Multi: true, Sleepable: true}, {Multi: true}, {Sleepable: true}, {}} {
		t.Run(fmt.Sprintf("%+v", mode), func(t *testing.T) {
			pid, addr := startEcho(t, cert, key)
			events := captureWhile(t, mode, libraries(t, pid), func() { sayHello(t, addr) })
			var got []string
			for _, ev := range events {
				if ev.Kind == capture.Data {
					got = append(got, fmt.Sprintf("%v %q", ev.Direction, ev.Data))
				}
			}
			if want := []string{`recv "hello\n"`, `send "olleh\n"`}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// echo is a TLS server that answers a line with its reverse.
const echo = `
import socket, ssl, sys
host, port = sys.argv[1].rsplit(":", 1)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server((host, int(port)))
while True:
    connection, _ = listener.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            line = tls.recv(100)
            tls.sendall(line[:-1][::-1] + b"\n")
            tls.recv(100)
    except OSError:
        pass
`

func startEcho(t *testing.T, cert, key string) (pid int, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	cmd := exec.Command("python3", "-c", echo, addr, cert, key)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 500 {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return cmd.Process.Pid, addr
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("nobody listens on %s", addr)
	return 0, ""
}

func sayHello(t *testing.T, addr string) {
	t.Helper()
	in, say := io.Pipe()
	cmd := exec.Command("openssl", "s_client", "-quiet", "-connect", addr)
	cmd.Stdin = in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, len("olleh\n"))
	if _, err := io.WriteString(say, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, answer); err != nil || string(answer) != "olleh\n" {
		t.Errorf("the server answers %q, %v", answer, err)
	}
	cmd.Process.Kill()
	say.Close()
	cmd.Wait()
}

// libraries attaches to those of a process.
func libraries(t *testing.T, pid int) func(*Attacher) {
	return func(attacher *Attacher) {
		processes, problems, err := target.Scan(target.Selection{PIDs: []int{pid}}, target.Options{Wanted: Wanted()})
		if err != nil || len(problems) > 0 || len(processes) != 1 || len(processes[0].Libraries) == 0 {
			t.Fatalf("scan: %v, %v, %v", processes, problems, err)
		}
		for i := range processes[0].Libraries {
			if err := attacher.Attach(&processes[0].Libraries[i], pid); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// captureWhile captures a process in a mode while f runs.
func captureWhile(t *testing.T, mode bpf.Mode, attach func(*Attacher), f func()) []capture.Event {
	t.Helper()
	objs, err := bpf.LoadMode(bpf.Options{RingBytes: 1 << 20}, mode)
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	names := make(map[uint32]string) // written before the first record is read
	attacher, err := NewAttacher(objs, func(number uint32, name string) { names[number] = name })
	if err != nil {
		t.Fatal(err)
	}
	reader, err := NewReader(objs.Queue(), func(number uint32) string { return names[number] }, new(Containers).Of)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	attach(attacher)
	go func() {
		f()
		if err := errors.Join(attacher.Close(), reader.Finish()); err != nil {
			t.Error(err)
		}
	}()
	var events []capture.Event
	var ev capture.Event
	for {
		err := reader.Read(&ev)
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		ev.Data = []byte(strings.Clone(string(ev.Data)))
		events = append(events, ev)
	}
}
