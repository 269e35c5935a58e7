// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
)

// TestSpillMistakes: nothing is begun where the file cannot be made, or would
// be of no use.
func TestSpillMistakes(t *testing.T) {
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--spill", filepath.Join(t.TempDir(), "none")}, 1, "no such file"},
		{[]string{"--spill", "/proc"}, 1, "making a file for the history"},
		{[]string{"--spill", t.TempDir(), "--spill-size", "1MiB"}, 2, "--spill-size is less than --history"},
		{[]string{"--spill", "", "--spill-size", "1GiB"}, 2, "--spill-size needs --spill DIR"},
	} {
		status, stdout, stderr := dump(append([]string{"-r", "none"}, c.args...)...)
		if status != c.status || stdout != "" || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: status %d, %s%s", c.args, status, stdout, stderr)
		}
	}
}

// TestSpillForScreen: a file that is read is kept whole without being asked
// for; what comes through a pipe, and live traffic, is not written to a disk.
func TestSpillForScreen(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	name := record(t, func(f *http2.Framer) { f.WritePing(false, [8]byte{}) })
	fifo := filepath.Join(t.TempDir(), "dir") // not a regular file
	if err := os.Mkdir(fifo, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags spillFlags
		read  string
		want  bool
	}{
		{spillFlags{size: 1 << 30}, name, true},
		{spillFlags{size: 1 << 30}, fifo, false},
		{spillFlags{size: 1 << 30}, "", false},
		{spillFlags{size: 1 << 30, given: true}, name, false},
		{spillFlags{size: 1 << 30, given: true, dir: t.TempDir()}, "", true},
	} {
		var said bytes.Buffer
		spill, err := c.flags.forScreen(c.read, 1<<20, &said)
		if err != nil || (spill != nil) != c.want || said.Len() > 0 {
			t.Errorf("%+v of %q: %v, %v, %s", c.flags, c.read, spill, err, said.String())
		}
		if spill != nil {
			spill.Close()
		}
	}
	t.Setenv("TMPDIR", "/nowhere")
	var said bytes.Buffer
	flags := spillFlags{size: 1 << 30}
	if spill, err := flags.forScreen(name, 1<<20, &said); spill != nil || err != nil || !strings.Contains(said.String(), "only the end will be kept") {
		t.Errorf("%v, %v, %s", spill, err, said.String())
	}
}

// TestSlowReaderWithSpill: rows that left memory are printed from the file.
func TestSlowReaderWithSpill(t *testing.T) {
	spill, err := store.OpenSpill(t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	st := store.New(store.Options{History: store.MinHistory, Spill: spill})
	ctx := context.Background()
	stop := runSpill(ctx, func() { t.Error("the spill panicked") }, st, spill)
	payload := make([]byte, 16<<10)
	for range 1000 { // 16 MiB
		st.Append(&decode.Row{Kind: decode.RowFrame, Conn: 1, Direction: capture.Send, Payload: payload,
			Header: decode.FrameHeader{Length: uint32(len(payload)), Type: http2.FrameData, StreamID: 1}})
		st.AwaitSpill(ctx)
	}
	var out bytes.Buffer
	p := newPrinter(&out, &options{format: lines.Plain}, 0, st)
	if err := p.print(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "DATA frame"); n != 1000 || p.missed != 0 {
		t.Errorf("%d lines, %d missed", n, p.missed)
	}
	if snap := st.Snapshot(); snap.SpillUsed < 10<<20 || snap.HistoryUsed > 1<<20 {
		t.Errorf("%d bytes in the file, %d in memory", snap.SpillUsed, snap.HistoryUsed)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
