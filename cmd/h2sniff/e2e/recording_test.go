// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replay is what "h2sniff dump -r" did.
type replay struct {
	rows   []row
	stdout string
	stderr string
	status int
}

// replayRecording prints a recording as JSON lines.
func replayRecording(t testing.TB, path string) replay {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(h2sniff, "dump", "--format", "json", "--body", "-r", path)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r := replay{stdout: stdout.String(), stderr: stderr.String(), status: cmd.ProcessState.ExitCode()}
	for lines := json.NewDecoder(&stdout); lines.More(); {
		var next row
		if err := lines.Decode(&next); err != nil {
			t.Fatalf("not JSON: %v", err)
		}
		r.rows = append(r.rows, next)
	}
	return r
}

// dumpRecording gives the rows of a whole recording.
func dumpRecording(t testing.TB, path string) []row {
	t.Helper()
	r := replayRecording(t, path)
	if r.status != 0 {
		t.Fatalf("exit status %d: %s", r.status, r.stderr)
	}
	return r.rows
}

// startRecord records a process and its children into a file.
func startRecord(t testing.TB, path string, pid int) *sniff {
	t.Helper()
	return startSniffCommand(t, exec.Command(h2sniff, "record", "-w", path, "-p", strconv.Itoa(pid)))
}

var decodeAs = regexp.MustCompile(`tshark -r \S+ (.*)`)

// TestRecording: what is recorded is read back as what a dump of the same
// traffic showed live, as nghttp says it was, and as tshark decodes it.
func TestRecording(t *testing.T) {
	needPrograms(t, "nghttp", "tshark")
	t.Parallel()
	for _, test := range []struct {
		name  string
		start func(testing.TB) *server
	}{
		{"nginx", func(t testing.TB) *server { return startNginx(t, 1, "location /push/ { http2_push /pushed; }") }},
		{"h2o", func(t testing.TB) *server { return startH2O(t, 1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := test.start(t)
			server.files(t)
			path := filepath.Join(t.TempDir(), "recording.pcapng")
			live := startSniff(t, "--body", "-p", strconv.Itoa(server.pid))
			record := startRecord(t, path, server.pid)
			var logs [][]logged
			for i, request := range nghttpRequests(server) {
				logs = append(logs, parseNghttp(t, run(t, "nghttp", append([]string{"-nv"}, request...)...)))
				live.waitFor("the connection to close", closed(i+1))
			}
			shown := live.stop()
			record.stop()

			first, second := replayRecording(t, path), replayRecording(t, path)
			if first.status != 0 {
				t.Fatalf("exit status %d: %s", first.status, first.stderr)
			}
			if first.stdout != second.stdout {
				t.Error("reading it twice gives different lines")
			}
			wantSameRows(t, first.rows, shown)
			wantSummary(t, first.stderr, first.rows)
			wantSummary(t, record.errors(), first.rows)
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v: others may read it: %v", info.Mode(), err)
			}

			how := decodeAs.FindStringSubmatch(record.errors())
			if how == nil {
				t.Fatalf("record does not tell how tshark reads it:\n%s", record.errors())
			}
			sides := decodeShark(t, path, strings.Fields(how[1])...)
			list := conns(first.rows, "")
			if len(list) != len(logs) || len(sides) != 2*len(logs) {
				t.Fatalf("%d connections, %d sides in tshark; want %d connections", len(list), len(sides), len(logs))
			}
			for i, conn := range list {
				rows := slices.DeleteFunc(slices.Clone(first.rows), func(r row) bool { return r.Conn != conn })
				wantAccount(t, logs[i], rows, false)
				local, remote := portsOf(rows)
				wantShark(t, conn+" send", frames(rows, "", "send"), sides[local+">"+remote])
				wantShark(t, conn+" recv", frames(rows, "", "recv"), sides[remote+">"+local])
			}
		})
	}
}

// portsOf gives the ports of the last addresses that a connection had.
func portsOf(rows []row) (local, remote string) {
	for _, r := range rows {
		if r.Kind == "bind" {
			local, remote = r.Local[strings.LastIndex(r.Local, ":")+1:], r.Remote[strings.LastIndex(r.Remote, ":")+1:]
		}
	}
	return local, remote
}

// wantSameRows wants rows that two h2sniffs told of the same traffic to be the
// same in all but the clock.
func wantSameRows(t testing.TB, got, want []row) {
	t.Helper()
	const slack = 10 * time.Second // between two probes at the same place, where the program can be held up
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if d := g.Time.Sub(w.Time); d.Abs() > slack {
			t.Errorf("row %d: at %v, want %v", g.Seq, g.Time, w.Time)
		}
		g.Time, g.TimeEnd, g.Elapsed = w.Time, w.TimeEnd, w.Elapsed
		if !reflect.DeepEqual(g, w) {
			t.Errorf("row %d:\n%+.2000v, want\n%+.2000v", i+1, g, w)
			return
		}
	}
}

