// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sharkFrame is a frame as tshark tells of it.
type sharkFrame struct {
	typ    uint8
	length uint32
	flags  uint8
	stream uint32
}

// sharkSide is what tshark tells of one direction of a connection.
type sharkSide struct {
	frames []sharkFrame
	fields []string // "name: value", of all field sections
}

// decodeShark has tshark decode a capture and gives the connections' sides by
// "source port>destination port".
func decodeShark(t testing.TB, path string, args ...string) map[string]*sharkSide {
	t.Helper()
	args = append([]string{"-r", path, "-Y", "http2", "-T", "fields", "-E", "aggregator=\x1f"}, args...)
	for _, field := range []string{"tcp.srcport", "tcp.dstport", "http2.type", "http2.length", "http2.flags", "http2.streamid", "http2.header.name", "http2.header.value"} {
		args = append(args, "-e", field)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark %q: %v", args, err)
	}
	sides := make(map[string]*sharkSide)
	for line := range strings.Lines(string(out)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(columns) != 8 {
			t.Fatalf("%d columns: %.200q", len(columns), line)
		}
		list := func(i int) []string {
			if columns[i] == "" {
				return nil
			}
			return strings.Split(columns[i], "\x1f")
		}
		key := columns[0] + ">" + columns[1]
		side := sides[key]
		if side == nil {
			side = &sharkSide{}
			sides[key] = side
		}
		types, lengths, flags, streams := list(2), list(3), list(4), list(5)
		// The preface has a stream of its own in tshark, and no type.
		if len(types) != len(flags) || len(types) != len(streams) || len(types) != len(lengths) {
			t.Fatalf("frames do not add up: %.300q", line)
		}
		for i := range types {
			side.frames = append(side.frames, sharkFrame{
				typ: uint8(number(t, types[i], 10)), length: number(t, lengths[i], 10),
				flags: uint8(number(t, strings.TrimPrefix(flags[i], "0x"), 16)), stream: number(t, streams[i], 10),
			})
		}
		names, values := list(6), list(7)
		if len(names) != len(values) {
			t.Fatalf("%d names and %d values: %.300q", len(names), len(values), line)
		}
		for i := range names {
			side.fields = append(side.fields, names[i]+": "+values[i])
		}
	}
	return sides
}

// wantShark wants rows of one direction of a connection to be what tshark
// tells.
func wantShark(t testing.TB, what string, rows []row, want *sharkSide) {
	t.Helper()
	if want == nil {
		t.Errorf("%s: tshark has no frames", what)
		return
	}
	var got sharkSide
	for _, r := range rows {
		got.frames = append(got.frames, sharkFrame{r.TypeCode, r.Length, r.Flags, r.Stream})
		for _, h := range r.Headers {
			got.fields = append(got.fields, h.Name+": "+h.Value)
		}
	}
	if !slices.Equal(got.frames, want.frames) {
		t.Errorf("%s: frames (type, length, flags, stream)\n%v, tshark has\n%v", what, got.frames, want.frames)
	}
	if !slices.Equal(got.fields, want.fields) {
		t.Errorf("%s: header fields\n%.2000q, tshark has\n%.2000q", what, got.fields, want.fields)
	}
}

// startShark captures a TCP port of the loopback interface into a file until
// the returned function is called.
func startShark(t testing.TB, port int, path string) (stop func()) {
	t.Helper()
	cmd := exec.Command("tshark", "-q", "-i", "lo", "-f", fmt.Sprintf("tcp port %d", port), "-w", path)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Capture started") {
			break
		}
	}
	go func() {
		io.Copy(io.Discard, stderr)
		ended <- cmd.Wait()
	}()
	return func() {
		t.Helper()
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("tshark: %v", err)
			}
		case <-time.After(timeout):
			t.Fatal("tshark does not end")
		}
	}
}

