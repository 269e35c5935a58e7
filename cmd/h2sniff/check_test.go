// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"h2sniff/capture"
	"h2sniff/capture/recording"

	"golang.org/x/net/http2"
)

// record writes a recording of a client that sends the frames after the
// preface, and gives its name.
func record(t *testing.T, frames func(*http2.Framer)) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := recording.Create(name, recording.Options{Start: time.Now().UnixNano()})
	if err != nil {
		t.Fatal(err)
	}
	var octets bytes.Buffer
	octets.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&octets, nil)
	framer.AllowIllegalWrites = true
	framer.WriteSettings()
	frames(framer)
	now := time.Now().UnixNano()
	for _, ev := range []capture.Event{
		{Kind: capture.Open, Conn: 1, Time: now, Info: &capture.ConnInfo{PID: 7, Comm: "x", Role: capture.Client, Fresh: true}},
		{Kind: capture.Data, Conn: 1, Time: now + 1, Length: uint64(octets.Len()), Data: octets.Bytes()},
		{Kind: capture.Close, Conn: 1, Time: now + 2},
	} {
		if err := w.Write(&ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCheckUnfinished: a server reads the beginning of a frame that is too long,
// says so and hangs up, or the recording ends there.
func TestCheckUnfinished(t *testing.T) {
	begin := http2.ClientPreface + h2frame(0, 4, 0, 0, "")
	header := h2frame(20000, 0, 0, 1, "")
	for _, closed := range []bool{true, false} {
		for name, ev := range map[string]capture.Event{
			"beginning":    {Data: []byte(header + strings.Repeat("x", 100)), Length: 109},
			"header alone": {Data: []byte(header), Length: 9},
			"headers only": {Data: []byte(header), Length: 109}, // the content is not copied
		} {
			ev.Kind, ev.Conn, ev.Direction, ev.Offset = capture.Data, 1, capture.Recv, uint64(len(begin))
			events := []capture.Event{
				{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{PID: 7, Comm: "x", Fresh: true}},
				{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Length: uint64(len(begin)), Data: []byte(begin)},
				{Kind: capture.Data, Conn: 1, Length: 9, Data: []byte(h2frame(0, 4, 0, 0, ""))},
				ev,
				{Kind: capture.Data, Conn: 1, Offset: 9, Length: 17, Data: []byte(h2frame(8, 7, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x06"))},
			}
			if closed {
				events = append(events, capture.Event{Kind: capture.Close, Conn: 1})
			}
			file := recordEvents(t, events)
			status, out, _ := check("--severity", "error", file)
			if status != 1 || !strings.Contains(out, "frame-too-large: DATA: the frame is longer than the peer's SETTINGS_MAX_FRAME_SIZE, and the c") {
				t.Errorf("%s, closed %v: exit status %d\n%s", name, closed, status, out)
			}
			end := `"error":"FRAME_SIZE_ERROR: the frame is longer than the peer's SETTINGS_MAX_FRAME_SIZE, and the capture ended before the frame did"`
			if closed {
				end = strings.Replace(end, "capture", "connection", 1)
			}
			for _, more := range [][]string{nil, {"--filter", "type == DATA"}} { // printed directly, and from the store
				out, err := runOut(t, append([]string{"dump", "--format", "json", "-r", file}, more...)...)
				if err != nil || !strings.Contains(out, end) {
					t.Errorf("%s, closed %v: %v\n%s", name, closed, err, out)
				}
			}
		}
	}
}

// recordEvents writes a recording of events, a microsecond from one to the next.
func recordEvents(t *testing.T, events []capture.Event) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.pcapng")
	now := time.Now().UnixNano()
	w, err := recording.Create(name, recording.Options{Start: now})
	if err != nil {
		t.Fatal(err)
	}
	for i, ev := range events {
		ev.Time = now + int64(i)*1000
		if err := w.Write(&ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

func check(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	err := run(context.Background(), append([]string{"check"}, args...), nil, &out, &errs)
	status = exitStatus(err, &errs)
	return status, out.String(), errs.String()
}

func TestCheck(t *testing.T) {
	bad := record(t, func(f *http2.Framer) { f.WriteData(1, false, []byte("x")); f.WriteRSTStream(1, http2.ErrCodeCancel) })
	good := record(t, func(f *http2.Framer) { f.WriteGoAway(0, http2.ErrCodeNo, nil) })
	notOne := filepath.Join(t.TempDir(), "not")
	if err := os.WriteFile(notOne, []byte("not a recording, whatever its name"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		lines  []string // beginnings of the lines on standard output
		stderr string   // part of it
	}{
		{"errors", []string{bad}, 1, []string{"error   c1 stream 1 [0.", "error   c1 stream 1", "note    c1 stream 1"}, "2 errors, 0 warnings, 1 note in 3 frames of 1 connection\n"},
		{"errors alone", []string{"--severity", "error", bad}, 1, []string{"error ", "error "}, "2 errors"},
		{"notes", []string{good}, 0, []string{"note    c1 ["}, "0 errors, 0 warnings, 1 note in 2 frames of 1 connection\n"},
		{"no errors to show", []string{"--severity", "warning", good}, 0, nil, "0 errors"},
		{"no recording", []string{notOne}, 1, nil, "h2sniff: opening the recording: "},
		{"no file", []string{notOne + "x"}, 1, nil, "no such file"},
		{"no name", nil, 2, nil, "check needs one recording"},
		{"two names", []string{good, bad}, 2, nil, "check needs one recording"},
		{"no such severity", []string{"--severity", "fatal", good}, 2, nil, "severities are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, errs := check(c.args...)
			if status != c.status || !strings.Contains(errs, c.stderr) {
				t.Errorf("status %d, want %d; standard error: %s", status, c.status, errs)
			}
			var lines []string
			for line := range strings.Lines(out) {
				lines = append(lines, line)
			}
			if len(lines) != len(c.lines) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(c.lines), out)
			}
			for i, line := range lines {
				if !strings.HasPrefix(line, c.lines[i]) {
					t.Errorf("line %d is %q, want it to begin %q", i, line, c.lines[i])
				}
			}
		})
	}
}

func TestCheckJSON(t *testing.T) {
	name := record(t, func(f *http2.Framer) { f.WriteData(1, false, []byte("x")) })
	status, out, errs := check("--format", "json", name)
	if status != 1 {
		t.Fatalf("status %d: %s", status, errs)
	}
	var d struct {
		Kind, Code, Severity, Time, Conn, Dir, Text, Section string
		Seq, Stream                                          uint64
	}
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if d.Kind != "diagnosis" || d.Code != "frame-on-idle-stream" || d.Severity != "error" || d.Conn != "c1" || d.Dir != "send" ||
		d.Stream != 1 || d.Seq != 4 || d.Text == "" || d.Section != "RFC 9113, section 5.1" {
		t.Errorf("%+v", d)
	}
	if _, err := time.Parse(time.RFC3339Nano, d.Time); err != nil {
		t.Error(err)
	}
}
