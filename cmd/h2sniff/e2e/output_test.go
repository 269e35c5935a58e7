// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// printer is a running "h2sniff dump" whose lines are read as they come.
type printer struct {
	t      testing.TB
	cmd    *exec.Cmd
	pipe   *os.File
	lines  *bufio.Reader
	errors lockedBuilder
}

func startPrinter(t testing.TB, args ...string) *printer {
	t.Helper()
	p := &printer{t: t, cmd: exec.Command(h2sniff, append([]string{"dump"}, args...)...)}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.pipe, p.lines = out.(*os.File), bufio.NewReader(out)
	p.cmd.Stderr = &p.errors
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("standard error of %v:\n%s", p.cmd.Args, p.errors.String())
		}
	})
	waitUntil(t, "h2sniff to be ready", func() bool { return strings.Contains(p.errors.String(), "h2sniff: ready\n") })
	return p
}

// line reads the next line, which has to come while h2sniff runs.
func (p *printer) line() string {
	p.t.Helper()
	p.pipe.SetReadDeadline(time.Now().Add(timeout))
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// rest ends h2sniff and gives the lines that were not read.
func (p *printer) rest() []string {
	p.t.Helper()
	p.cmd.Process.Signal(syscall.SIGINT)
	var out []string
	p.pipe.SetReadDeadline(time.Now().Add(timeout))
	for {
		line, err := p.lines.ReadString('\n')
		if err != nil {
			break
		}
		out = append(out, strings.TrimSuffix(line, "\n"))
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("h2sniff: %v", err)
	}
	return out
}

// flagNames are the names of a frame's flags as RFC 9113 has them, in the order
// of their bits.
func flagNames(f wireFrame) []string {
	names := map[http2.FrameType]map[uint8]string{
		http2.FrameData:         {0x1: "END_STREAM", 0x8: "PADDED"},
		http2.FrameHeaders:      {0x1: "END_STREAM", 0x4: "END_HEADERS", 0x8: "PADDED", 0x20: "PRIORITY"},
		http2.FrameSettings:     {0x1: "ACK"},
		http2.FramePushPromise:  {0x4: "END_HEADERS", 0x8: "PADDED"},
		http2.FramePing:         {0x1: "ACK"},
		http2.FrameContinuation: {0x4: "END_HEADERS"},
	}[f.Type]
	var out []string
	for bit := uint8(1); bit != 0; bit <<= 1 {
		if uint8(f.Flags)&bit == 0 {
			continue
		}
		name := names[bit]
		if name == "" {
			name = fmt.Sprintf("%#x", bit)
		}
		out = append(out, name)
	}
	return out
}

// ancestors is the line of h2sniff.py for a frame, without the time.
func ancestors(dir string, f wireFrame) string {
	line := fmt.Sprintf("%s %s frame <length=%d, stream_id=%d", dir, typeName(f.Type), f.Length, f.StreamID)
	if names := flagNames(f); len(names) > 0 {
		line += ", flags=" + strings.Join(names, ",")
	}
	return line + ">"
}

var elapsed = regexp.MustCompile(`^\[(\d+\.\d{3})\] `)

// wantElapsed takes the time off a line, which must not run backwards.
func wantElapsed(t testing.TB, line string, last *float64) string {
	t.Helper()
	m := elapsed.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no time in front of %q", line)
	}
	at, err := strconv.ParseFloat(m[1], 64)
	if err != nil || at < *last || at > timeout.Seconds() {
		t.Fatalf("time %v after %v: %v", m[1], *last, err)
	}
	*last = at
	return line[len(m[0]):]
}

