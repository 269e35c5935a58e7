// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// specRow is what TestConformanceSuite reads of a row.
type specRow struct {
	row
	ErrorName string `json:"error_name"`
	Priority  *struct {
		Dependency uint32 `json:"stream_dependency"`
	} `json:"priority"`
}

// TestConformanceSuite: h2spec breaks nearly every rule of RFC 9113 and RFC 7541
// on a connection of its own. The frames that a server reads are shown as h2spec
// says that it sent them, and every connection that a fair server ended with an
// error is one that check finds an error in.
func TestConformanceSuite(t *testing.T) {
	t.Parallel()
	h2spec := filepath.Join(t.TempDir(), "h2spec")
	build := exec.Command("go", "build", "-o", h2spec, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir = "testdata/h2spec"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, server := range []struct {
		name  string
		start func(testing.TB) *server
		// fair servers accuse their clients only of what they did.
		fair bool
	}{
		{"nghttpd", func(t testing.TB) *server { return startNghttpd(t, 1) }, true},
		// nginx 1.22 takes trailers that come behind its own RST_STREAM for a
		// violation, and lets many others pass.
		{"nginx", func(t testing.TB) *server { return startNginx(t, 1) }, false},
	} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			s := server.start(t)
			path := filepath.Join(t.TempDir(), "spec.pcapng")
			recorder := record(t, path, "-p", strconv.Itoa(s.pid))
			// It fails where a server is lax, which is not what is tested.
			log, err := exec.Command(h2spec, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-t", "-k", "-o", "1", "-P", "/index.html", "-v").Output()
			if _, failed := err.(*exec.ExitError); err != nil && !failed {
				t.Fatal(err)
			}
			recorder()
			rows := specRows(t, path)
			sent := sentBySpec(t, log)
			wantSubsequence(t, rows, sent)
			if server.fair {
				wantDiagnosed(t, path, rows)
			}
		})
	}
}

// record records until the function that it returns is called.
func record(t testing.TB, path string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(h2sniff, append([]string{"record", "-w", path}, args...)...)
	s := launchSniff(t, cmd)
	select {
	case <-s.ready:
	case <-s.done:
		t.Fatalf("%v ended:\n%s", cmd.Args, s.errors())
	}
	return func() { s.stop() }
}

func specRows(t testing.TB, path string) []specRow {
	t.Helper()
	out, err := exec.Command(h2sniff, "dump", "--format", "json", "-r", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var rows []specRow
	for line := range bytes.Lines(out) {
		var r specRow
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	return rows
}

var specFrame = regexp.MustCompile(`\[send\] (?:(\w+) Frame \(length:(\d+), flags:0x([0-9a-f]+), stream_id:(\d+)\)|Raw Data \(0x([0-9a-f]*)\)|(\?\?\?) Frame)`)

// unparsed is a frame that h2spec itself cannot take apart.
const unparsed = "?"

// sentBySpec lists the frames that h2spec says it sent, those too that it wrote
// octet by octet.
func sentBySpec(t testing.TB, log []byte) []string {
	t.Helper()
	var sent []string
	var raw []byte
	for _, m := range specFrame.FindAllSubmatch(log, -1) {
		if m[1] != nil {
			raw = nil
			flags, err := strconv.ParseUint(string(m[3]), 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			sent = append(sent, fmt.Sprintf("%s %s %#x %s", m[1], m[2], flags, m[4]))
			continue
		}
		if m[6] != nil {
			raw, sent = nil, append(sent, unparsed)
			continue
		}
		octets, err := hex.DecodeString(string(m[5]))
		if err != nil {
			t.Fatal(err)
		}
		raw = bytes.TrimPrefix(append(raw, octets...), []byte(http2.ClientPreface))
		for len(raw) >= 9 {
			length := int(raw[0])<<16 | int(raw[1])<<8 | int(raw[2])
			if len(raw) < 9+length {
				break
			}
			sent = append(sent, fmt.Sprintf("%s %d %#x %d", typeName(http2.FrameType(raw[3])), length, raw[4], binary.BigEndian.Uint32(raw[5:])&(1<<31-1)))
			raw = raw[9+length:]
		}
	}
	if len(sent) < 500 {
		t.Fatalf("h2spec tells of %d frames:\n%s", len(sent), log)
	}
	return sent
}

// wantSubsequence wants the frames that the server received to be those that
// were sent, in order. A few may be missing: it need not have read what came
// behind the frame for which it hung up.
func wantSubsequence(t testing.TB, rows []specRow, sent []string) {
	t.Helper()
	missing, next := 0, 0
	for _, r := range rows {
		if r.Kind != "frame" || r.Dir != "recv" {
			continue
		}
		frame := fmt.Sprintf("%s %d %#x %d", r.Type, r.Length, r.Flags, r.Stream)
		i := slices.IndexFunc(sent[next:], func(s string) bool { return s == frame || s == unparsed })
		if i < 0 {
			t.Fatalf("row %d (%s) was not sent behind frame %d of %d", r.Seq, frame, next, len(sent))
		}
		missing += i
		next += i + 1
	}
	missing += len(sent) - next
	t.Logf("%d frames sent, %d not read by the server", len(sent), missing)
	if missing > len(sent)/50 {
		t.Errorf("%d of %d frames are not shown", missing, len(sent))
	}
}

// wantDiagnosed wants an error on each connection that the server ended with
// one.
func wantDiagnosed(t testing.TB, path string, rows []specRow) {
	t.Helper()
	out, err := exec.Command(h2sniff, "check", "--severity", "error", "--format", "json", path).Output()
	if exit, failed := err.(*exec.ExitError); !failed || exit.ExitCode() != 1 {
		t.Fatalf("check: %v", err)
	}
	diagnosed := make(map[string]bool)
	for line := range bytes.Lines(out) {
		var d struct{ Conn string }
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		diagnosed[d.Conn] = true
	}
	accused, itself := make(map[string]string), make(map[string]bool)
	for _, r := range rows {
		if r.Kind == "frame" && r.Dir == "send" && (r.Type == "GOAWAY" || r.Type == "RST_STREAM") && r.ErrorName != "NO_ERROR" {
			accused[r.Conn] = strings.Join([]string{r.Type, r.ErrorName}, " ")
		}
		// RFC 7540, section 5.3.1, forbids a stream to depend on itself; RFC
		// 9113 has no such rule any more.
		itself[r.Conn] = itself[r.Conn] || r.Priority != nil && r.Priority.Dependency == r.Stream
	}
	for conn, verdict := range accused {
		if !diagnosed[conn] && !itself[conn] {
			t.Errorf("%s: the server answers with %s, check finds no error", conn, verdict)
		}
	}
	t.Logf("%d connections that the server ended with an error, %d with a diagnosis", len(accused), len(diagnosed))
	if len(accused) < 60 {
		t.Errorf("the server ended only %d connections with an error", len(accused))
	}
}
