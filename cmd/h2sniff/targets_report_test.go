// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"testing"
)

// What goes wrong again and again does not fill the memory, and is counted.
func TestFailuresAreBounded(t *testing.T) {
	x := targets{report: io.Discard}
	for i := range 100_000 {
		x.fail(fmt.Sprintf("process %d cannot be looked at", i))
	}
	lines := x.problems()
	if len(lines) != maxFailures+1 || lines[0] != "process 0 cannot be looked at" || lines[maxFailures] != "and 99800 more problems" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}