// TestPlainLines: exactly the ancestor's lines, each as soon as its frame is
// there.
func TestPlainLines(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startPrinter(t, "--format", "plain", "-p", strconv.Itoa(p.pid))
	conn := listen(t).connect(p, "open")
	up, down := newWire(), newWire()
	up.preface()
	everyKind(up)
	everyKind(down)
	sent, received := up.take(), down.take()
	var last float64
	conn.take(p, sent)
	for _, f := range wireFrames(t, sent) {
		if got, want := wantElapsed(t, s.line(), &last), ancestors("send", f); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	conn.send(p, received)
	for _, f := range wireFrames(t, received) {
		if got, want := wantElapsed(t, s.line(), &last), ancestors("recv", f); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if rest := s.rest(); len(rest) > 0 {
		t.Errorf("more lines: %q", rest)
	}
}

// TestTextLines: the ancestor's line with the connection in front, and the
// header fields under it.
func TestTextLines(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startPrinter(t, "-p", strconv.Itoa(p.pid)) // text is the default
	conn := listen(t).connect(p, "open")
	w := newWire()
	w.preface()
	smallFrames(w)
	octets := w.take()
	conn.take(p, octets)
	p.do("close")
	want := wireFrames(t, octets)
	var fields []string
	for last := 0.0; len(want) > 0; {
		line := s.line()
		if strings.HasPrefix(line, "          ") {
			fields = append(fields, strings.TrimSpace(line))
			continue
		}
		line, ok := strings.CutPrefix(line, "c1 ")
		if !ok {
			t.Fatalf("no connection in front of %q", line)
		}
		if line = wantElapsed(t, line, &last); strings.Contains(line, " frame <") {
			if line != ancestors("send", want[0]) {
				t.Errorf("got  %s\nwant %s", line, ancestors("send", want[0]))
			}
			want = want[1:]
		}
	}
	for _, line := range s.rest() {
		fields = append(fields, strings.TrimSpace(line))
	}
	for _, f := range get("/small") {
		if !slices.Contains(fields, f.Name+": "+f.Value) {
			t.Errorf("no %s: %s in %q", f.Name, f.Value, fields)
		}
	}
	for _, part := range []string{"window_size_increment=1048576", "error_code=CANCEL", "last_stream_id=0", "bye"} {
		if !strings.Contains(strings.Join(fields, "\n"), part) {
			t.Errorf("no %s in %q", part, fields)
		}
	}
}

// TestNothingHostileReachesTheTerminal: what a peer sends, what a program is
// called and where its library lies is shown as glyphs.
func TestNothingHostileReachesTheTerminal(t *testing.T) {
	t.Parallel()
	const hostile = "a\x1b]52;c;aGk=\a\x1b[2J\x1b[31mred\r\b\x00\x7f\u009b31m\x9b31m\u202eevil\u2066\xff\u200b"
	dir := filepath.Join(sharedDir(t), "\x1b[31m\u202e")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	library := copyFile(t, filepath.Join(dir, libssl), installedLibrary(t, libssl))
	program := copyFile(t, filepath.Join(dir, "p\x1b[2J\u202e\a"), peerProgram(t, opensslPeer))
	for _, format := range []string{"text", "plain", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(program)
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+dir)
			p := startPeerCommand(t, cmd)
			s := startPrinter(t, "--body", "-d", "--format", format, "-p", strconv.Itoa(p.pid))
			conn := listen(t).connect(p, "open")
			w := newWire()
			w.preface()
			w.headers(1, false, append(get("/"+hostile), hpack.HeaderField{Name: "x-" + hostile, Value: hostile})...)
			w.WriteData(1, false, []byte(hostile))
			w.WriteRawFrame(0x2a, 0xff, 1, []byte(hostile))
			w.WriteGoAway(0, 0, []byte(hostile))
			conn.take(p, w.take())
			p.do("close")
			p.in.Close()
			p.cmd.Wait()
			output := strings.Join(s.rest(), "\n")
			if n := strings.Count(output, "GOAWAY"); n != 1 {
				t.Fatalf("%d GOAWAY in the output:\n%q", n, output)
			}
			wantHarmless(t, "standard output", output)
			wantHarmless(t, "standard error", s.errors.String())
			if !strings.Contains(s.errors.String(), filepath.Base(library)) {
				t.Errorf("standard error does not name the library:\n%q", s.errors.String())
			}
		})
	}
}

// wantHarmless wants no octets that a terminal obeys, and nothing invisible.
func wantHarmless(t testing.TB, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s is not UTF-8", what)
	}
	for i, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			t.Errorf("%s has %U in %q", what, r, s[max(0, i-40):min(len(s), i+40)])
			return
		}
	}
}

// TestStreamAndCount: --stream leaves other streams out, -n counts what is
// shown.
func TestStreamAndCount(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args    []string
		streams []uint32
	}{
		{[]string{"--stream", "3"}, []uint32{3, 3, 3}},
		{[]string{"--stream", "0"}, []uint32{0, 0}},
		{[]string{"--stream", "2"}, nil},
		{[]string{"-n", "3"}, []uint32{0, 1, 3}},
		{[]string{"--count", "2", "--stream", "3"}, []uint32{3, 3}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, opensslPeer))
			s := startSniff(t, append(test.args, "-p", strconv.Itoa(p.pid))...)
			conn := listen(t).connect(p, "open")
			w := newWire()
			w.preface()
			w.headers(1, true, get("/")...)
			w.headers(3, false, get("/")...)
			w.WriteData(3, false, nil)
			w.WriteData(3, true, nil)
			w.WritePing(false, [8]byte{})
			conn.take(p, w.take())
			if slices.Contains(test.args, "-n") || slices.Contains(test.args, "--count") {
				s.wait() // ends by itself, while the program goes on
			}
			p.do("close")
			p.end()
			s.wait()
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit status %d\n%s", code, s.errors())
			}
			var streams []uint32
			for _, r := range frames(s.snapshot(), "", "") {
				streams = append(streams, r.Stream)
			}
			if !slices.Equal(streams, test.streams) {
				t.Errorf("frames of streams %v, want %v", streams, test.streams)
			}
		})
	}
}

// TestReaderLeaves: who reads the lines may have seen enough, as head has.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "plain", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := startPeer(t, peerProgram(t, opensslPeer))
			s := startPrinter(t, "--format", format, "-p", strconv.Itoa(p.pid))
			far := listen(t)
			far.begin(p)
			s.line()
			s.pipe.Close()
			far.begin(p) // h2sniff has something to write now
			s.endsByItself()
			wantUntouched(t, []int{p.pid})
			p.end()
		})
	}
}

// TestReaderLeavesAtOnce: that nobody reads is noticed where there is nothing to
// write.
func TestReaderLeavesAtOnce(t *testing.T) {
	t.Parallel()
	p := startPeer(t, peerProgram(t, opensslPeer))
	s := startPrinter(t, "-p", strconv.Itoa(p.pid))
	s.pipe.Close()
	s.endsByItself()
	wantUntouched(t, []int{p.pid})
	p.end()
}

// endsByItself wants h2sniff to end without an error, and without a word on why.
func (p *printer) endsByItself() {
	p.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("h2sniff: %v", err)
		}
	case <-time.After(timeout):
		p.cmd.Process.Signal(syscall.SIGQUIT) // it tells where it is
		<-ended
		p.t.Fatalf("h2sniff does not end:\n%s", p.errors.String())
	}
	if said := p.errors.String(); strings.Contains(said, "goroutine") || strings.Contains(said, "pipe") {
		p.t.Errorf("standard error: %s", said)
	}
}
