// SPDX-License-Identifier: Apache-2.0

package target

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// latencyLimit is far above what is measured, a median below 1 ms, since the machine
// that runs the tests may be busy, and below what it takes where no notice comes.
const latencyLimit = tickEvery / 2

// report logs a distribution, which it sorts.
func report(t *testing.T, what string, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	n := len(took)
	t.Logf("%s: median %v, 90th percentile %v, maximum %v of %d", what, took[n/2], took[n*9/10], took[n-1], n)
	if took[n/2] > latencyLimit {
		t.Errorf("%s: median %v, want at most %v", what, took[n/2], latencyLimit)
	}
}

func TestLatencyOfLoad(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	var took []time.Duration
	for i := range 50 {
		path := privateCopy(t, "libssl.so.3", dir, "libssl-"+itoa(i)+".so")
		done := make(chan struct{})
		go func() { defer close(done); s.load(path) }()
		m := next[Mapped](x)
		took = append(took, time.Duration(now()-m.Time))
		<-done
	}
	report(t, "mapped to received", took)
}

func TestLatencyOfExec(t *testing.T) {
	needRoot(t)
	bin := filepath.Join(t.TempDir(), "h2s-curl")
	b, err := os.ReadFile(command(t, "curl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	url := "https://127.0.0.1:" + silentPort(t)
	x := begin(t, Selection{Comm: "h2s-curl"})
	var chosen, mapped []time.Duration
	for range 50 {
		cmd := exec.Command(bin, "-s", url)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c := next[Chosen](x)
		chosen = append(chosen, time.Duration(now()-c.Time))
		have := len(c.Process.Libraries)
		for ; have < 2; have++ {
			m := next[Mapped](x)
			mapped = append(mapped, time.Duration(now()-m.Time))
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		next[Exited](x)
	}
	report(t, "executed to chosen", chosen)
	report(t, "mapped to received", mapped)
}
