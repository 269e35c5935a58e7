// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/decode"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// TestSlowReaderIsTold: rows that were evicted before they could be printed are
// told in their place, in every format, and none is counted twice.
func TestSlowReaderIsTold(t *testing.T) {
	st := store.New(store.Options{History: store.MinHistory})
	payload := make([]byte, 16<<10)
	row := &decode.Row{
		Kind: decode.RowFrame, Conn: 1, Payload: payload,
		Header: decode.FrameHeader{Length: uint32(len(payload)), Type: http2.FrameData, StreamID: 1},
	}
	appendRows := func(n int) {
		for range n {
			st.Append(row)
		}
	}
	var out bytes.Buffer
	p := newPrinter(&out, &options{format: lines.JSON}, 0, st)
	printed := func() {
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
	}
	appendRows(3)
	printed()
	appendRows(1000) // 16 MiB
	printed()
	var missed, next uint64 = 0, 1
	for line := range strings.Lines(out.String()) {
		var l struct {
			Kind      string
			Seq, Rows uint64
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind == "missed" {
			missed += l.Rows
			next += l.Rows
			continue
		}
		if l.Seq != next {
			t.Fatalf("seq %d where %d is due", l.Seq, next)
		}
		next++
	}
	if missed == 0 || missed != p.missed || next != 1004 {
		t.Errorf("%d rows told as missed, %d counted, the next seq is %d", missed, p.missed, next)
	}

	for _, format := range []lines.Format{lines.Text, lines.Plain} {
		out.Reset()
		p := newPrinter(&out, &options{format: format}, 0, st)
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(out.String(), "\n"); !strings.HasSuffix(first, "rows left the history before they could be printed") {
			t.Errorf("%v does not begin with what is missing: %q", format, first)
		}
	}
}

// TestCountInSummary: the summary of -n counts what was printed, though more
// frames came with the last one.
func TestCountInSummary(t *testing.T) {
	text := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\x00\x00\x00\x04\x00\x00\x00\x00\x00", 5) // SETTINGS
	path := filepath.Join(t.TempDir(), "x.pcapng")
	w, err := recording.Create(path, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range []capture.Event{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}},
		{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Length: uint64(len(text)), Data: []byte(text)},
	} {
		if err := w.Write(&ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"--content"}} { // without a store, and with one
		var out, stderr bytes.Buffer
		args := append([]string{"dump", "-r", path, "-n", "3", "--format", "text"}, more...)
		if err := run(t.Context(), args, strings.NewReader(""), &out, &stderr); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), " frame <"); n != 3 || !strings.HasPrefix(stderr.String(), "h2sniff: 3 frames, ") {
			t.Errorf("%v: %d frames printed, %s", more, n, stderr.String())
		}
	}
}
