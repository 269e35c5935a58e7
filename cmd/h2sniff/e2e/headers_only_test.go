// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// headersOnly makes every capture of these tests one with --headers-only: the
// frames must be the same, but for the content of DATA.
var headersOnly = os.Getenv("HEADERS_ONLY") != ""

// chooseMode adds --headers-only to a command that captures.
func chooseMode(cmd *exec.Cmd) {
	says := func(arg string) bool { return arg == "-r" || strings.HasPrefix(arg, "--headers-only") }
	if headersOnly && cmd.Args[0] == h2sniff && (cmd.Args[1] == "dump" || cmd.Args[1] == "record") && !slices.ContainsFunc(cmd.Args, says) {
		cmd.Args = slices.Insert(cmd.Args, 2, "--headers-only")
	}
}

// wantBody wants the content of several DATA frames, unless it is left out.
func wantBody(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if !headersOnly && !bytes.Equal(got, want) {
		t.Errorf("%s: %d octets of DATA are not the %d octets of the content", what, len(got), len(want))
	}
}

// wantContent wants the content of DATA, as far as it is captured.
func wantContent(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if headersOnly && bytes.HasPrefix(want, got) {
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the content differs, %d octets of %d", what, len(got), len(want))
	}
}
