// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/decode"
	"h2sniff/decode/store"
)

// The status line tells how much of a file has been read, and what of the
// history is in a file.
func TestStatusOfFiles(t *testing.T) {
	spill, err := store.OpenSpill(t.TempDir(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer spill.Close()
	st := store.New(store.Options{History: store.MinHistory, Spill: spill})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); st.RunSpill(ctx) }()
	for range 3000 {
		st.Append(&decode.Row{Kind: decode.RowFrame, Conn: 1, Payload: make([]byte, 1000),
			Header: decode.FrameHeader{Type: http2.FrameData, Length: 1000, StreamID: 1}})
		st.AwaitSpill(ctx)
	}
	cancel()
	<-ended
	m := newScreen(st, 160, 36, Options{Source: "x.pcapng", Status: func() Status { return Status{Read: 45, Size: 100} }})
	line, _, _ := strings.Cut(m.View(), "\n")
	for _, want := range []string{"■ FILE reading 45%", "history 1/1 MiB", "+ 3 MiB in a file"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q is not in %q", want, line)
		}
	}
	if strings.Contains(line, "NOT KEPT") || strings.Contains(line, "evicted") {
		t.Error(line)
	}
}