// smallRecording records a run of nghttp against nginx.
func smallRecording(t testing.TB) string {
	t.Helper()
	nginx := startNginx(t, 1)
	nginx.file(t, "large", 50_000)
	path := filepath.Join(t.TempDir(), "recording.pcapng")
	s := startRecord(t, path, nginx.pid)
	for range 3 {
		run(t, "nghttp", "-n", nginx.url("/"), nginx.url("/large"))
	}
	s.stop()
	return path
}

// wantOneSentence wants a failure to be told in one line.
func wantOneSentence(t testing.TB, stderr string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(stderr, "\n"), "\n")
	lines = slices.DeleteFunc(lines, summaryLine.MatchString)
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "h2sniff: ") || strings.Contains(stderr, "goroutine") {
		t.Errorf("not one sentence:\n%s", stderr)
	}
}

// TestRecordingCut: a recording that ends too early is read up to there.
func TestRecordingCut(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	path := smallRecording(t)
	octets, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole := replayRecording(t, path)
	if whole.status != 0 || len(frames(whole.rows, "", "")) < 30 {
		t.Fatalf("exit status %d, %d rows: %s", whole.status, len(whole.rows), whole.stderr)
	}
	var cuts []int
	for at := len(octets) / 25; at < len(octets); at += len(octets) / 25 {
		cuts = append(cuts, at)
	}
	cuts = append(cuts, len(octets)-1, len(octets)-5)
	// Between blocks, whose length follows their type (pcapng, section 3.1).
	for at, n := 0, 0; at < len(octets); n++ {
		if at += int(binary.LittleEndian.Uint32(octets[at+4:])); n%40 == 3 && at < len(octets) {
			cuts = append(cuts, at)
		}
	}
	read := 0
	for _, at := range cuts {
		cut := filepath.Join(t.TempDir(), "cut.pcapng")
		if err := os.WriteFile(cut, octets[:at], 0o600); err != nil {
			t.Fatal(err)
		}
		got := replayRecording(t, cut)
		if got.status != 1 {
			t.Errorf("cut at %d of %d: exit status %d", at, len(octets), got.status)
		}
		wantOneSentence(t, got.stderr)
		if !strings.HasPrefix(whole.stdout, withoutEnd(got.stdout)) {
			t.Errorf("cut at %d of %d: the rows are not the first ones of the whole", at, len(octets))
		}
		read += len(got.rows)
	}
	if average := read / len(cuts); average < len(whole.rows)/4 {
		t.Errorf("%d of %d rows were read on average: what is before the cut is lost", average, len(whole.rows))
	}
}

// withoutEnd takes the rows off that tell of what the end left open: a frame, or
// a piece of its header, in each direction of a connection.
func withoutEnd(stdout string) string {
	lines := strings.SplitAfter(stdout, "\n")
	n := len(lines) - 1 // behind the last line there is nothing
	for ; n > 0; n-- {
		if s := lines[n-1]; !strings.Contains(s, "the capture ended before the frame did") && !strings.Contains(s, `"reason":"skipped"`) {
			break
		}
	}
	return strings.Join(lines[:n], "")
}

// TestNotARecording: files that are something else are told from recordings.
func TestNotARecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty": "", "text": "hello\n", "long text": strings.Repeat("not a recording\n", 10_000),
		"zeroes": strings.Repeat("\x00", 5000),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"empty", "text", "long text", "zeroes", "missing", "."} {
		got := replayRecording(t, filepath.Join(dir, name))
		if got.status != 1 || len(got.rows) > 0 {
			t.Errorf("%s: exit status %d, %d rows", name, got.status, len(got.rows))
		}
		wantOneSentence(t, got.stderr)
	}
}

// TestRecordingThroughPipe: a command is recorded to standard output, which
// another h2sniff reads while it is written.
func TestRecordingThroughPipe(t *testing.T) {
	needPrograms(t, "nghttp")
	t.Parallel()
	server := startNghttpd(t, 1)
	record := exec.Command(h2sniff, "record", "-w", "-", "--", "nghttp", "-nv", server.url("/"))
	dump := exec.Command(h2sniff, "dump", "--format", "json", "-r", "-")
	var stderr, stdout bytes.Buffer
	record.Stderr, dump.Stdout = &stderr, &stdout
	pipe, err := record.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	dump.Stdin = pipe
	if err := record.Start(); err != nil {
		t.Fatal(err)
	}
	if err := dump.Run(); err != nil {
		t.Errorf("%v: %v", dump.Args, err)
	}
	if err := record.Wait(); err != nil {
		t.Errorf("%v: %v\n%s", record.Args, err, stderr.String())
	}
	var rows []row
	for lines := json.NewDecoder(&stdout); lines.More(); {
		var next row
		if err := lines.Decode(&next); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, next)
	}
	wantAccount(t, parseNghttp(t, stderr.String()), rows, true)
}