// TestContinuation: field blocks that go over HEADERS and CONTINUATION frames,
// in both directions, are what tshark finds on the wire with the session keys.
func TestContinuation(t *testing.T) {
	needPrograms(t, "tshark", "curl")
	t.Parallel()
	// Values of hexadecimal digits do not shrink below half.
	long := func(n, seed int) string { return hex.EncodeToString(content(n + seed)[seed:]) }
	directives := []string{"large_client_header_buffers 8 64k;"}
	for i := range 12 {
		directives = append(directives, fmt.Sprintf("add_header x-long-%d %s;", i, long(2000, i)))
	}
	nginx := startNginx(t, 1, directives...)
	dir := t.TempDir()
	capture, keys, curlrc := filepath.Join(dir, "capture.pcapng"), filepath.Join(dir, "keys"), filepath.Join(dir, "curlrc")
	config := "insecure\nsilent\nhttp2\n"
	for i := range 3 { // the second and third refer to what the first put into the table
		config += fmt.Sprintf("url = %q\noutput = /dev/null\n", nginx.url("/?"+strconv.Itoa(i)))
	}
	config += fmt.Sprintf("header = \"x-first: %s\"\nheader = \"x-second: %s\"\nheader = \"x-third: short\"\n", long(20000, 100), long(5000, 200))
	if err := os.WriteFile(curlrc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}

	stop := startShark(t, nginx.port, capture)
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	cmd := exec.Command(h2sniff, "dump", "--format", "json", "--", "curl", "-q", "-K", curlrc)
	cmd.Env = append(os.Environ(), "SSLKEYLOGFILE="+keys)
	c := startSniffCommand(t, cmd)
	c.wait()
	s.waitFor("the connection to close", closed(1))
	client, server := c.snapshot(), s.stop()

	var port string // of curl
	for _, r := range client {
		if r.Kind == "bind" {
			_, port, _ = strings.Cut(r.Local, ":")
		}
	}
	waitUntil(t, "the end of the connection in the capture", func() bool {
		out, err := exec.Command("tshark", "-r", capture, "-Y", "tcp.flags.fin==1 && tcp.srcport=="+port).Output()
		return err == nil && len(out) > 0
	})
	stop()
	sides := decodeShark(t, capture, "-o", "tls.keylog_file:"+keys, "-d", fmt.Sprintf("tcp.port==%d,tls", nginx.port))
	up := sides[fmt.Sprintf("%s>%d", port, nginx.port)]
	down := sides[fmt.Sprintf("%d>%s", nginx.port, port)]
	for _, end := range []struct {
		name       string
		rows       []row
		send, recv string // of curl, as this end sees them
	}{{"curl", client, "send", "recv"}, {"nginx", server, "recv", "send"}} {
		wantClean(t, end.rows)
		wantExact(t, end.rows)
		wantShark(t, end.name+", request", frames(end.rows, "", end.send), up)
		wantShark(t, end.name+", response", frames(end.rows, "", end.recv), down)
		wantBlocks(t, end.rows, end.send, 3)
		wantBlocks(t, end.rows, end.recv, 3)
	}
}

// wantBlocks wants one direction to have field blocks that go over more than
// one frame, each told on its last frame, which names the first.
func wantBlocks(t testing.TB, rows []row, dir string, atLeast int) {
	t.Helper()
	const endHeaders = 0x4
	var first row
	n := 0
	for _, r := range frames(rows, "", dir) {
		switch r.Type {
		case "HEADERS":
			first = r
		case "CONTINUATION":
			n++
		default:
			continue
		}
		if end := r.Flags&endHeaders != 0; end != (len(r.Headers) > 0) || end && r.BlockSeq != first.Seq {
			t.Errorf("row %d: %s with flags %#x has %d header fields and block_seq %d; the block began at %d",
				r.Seq, r.Type, r.Flags, len(r.Headers), r.BlockSeq, first.Seq)
		}
	}
	if n < atLeast {
		t.Errorf("%s: %d CONTINUATION frames, want at least %d", dir, n, atLeast)
	}
}
