// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyFile makes a private copy of a program or library: an inode that nobody
// but the test uses, so that it can be probed wherever it is mapped.
func copyFile(t testing.TB, to, from string) string {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	return to
}

// installedLibrary is the file of a library that programs load by that name.
func installedLibrary(t testing.TB, name string) string {
	t.Helper()
	needPrograms(t, "gcc")
	path := strings.TrimSpace(run(t, "gcc", "-print-file-name="+name))
	need(t, name, filepath.IsAbs(path))
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// privateLibrary copies a library into a directory of its own; programs that
// are started with it in LD_LIBRARY_PATH load the copy.
func privateLibrary(t testing.TB, name string) string {
	t.Helper()
	return copyFile(t, filepath.Join(sharedDir(t), name), installedLibrary(t, name))
}
