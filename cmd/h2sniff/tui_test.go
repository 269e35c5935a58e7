// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"

	"h2sniff/capture/recording"
)

// The exit status of the command is told apart from what went wrong with the
// capture, and both where both are.
func TestStatusOfEnding(t *testing.T) {
	trouble := errors.New("reading the ring buffer failed")
	for _, c := range []struct {
		outcome error
		exit    int
		failed  bool
	}{
		{nil, 0, false},
		{commandExit(7), 7, false},
		{trouble, 0, true},
		{errors.Join(commandExit(7), trouble), 0, true},
	} {
		s := &session{Source: &script{}, live: &live{err: c.outcome}}
		done := make(chan struct{})
		close(done)
		got := s.status(done, newRecorder("", recording.NewTee(s, nil), true))()
		if !got.Done || got.Exit != c.exit || (got.Err != nil) != c.failed {
			t.Errorf("%v: %+v", c.outcome, got)
		}
		if c.exit != 0 && got.Text != "the command exited with status 7" {
			t.Errorf("%q", got.Text)
		}
	}
}
