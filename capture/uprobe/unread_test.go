// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// unread has a library's function say, three times, that it has moved octets, and
// how many at an address where nothing is.
const unread = `
#include <stdio.h>
#include <stddef.h>
#define LIBRARY __attribute__((noipa))
LIBRARY int SSL_write(void *s, const void *b, int n) { return n; }
LIBRARY int SSL_read(void *s, void *b, int n) { return n; }
LIBRARY int SSL_write_ex(void *s, const void *b, size_t n, size_t *moved) { return 1; }
int main(void)
{
	static char handle, buf[64];
	getchar();
	for (int i = 0; i < 3; i++)
		SSL_write_ex(&handle, buf, sizeof(buf), (size_t *)8);
	return SSL_write(&handle, buf, 5) + SSL_read(&handle, buf, 5) == 10 ? 0 : 1;
}
`

// TestUnreadResult: a call of which it is not known what it moved counts as not
// followed, and those behind it are captured.
func TestUnreadResult(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	_, err := exec.LookPath("gcc")
	need(t, "gcc", err == nil)
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "unread.c"), filepath.Join(dir, "unread")
	if err := os.WriteFile(source, []byte(unread), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-O2", "-o", binary, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	for _, mode := range []bpf.Mode{{Multi: true, Sleepable: true}, {}} {
		cmd := exec.Command(binary)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		events, stats := captureWhile(t, mode, libraries(t, cmd.Process.Pid), func() {
			if _, err := io.WriteString(in, "\n"); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
		if stats.Missed != 3 {
			t.Errorf("%+v: %d calls not followed, want 3", mode, stats.Missed)
		}
		var moved [2]uint64
		for _, ev := range events {
			if ev.Kind == capture.Data {
				moved[ev.Direction] += ev.Length
			}
		}
		if moved != [2]uint64{5, 5} {
			t.Errorf("%+v: %d octets sent and received", mode, moved)
		}
	}
}
