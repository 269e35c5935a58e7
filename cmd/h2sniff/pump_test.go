// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
)

// script is a Source of given events.
type script []capture.Event

func (s *script) Read(ev *capture.Event) error {
	if len(*s) == 0 {
		return io.EOF
	}
	*ev = (*s)[0]
	*s = (*s)[1:]
	return nil
}

func (s *script) Stats() capture.Stats { return capture.Stats{} }
func (s *script) Close() error         { return nil }

// TestPumpDiagnoses: findings stand with the rows that they are about, also
// those that only the end of the connection gives.
func TestPumpDiagnoses(t *testing.T) {
	text := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
		"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + // SETTINGS
		"\x00\x00\x04\x03\x00\x00\x00\x00\x09\x00\x00\x00\x08" // RST_STREAM of an idle stream
	events := script{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}},
		{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Length: uint64(len(text)), Data: []byte(text)},
	}
	for _, on := range []bool{true, false} {
		src := events
		st := store.New(store.Options{})
		if err := (&pump{src: &src, store: st, diagnose: on}).run(); err != nil {
			t.Fatal(err)
		}
		found := map[string]store.Finding{}
		for _, e := range st.Rows(store.View{}, 0, 100) {
			for _, f := range e.Findings {
				if found[f.Code] = f; e.Header.StreamID != f.Stream {
					t.Errorf("%+v stands with the row of stream %d", f, e.Header.StreamID)
				}
			}
		}
		f, ok := found["frame-on-idle-stream"]
		if ok != on || on && (f.Severity != decode.Error || f.Section == "" || f.Message == "") {
			t.Errorf("diagnose %v: %+v", on, found)
		}
	}
}

// inVain is a source that has waited in vain before its end.
type inVain struct {
	script
	wait func()
}

func (w *inVain) Read(ev *capture.Event) error {
	if len(w.script) == 0 {
		w.wait()
	}
	return w.script.Read(ev)
}

// usedUp are the events of a connection whose stream uses up its window.
func usedUp(t *testing.T, begin int64) script {
	t.Helper()
	var sent strings.Builder
	fr := http2.NewFramer(&sent, nil)
	for _, err := range []error{
		fr.WriteSettings(), fr.WriteSettingsAck(),
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true}),
		fr.WriteData(1, false, make([]byte, 16384)), fr.WriteData(1, false, make([]byte, 16384)),
		fr.WriteData(1, false, make([]byte, 16384)), fr.WriteData(1, false, make([]byte, 16383)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	request := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x84\x87"
	return script{
		{Kind: capture.Open, Conn: 1, Time: begin, Info: &capture.ConnInfo{Fresh: true, Role: capture.Server}},
		{Kind: capture.Data, Conn: 1, Time: begin, Direction: capture.Recv, Length: uint64(len(request)), Data: []byte(request)},
		{Kind: capture.Data, Conn: 1, Time: begin, Direction: capture.Send, Length: uint64(sent.Len()), Data: []byte(sent.String())},
	}
}

// TestPumpTellsWhatLasts: a window that is used up is told of while nothing comes,
// and in the end for how long it was.
func TestPumpTellsWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const begin = int64(1e18) // not the wall clock's
		st := store.New(store.Options{})
		p := &pump{store: st, diagnose: true, live: true}
		told := func(want string) {
			t.Helper()
			rows := st.Rows(store.View{}, 0, 100)
			f := rows[len(rows)-1].Findings
			if text := fmt.Sprint(f); want == "" && len(f) > 0 || !strings.Contains(text, want) {
				t.Errorf("not %q: %s", want, text)
			}
		}
		p.src = &inVain{usedUp(t, begin), func() {
			told("")
			for range 30 {
				p.idle()
				time.Sleep(30 * time.Millisecond)
			}
			told("")
			for range 30 {
				p.idle()
				time.Sleep(30 * time.Millisecond)
			}
			told("more than 1s, and still is")
			if got := st.Snapshot().Findings.Warnings; got != 2 {
				t.Errorf("%d warnings", got)
			}
		}}
		if err := p.run(); err != nil {
			t.Fatal(err)
		}
		told("was used up for 1.")
		if got := st.Snapshot().Findings.Warnings; got != 2 {
			t.Errorf("%d warnings in the end", got)
		}
	})
}

// TestPipeTellsWhatLasts: so it is with a recording that is read while it is written,
// by what its writer says that it is.
func TestPipeTellsWhatLasts(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "x.pcapng")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const begin = int64(1e18)
	events := usedUp(t, begin)
	next := make(chan int64)
	written := make(chan error, 1)
	go func() {
		written <- func() error {
			w, err := recording.Create(fifo, recording.Options{})
			if err != nil {
				return err
			}
			for i := range events {
				if err := w.Write(&events[i]); err != nil {
					return err
				}
			}
			for now := range next {
				if err := w.Now(now); err != nil {
					return err
				}
			}
			return w.Close()
		}()
	}()
	s, err := openSession(t.Context(), &options{read: fifo})
	if err != nil {
		t.Fatal(err)
	}
	st := store.New(store.Options{})
	p := &pump{src: s, store: st, diagnose: true}
	s.tellTime(p, recording.NewTee(s, nil))
	ended := make(chan error, 1)
	go func() { ended <- runSession(t.Context(), s, p, nil) }()
	stalls := func(want ...store.Stall) {
		t.Helper()
		var got []store.Stall
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if got, _ = st.Stalls(1); slices.Equal(got, want) {
				return
			}
		}
		t.Fatalf("stalls %+v, want %+v", got, want)
	}
	next <- begin + int64(time.Second/2)
	stalls()
	next <- begin + int64(3*time.Second)
	one := store.Stall{Stream: 1, Direction: capture.Send, Since: begin}
	all := store.Stall{Direction: capture.Send, Since: begin}
	stalls(all, one)
	next <- begin + int64(5*time.Second)
	close(next)
	if err := errors.Join(<-written, <-ended, s.Close()); err != nil {
		t.Fatal(err)
	}
	one.Till, all.Till = begin+int64(5*time.Second), begin+int64(5*time.Second)
	stalls(all, one)
}
