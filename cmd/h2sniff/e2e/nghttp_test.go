// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// logged is a frame as "nghttp -nv" tells of it. It folds CONTINUATION frames
// into the HEADERS before them.
type logged struct {
	dir     string // as seen from nghttp
	typ     string
	length  uint32
	flags   uint8
	stream  uint32
	headers []string // "name: value"
}

func (f logged) String() string {
	return fmt.Sprintf("%s %s length=%d flags=%#02x stream=%d", f.dir, f.typ, f.length, f.flags, f.stream)
}

var (
	ansi        = regexp.MustCompile(`\x1b\[[0-9;]*m`)
	frameLine   = regexp.MustCompile(`^\[ *[0-9.]+\] (send|recv) ([A-Z_]+) frame <length=(\d+), flags=0x([0-9a-f]{2}), stream_id=(\d+)>`)
	recvHeader  = regexp.MustCompile(`^\[ *[0-9.]+\] recv \(stream_id=(\d+)(?:, sensitive)?\) (.*)$`)
	sendHeader  = regexp.MustCompile(`^ {10}(:?[a-z0-9-]+: .*)$`)
	otherDetail = regexp.MustCompile(`^ {10}[(;\[]`)
)

// parseNghttp reads the output of nghttp -nv.
func parseNghttp(t testing.TB, output string) []logged {
	t.Helper()
	var out []logged
	received := make(map[uint32][]string) // header fields that come before their frame's line
	for line := range strings.Lines(output) {
		line = strings.TrimRight(ansi.ReplaceAllString(line, ""), "\n")
		if m := recvHeader.FindStringSubmatch(line); m != nil {
			stream := number(t, m[1], 10)
			received[stream] = append(received[stream], m[2])
			continue
		}
		if m := frameLine.FindStringSubmatch(line); m != nil {
			f := logged{
				dir: m[1], typ: m[2], length: number(t, m[3], 10),
				flags: uint8(number(t, m[4], 16)), stream: number(t, m[5], 10),
			}
			if f.dir == "recv" && (f.typ == "HEADERS" || f.typ == "PUSH_PROMISE") {
				f.headers = received[f.stream]
				delete(received, f.stream)
			}
			out = append(out, f)
			continue
		}
		if len(out) == 0 || otherDetail.MatchString(line) {
			continue
		}
		last := &out[len(out)-1]
		if m := sendHeader.FindStringSubmatch(line); m != nil && last.dir == "send" && last.typ == "HEADERS" {
			last.headers = append(last.headers, m[1])
		}
	}
	return out
}

func number(t testing.TB, s string, base int) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(s, base, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// fold makes logged frames of rows: CONTINUATION goes into the HEADERS before
// it, as nghttp tells it.
func fold(rows []row) []logged {
	var out []logged
	for _, r := range rows {
		var fields []string
		for _, h := range r.Headers {
			fields = append(fields, h.Name+": "+h.Value)
		}
		if r.Type == "CONTINUATION" && len(out) > 0 {
			last := &out[len(out)-1]
			last.length += r.Length
			last.flags |= r.Flags
			last.headers = append(last.headers, fields...)
			continue
		}
		out = append(out, logged{dir: r.Dir, typ: r.Type, length: r.Length, flags: r.Flags, stream: r.Stream, headers: fields})
	}
	return out
}

// wantSame compares frames of one direction with nghttp's account of them.
// dir is the direction as nghttp sees it. What got has beyond nghttp's last
// frame is ignored where nghttp was leaving: it does not read to the end.
func wantSame(t testing.TB, want []logged, dir string, got []logged) {
	t.Helper()
	var expected []logged
	for _, f := range want {
		if f.dir == dir {
			expected = append(expected, f)
		}
	}
	if dir == "recv" && len(got) > len(expected) {
		got = got[:len(expected)]
	}
	for i := range max(len(expected), len(got)) {
		switch {
		case i >= len(got):
			t.Errorf("nghttp %s: missing %v", dir, expected[i])
		case i >= len(expected):
			t.Errorf("nghttp %s: not in its log: %v", dir, got[i])
		default:
			g, w := got[i], expected[i]
			g.dir = w.dir // the server sees the other one
			if g.String() != w.String() || strings.Join(g.headers, "\n") != strings.Join(w.headers, "\n") {
				t.Errorf("nghttp %s frame %d:\ngot  %v %q\nwant %v %q", dir, i, g, g.headers, w, w.headers)
				return
			}
		}
	}
}

var reverse = map[string]string{"send": "recv", "recv": "send"}
