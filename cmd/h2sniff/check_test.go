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
