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

// How far a file is read is shown as it goes on, whether there are rows or not;
// how fast it is read says nothing of its traffic.
func TestFileProgress(t *testing.T) {
	status := Status{Size: 1000}
	tr := newTraffic(0)
	m := newScreen(tr.st, 160, 36, Options{Source: "x.pcapng", Status: func() Status { return status }})
	for i, want := range []string{"reading 0%", "reading 37%", "reading 99%", "reading 100%"} {
		status.Read = []int64{0, 370, 999, 1200}[i]
		if i == 2 {
			tr.requests(100)
		}
		do(m, later(2*i), later(2*i+1))
		line, _, _ := strings.Cut(m.View(), "\n")
		if !strings.Contains(line, want+" ") || strings.Contains(line, "fr/s") {
			t.Errorf("no %q, or a rate, in %q", want, line)
		}
	}
	status.Done = true
	do(m, later(100))
	if line, _, _ := strings.Cut(m.View(), "\n"); !strings.Contains(line, "■ FILE  x.pcapng") || strings.Contains(line, "fr/s") {
		t.Error(line)
	}
}

// Processes and calls that nothing is known of are told like octets that are missing.
func TestMissed(t *testing.T) {
	var status Status
	m := newScreen(newTraffic(1).st, 160, 36, Options{Live: true, Source: "nginx", Status: func() Status { return status }})
	for i, want := range []string{"", "MISSED 1 process ", "MISSED 1,234 processes "} {
		status.Unfollowed = []uint64{0, 1, 1234}[i]
		do(m, later(10*i+10))
		line, _, _ := strings.Cut(m.View(), "\n")
		if !strings.Contains(line+" ", want) || want == "" && strings.Contains(line, "MISSED") {
			t.Errorf("with %d: %q", status.Unfollowed, line)
		}
	}
	for i, want := range []string{"MISSED 1 call ", "MISSED 1,234 calls "} {
		status.Missed = []uint64{1, 1234}[i]
		do(m, later(10*i+40))
		line, _, _ := strings.Cut(m.View(), "\n")
		if !strings.Contains(line+" ", want) || !strings.Contains(line, "MISSED 1,234 processes") {
			t.Errorf("with %d: %q", status.Missed, line)
		}
	}
}
