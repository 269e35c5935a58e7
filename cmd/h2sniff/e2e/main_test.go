// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// h2sniff is the path of the binary under test.
var h2sniff string

func TestMain(m *testing.M) {
	runProgram()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "h2sniff-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// nginx workers and other unprivileged processes of the tests read here.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	h2sniff = filepath.Join(dir, "h2sniff")
	build := exec.Command("go", "build", "-o", h2sniff, "h2sniff/cmd/h2sniff")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building h2sniff:", err)
		return 1
	}
	return m.Run()
}

// need skips a test that lacks something, and fails it in CI.
func need(t testing.TB, what string, ok bool) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// needPrograms wants programs on the PATH (or in /usr/sbin) and root.
func needPrograms(t testing.TB, names ...string) {
	t.Helper()
	need(t, "root", os.Getuid() == 0)
	for _, name := range names {
		_, err := exec.LookPath(name)
		if err != nil {
			_, err = os.Stat("/usr/sbin/" + name)
		}
		need(t, name+" (see TEST_PACKAGES in the Makefile)", err == nil)
	}
}
