// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Processes that have come and gone before the Watcher looks at its notices are
// told of once each, by whatever they would have been chosen.
func TestUnseen(t *testing.T) {
	needRoot(t)
	program := filepath.Join(t.TempDir(), "h2s-unseen")
	b, err := os.ReadFile(command(t, "true"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	library := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	parent := start(t)
	run := func(args ...string) []int {
		cmd := exec.Command(args[0], args[1:]...)
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return []int{cmd.Process.Pid}
	}
	spawned := func(code string) []int { return []int{atoi(t, parent.do("%s; print(pid)", code))} }
	for _, test := range []struct {
		name string
		sel  Selection
		run  func() []int
		want int
		path string // of a library that is to be told
	}{
		{"name", Selection{Comm: "h2s-unseen"}, func() []int { return run(program) }, 1, ""},
		{"another name", Selection{Comm: "h2s-unseen"}, func() []int { return run("/bin/true") }, 0, ""},
		{"program", Selection{Binary: program}, func() []int { return run(program) }, 1, ""},
		{"another program", Selection{Binary: program}, func() []int { return run("/bin/true") }, 0, ""},
		{"child", Selection{PIDs: []int{parent.pid}}, func() []int {
			return spawned(`pid = os.posix_spawn("/bin/true", ["true"], {}); os.waitpid(pid, 0)`)
		}, 1, ""},
		{"child without program", Selection{PIDs: []int{parent.pid}}, func() []int {
			return spawned(`pid = os.fork() or os._exit(0); os.waitpid(pid, 0)`)
		}, 1, ""},
		{"library", Selection{}, func() []int {
			return run(python(t), "-c", "import ctypes; ctypes.CDLL('"+library+"')")
		}, 1, library},
		{"no library", Selection{}, func() []int { return run("/bin/true") }, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			w, err := newWatcher(ctx, test.sel, testOptions)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			var seen []Event
			w.t.emit = func(e Event) { seen = append(seen, e) }
			if err := w.t.scan(); err != nil {
				t.Fatal(err)
			}
			pids := test.run()
			w.round()
			n := 0
			for _, e := range seen {
				u, ok := e.(Unseen)
				if !ok || u.PID != pids[0] {
					continue
				}
				n++
				if test.path == "" && test.sel.Machine() || test.path != "" && (len(u.Libraries) != 1 || u.Libraries[0].Path != test.path) {
					t.Errorf("told with the libraries %+v", u.Libraries)
				}
			}
			if n != test.want {
				t.Errorf("%d was told of %d times, want %d; seen %+v", pids[0], n, test.want, seen)
			}
		})
	}
}
