// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

const (
	smallRing = 256 << 10
	floodSize = 8 << 20 // octets that pass while nobody reads the ring buffer
)

// flooded is a connection of a traced peer that moves more than the ring buffer
// holds while h2sniff is held up.
type flooded struct {
	p      *peer
	listen func(testing.TB) *far
	conn   *farConn
	octets int // of the flood
	behind []wireFrame
}

func startFlooded(t testing.TB) *flooded {
	t.Helper()
	return &flooded{p: startPeer(t, peerProgram(t, opensslPeer)), listen: listen}
}

// begin opens the connection.
func (f *flooded) begin(t testing.TB) {
	t.Helper()
	f.conn = f.listen(t).connect(f.p, "open")
	w := newWire()
	w.WriteSettings()
	f.conn.send(f.p, w.take())
	w.preface()
	w.WriteSettingsAck()
	f.conn.take(f.p, w.take())
}

// flood sends frames that are copied whole in every mode. It gives how long the
// program took.
func (f *flooded) flood() time.Duration {
	began := time.Now()
	for f.octets < floodSize {
		w := newWire()
		for range 4 {
			w.WriteRawFrame(0x4d, 0, 1, content(15_000))
		}
		octets := w.take()
		f.conn.take(f.p, octets)
		f.octets += len(octets)
	}
	return time.Since(began)
}

// ping sends a frame, and gives its octets.
func (f *flooded) ping() []byte {
	w := newWire()
	w.WritePing(false, [8]byte{1})
	octets := w.take()
	f.conn.take(f.p, octets)
	f.octets += len(octets)
	return octets
}

// end sends frames of many kinds and ends the peer.
func (f *flooded) end(t testing.TB) {
	t.Helper()
	w := newWire()
	smallFrames(w)
	octets := w.take()
	f.behind = wireFrames(t, octets)
	f.conn.take(f.p, octets)
	f.p.do("close")
	f.p.end()
}

// wantLoss wants octets to be lost, all of them counted in the summary and
// shown where they are missing, and every frame that came behind.
func (f *flooded) wantLoss(t testing.TB, rows []row, summary string) {
	t.Helper()
	var gaps, skipped, holes uint64
	for _, r := range rows {
		switch {
		case r.Kind == "gap" && r.Reason == "lost":
			gaps += r.Bytes
			holes++
		case r.Kind == "gap":
			skipped += r.Bytes
		}
	}
	m := lostBytes.FindStringSubmatch(summary)
	if m == nil {
		t.Fatalf("no summary:\n%s", summary)
	}
	if lost, err := strconv.ParseUint(m[1], 10, 64); err != nil || lost != gaps {
		t.Errorf("%s octets lost by the summary, %d by the rows", m[1], gaps)
	}
	if least := uint64(floodSize - 4*smallRing); gaps < least || gaps > uint64(f.octets) {
		t.Errorf("%d octets lost of %d, with a ring buffer of %d", gaps, f.octets, smallRing)
	}
	// Frames of an unknown type prove no boundary: of what the ring buffer held
	// between two losses, nothing may be known.
	if skipped > holes*2*smallRing {
		t.Errorf("%d octets were skipped behind %d losses", skipped, holes)
	}
	sent := frames(rows, "", "send")
	if len(sent) < len(f.behind) {
		t.Fatalf("%d frames", len(sent))
	}
	for i, w := range f.behind {
		if g := sent[len(sent)-len(f.behind)+i]; g.Type != typeName(w.Type) || g.Length != w.Length || g.Stream != w.StreamID {
			t.Errorf("frame %d behind the loss: %s length=%d stream=%d, want %v", i, g.Type, g.Length, g.Stream, w.FrameHeader)
		}
	}
}

// TestStopped: h2sniff is stopped for 5 s while the program goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	f := startFlooded(t)
	s := startSniff(t, "--ring", "256KiB", "-p", strconv.Itoa(f.p.pid))
	f.begin(t)
	s.waitFor("the beginning", func(rows []row) bool { return len(frames(rows, "", "send")) == 2 })
	resume := stopBoth(t, s)
	stopped := time.Now()
	f.flood()
	time.Sleep(5*time.Second - time.Since(stopped))
	resume()
	last := func() bool {
		f.ping()
		sent := frames(s.snapshot(), "", "send")
		return len(sent) > 2 && sent[len(sent)-1].Type == http2.FramePing.String()
	}
	waitUntil(t, "a frame behind the loss", last)
	f.end(t)
	rows := s.stop()
	f.wantLoss(t, rows, s.errors())
}

// TestSlowDisk: what a recording is written to takes nothing for a while.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	f := startFlooded(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	r := startRecorder(t, out, nil, "--ring", "256KiB", "-w", "-", "-p", strconv.Itoa(f.p.pid))
	out.Close()
	f.begin(t)
	f.flood()
	path := filepath.Join(t.TempDir(), "x.pcapng")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(file, in)
		copied <- err
	}()
	waitUntil(t, "a frame behind the loss", func() bool {
		ping := f.ping()
		time.Sleep(50 * time.Millisecond)
		written, err := os.ReadFile(path)
		return err == nil && bytes.Contains(written, ping)
	})
	f.end(t)
	r.ends(0)
	if err := <-copied; err != nil {
		t.Fatal(err)
	}
	f.wantLoss(t, replayRecording(t, path).rows, r.errors.String())
}

// TestSlowTerminal: nobody reads the lines for a while. They wait in the store,
// and the ring buffer is emptied all the same.
func TestSlowTerminal(t *testing.T) {
	t.Parallel()
	f := startFlooded(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.Command(h2sniff, "dump", "--format", "json", "-p", strconv.Itoa(f.p.pid))
	chooseMode(cmd)
	var log lockedBuilder
	cmd.Stdout, cmd.Stderr = out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	out.Close()
	waitUntil(t, "h2sniff", func() bool { return strings.Contains(log.String(), "h2sniff: ready") })
	f.begin(t)
	f.flood()
	f.end(t)
	lines, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), " 0 bytes lost") {
		t.Errorf("%v, or octets were lost:\n%s", err, log.String())
	}
	if n := strings.Count(string(lines), `"type":"UNKNOWN_0x4d"`); n != f.octets/15_009 {
		t.Errorf("%d frames of the flood, want %d", n, f.octets/15_009)
	}
}
