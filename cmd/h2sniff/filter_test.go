// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/filter"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
)

func dump(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	err := run(context.Background(), append([]string{"dump"}, args...), nil, &out, &errs)
	status = exitStatus(err, &errs)
	return status, out.String(), errs.String()
}

// TestDumpFilter: what is printed is what matches, in order.
func TestDumpFilter(t *testing.T) {
	name := record(t, func(f *http2.Framer) {
		for i := range uint32(5) {
			f.WritePing(false, [8]byte{byte(i)})
			f.WriteRSTStream(2*i+1, http2.ErrCode(i))
		}
	})
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--filter", "error == CANCEL"}, nil},
		{[]string{"--filter", "error in (1,3)"}, []string{"RST_STREAM 3", "RST_STREAM 7"}},
		{[]string{"--filter", "5 || type == SETTINGS"}, []string{"SETTINGS 0", "RST_STREAM 5"}},
		{[]string{"--filter", "type == PING", "-n", "2"}, []string{"PING 0", "PING 0"}},
		{[]string{"--filter", "type != PING", "--stream", "7"}, []string{"open 0", "preface 0", "RST_STREAM 7", "close 0"}},
		{[]string{"--filter", "kind == close"}, []string{"close 0"}},
		{[]string{"--filter", "diag && type==RST_STREAM && stream < 4"}, []string{"RST_STREAM 1", "RST_STREAM 3"}}, // of idle streams
	} {
		status, stdout, stderr := dump(append([]string{"--format", "json", "-r", name}, c.args...)...)
		if status != 0 {
			t.Errorf("%v: status %d: %s", c.args, status, stderr)
		}
		if got := kinds(t, stdout); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v prints %q, want %q", c.args, got, c.want)
		}
	}
}

// kinds are the type and the stream of each line, or the kind of row.
func kinds(t *testing.T, stdout string) (out []string) {
	for line := range strings.Lines(stdout) {
		var l struct {
			Kind, Type string
			Stream     uint32
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if l.Type == "" {
			l.Type = l.Kind
		}
		out = append(out, fmt.Sprint(l.Type, " ", l.Stream))
	}
	return out
}

// TestDumpFilterContent: the body of a message is printed where one of its
// frames matches, whichever that is.
func TestDumpFilterContent(t *testing.T) {
	name := recordHTTP(t)
	_, stdout, _ := dump("--content", "-r", name, "--filter", "path contains json")
	if !strings.Contains(stdout, "question") || strings.Contains(stdout, `"answer"`) {
		t.Errorf("the request's body alone is due:\n%s", stdout)
	}
	_, stdout, _ = dump("--content", "-r", name, "--filter", "status == 200 && header[content-type] contains json")
	if strings.Contains(stdout, "question") || !strings.Contains(stdout, `"answer"`) {
		t.Errorf("the response's body alone is due:\n%s", stdout)
	}
}

// TestFilterHint: what can match nothing is said, and is no mistake; the
// examples of the help and of the README are not of that kind.
func TestFilterHint(t *testing.T) {
	name := recordHTTP(t)
	status, stdout, stderr := dump("-r", name, "--filter", "status>=200 && path contains json")
	const want = "h2sniff: --filter: no valid frame has both path and status: path is of requests, status of responses\n"
	if status != 0 || stdout != "" || !strings.HasPrefix(stderr, want) {
		t.Errorf("status %d, %q, %q", status, stdout, stderr)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, inReadme, _ := strings.Cut(string(readme), "--filter '")
	inReadme, _, _ = strings.Cut(inReadme, "'")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"dump", "--help"}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	_, inHelp, _ := strings.Cut(out.String(), "match EXPR, as \"")
	inHelp, _, _ = strings.Cut(inHelp, "\"")
	for _, example := range []string{inReadme, inHelp} {
		if expr, err := filter.Parse(example); err != nil || expr.Hint() != "" {
			t.Errorf("the example %q: %v", example, err)
		}
	}
}

// TestFilterMistake: its place is shown, and nothing is done.
func TestFilterMistake(t *testing.T) {
	for _, c := range []struct{ expr, want string }{
		{"stream == 13 && statu>=500", "there is no field statu: status? (docs/filter.md has the language)\n  stream == 13 && statu>=500\n                  ^\n"},
		{"", "a test is missing: a stream id, or a field with an operator and a value (docs/filter.md has the language)\n"},
		{"path == é &", "a single & means nothing: write && (docs/filter.md has the language)\n"},
		{strings.Repeat("1 || ", 40) + "x", "there is no field x (docs/filter.md has the language)\n  " +
			strings.Repeat("1 || ", 7) + "x\n  " + strings.Repeat(" ", 35) + "^\n"},
	} {
		status, stdout, stderr := dump("-r", "none", "--filter", c.expr)
		if status != 2 || stdout != "" || stderr != "h2sniff: --filter: "+c.want {
			t.Errorf("%s: status %d, %s%s", c.expr, status, stdout, stderr)
		}
	}
}

// TestFilterEvicted: a row that came and went between two looks at the store is
// told as missed, and none is taken for one that does not match.
func TestFilterEvicted(t *testing.T) {
	st := store.New(store.Options{History: store.MinHistory})
	expr, err := filter.Parse("type == PING")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newPrinter(&out, &options{format: lines.JSON, filter: filterFlag{expr}}, 0, st)
	add := func(kind http2.FrameType, size int) {
		st.Append(&decode.Row{Kind: decode.RowFrame, Conn: 1, Direction: capture.Send, Payload: make([]byte, size),
			Header: decode.FrameHeader{Length: uint32(size), Type: kind}})
	}
	for range 3 {
		add(http2.FramePing, 8)
		for range 200 {
			add(http2.FrameData, 16<<10)
		}
		add(http2.FramePing, 8)
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
	}
	got := kinds(t, out.String())
	if want := "[missed 0 PING 0 missed 0 PING 0 missed 0 PING 0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
