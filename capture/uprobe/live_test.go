// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
			pid, addr, answered := startEcho(t, cert, key)
			events, _ := captureWhile(t, mode, libraries(t, pid), func() {
				sayHello(t, addr)
				answered() // what the server sends is told when the call returns
			})
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

// echo is a TLS server that answers a line with its reverse. It prints its port, and
// a line when it has answered.
const echo = `
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            line = tls.recv(100)
            tls.sendall(line[:-1][::-1] + b"\n")
            print("answered", flush=True)
            tls.recv(100)
    except OSError:
        pass
`

func startEcho(t *testing.T, cert, key string) (pid int, addr string, answered func()) {
	t.Helper()
	cmd := exec.Command("python3", "-c", echo, cert, key)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("the server says %q, %v", port, err)
	}
	return cmd.Process.Pid, "127.0.0.1:" + strings.TrimSpace(port), func() {
		if line, err := lines.ReadString('\n'); err != nil || line != "answered\n" {
			t.Errorf("the server says %q, %v", line, err)
		}
	}
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

// captureWhile captures a process in a mode while f runs. It gives the events, and
// the counters behind the last of them.
func captureWhile(t *testing.T, mode bpf.Mode, attach func(*Attacher), f func()) ([]capture.Event, capture.Stats) {
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
			return events, reader.Stats()
		}
		if err != nil {
			t.Fatal(err)
		}
		ev.Data = []byte(strings.Clone(string(ev.Data)))
		events = append(events, ev)
	}
}
