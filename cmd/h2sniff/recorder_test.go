// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"h2sniff/capture"
	"h2sniff/capture/recording"
)

// endless is a source whose every event is more of connection 1.
type endless struct{ n uint64 }

func (s *endless) Read(ev *capture.Event) error {
	*ev = capture.Event{Kind: capture.Data, Conn: 1, Time: int64(s.n), Offset: s.n, Length: 1, Data: []byte{1}}
	s.n++
	return nil
}
func (s *endless) Stats() capture.Stats { return capture.Stats{Bytes: s.n} }
func (s *endless) Close() error         { return nil }

// TestRecorderFails: a recording that has failed is none that goes on, and another
// can begin.
func TestRecorderFails(t *testing.T) {
	full, err := recording.Create("/dev/full", recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tee := recording.NewTee(&endless{}, full)
	r := newRecorder("/dev/full", tee, false)
	s := &session{Source: tee, tee: tee}
	status := s.status(make(chan struct{}), r)
	if got := status(); got.Err != nil || got.Recording != "/dev/full" {
		t.Errorf("before: %+v", got)
	}
	var ev capture.Event
	if err := tee.Read(&ev); err != nil {
		t.Fatal(err)
	}
	if got := status(); !errors.Is(got.Err, syscall.ENOSPC) || got.Recording != "" {
		t.Errorf("after: %+v", got)
	}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	if _, err := r.record(path); err != nil {
		t.Fatal(err)
	}
	if got := status(); got.Err != nil || got.Recording != path {
		t.Errorf("another: %+v", got)
	}
}

func TestRecorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcapng")
	tee := recording.NewTee(&endless{}, nil)
	r := newRecorder("", tee, false)
	read := func(n int) {
		t.Helper()
		var ev capture.Event
		for range n {
			if err := tee.Read(&ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	read(3)
	if _, err := r.record(""); err == nil {
		t.Error("ended what had not begun")
	}
	if said, err := r.record(path); err != nil || !strings.Contains(said, path) || r.into() != path {
		t.Fatalf("%q, %v, %q", said, err, r.into())
	}
	if _, err := r.record(path + "2"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a second recording: %v", err)
	}
	read(5)
	if said, err := r.record(""); err != nil || !strings.Contains(said, "tshark -r "+path+" -d") || !strings.Contains(said, "  # addresses and ports of 1 connection are made up") || r.into() != "" {
		t.Fatalf("%q, %v, %q", said, err, r.into())
	}
	read(2)
	file, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	events := 0
	for {
		var ev capture.Event
		if err := file.Read(&ev); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			break
		}
		events++
		if ev.Time < file.Start() {
			t.Errorf("event %d at %d, the recording begins at %d", events, ev.Time, file.Start())
		}
	}
	if events != 5 || file.Stats().Bytes != 5 {
		t.Errorf("%d events, %+v", events, file.Stats())
	}
	if _, err := r.record(path); !errors.Is(err, fs.ErrExist) || r.into() != "" {
		t.Errorf("over a file that is there: %v", err)
	}
	if _, err := r.record(filepath.Join(path, "y")); err == nil || r.into() != "" {
		t.Error("recording below a file")
	}
	if _, err := os.Stat(path + "2"); err == nil {
		t.Error("a file was made in vain")
	}
}
