// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"h2sniff/capture"
)

// small is a recording with every kind of event and packet, and the events'
// ends: event i is whole in the first ends[i] octets.
func small(t testing.TB) (file []byte, events []capture.Event, ends []int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	c := newH2conn(1, capture.Server, rng)
	c.exchange(1, 50)
	c.cut(100)
	c.bind("[2001:db8::1]:443", "[2001:db8::2]:50000", capture.Exact)
	d := newH2conn(2, capture.Client, rng)
	d.bind("192.0.2.1:50000", "192.0.2.2:443", capture.Inferred)
	d.events = append(d.events,
		capture.Event{Kind: capture.Data, Conn: 2, Offset: 5, Length: 66000, Data: bytes.Repeat([]byte("12345678"), 66000/8)},
		capture.Event{Kind: capture.Data, Conn: 2, Offset: 66005, Length: 100, Data: []byte("a")},
		capture.Event{Kind: capture.Data, Conn: 2, Offset: 1 << 50, Length: 1 << 40, Data: []byte("b"), TID: 9},
		capture.Event{Kind: capture.Lost, Direction: capture.Recv, Conn: 2, Offset: 3, Length: 9})
	d.close()
	events = append(c.events, d.events...)

	var b bytes.Buffer
	w, err := NewWriter(&b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, b.Len()+len(w.buf))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), events, ends
}

// TestCut cuts a recording at every octet.
func TestCut(t *testing.T) {
	file, events, ends := small(t)
	for n := range file {
		want := 0
		for want < len(ends) && ends[want] <= n {
			want++
		}
		if n > 3000 && n < len(file)-3000 && n%97 != 0 {
			continue // inside 66,000 octets of data
		}
		got, err := readBytes(file[:n])
		switch {
		case n == 0 && !errors.Is(err, ErrEmpty), n > 0 && !errors.Is(err, ErrTruncated):
			t.Fatalf("cut at %d: %v", n, err)
		}
		if len(got) != want {
			t.Fatalf("cut at %d: %d events, want %d", n, len(got), want)
		}
		if d := diff(events[:want], got); d != "" {
			t.Fatalf("cut at %d:\n%s", n, d)
		}
	}
}

// oneByte yields one octet a Read, as a slow pipe may.
type oneByte struct{ b []byte }

func (r *oneByte) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	p[0] = r.b[0]
	r.b = r.b[1:]
	return 1, nil
}

// TestFollow: an event is returned as soon as it is whole, without waiting for
// what comes after it.
func TestFollow(t *testing.T) {
	file, events, ends := small(t)
	src := &oneByte{file}
	r, err := NewReader(src)
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		var ev capture.Event
		if err := r.Read(&ev); err != nil {
			t.Fatal(err)
		}
		if d := diff(events[i:i+1], []capture.Event{ev}); d != "" {
			t.Fatal(d)
		}
		if at := len(file) - len(src.b); at > ends[i] {
			t.Errorf("event %d is whole at octet %d, but was returned at %d", i, ends[i], at)
		}
	}
	var ev capture.Event
	if err := r.Read(&ev); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestKilled: what was flushed before SIGKILL is there.
func TestKilled(t *testing.T) {
	_, events, _ := small(t)
	if path := os.Getenv("RECORDING_TEST_FILE"); path != "" {
		w, err := Create(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			if err := w.Write(&events[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := w.Write(&events[0]); err != nil { // held back, then lost
			t.Fatal(err)
		}
		if _, err := os.Stdout.WriteString("flushed\n"); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	path := filepath.Join(t.TempDir(), "killed.pcapng")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "RECORDING_TEST_FILE="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if line != "flushed\n" {
		t.Fatalf("the child said %q", line)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := readAll(r)
	if !errors.Is(err, ErrTruncated) {
		t.Error(err)
	}
	if d := diff(events, got); d != "" {
		t.Error(d)
	}
}
