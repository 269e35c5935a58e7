// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestExitStatus: each error is one line, whatever names are in it.
func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		said   string
	}{
		{nil, 0, ""},
		{errors.New("no"), 1, "h2sniff: no\n"},
		{usageError{errors.New("no")}, 2, "h2sniff: no (h2sniff --help lists the options)\n"},
		{commandExit(7), 7, ""},
		{fmt.Errorf("ended: %w", commandExit(130)), 130, ""},
		{errors.Join(errors.New("one"), errors.New("two")), 1, "h2sniff: one\nh2sniff: two\n"},
		{errors.New("\x1b[2J\u202e\t\x9b"), 1, "h2sniff: ␛[2J‹U+202E›    \\x9b\n"},
	} {
		var said strings.Builder
		if status := exitStatus(test.err, &said); status != test.status || said.String() != test.said {
			t.Errorf("%v: status %d and %q, want %d and %q", test.err, status, said.String(), test.status, test.said)
		}
	}
}

func TestSayOneLine(t *testing.T) {
	var said strings.Builder
	say(&said, "mapped: %s", "/tmp/x\nh2sniff: ready")
	if want := "h2sniff: mapped: /tmp/x␊h2sniff: ready\n"; said.String() != want {
		t.Errorf("%q, want %q", said.String(), want)
	}
}
