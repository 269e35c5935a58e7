// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strconv"
	"testing"
)

// TestEndsAtOneTime: h2sniff ends amid requests, and its probes are taken away one
// after the other. What was sent ends where what was received does: no more
// requests lack an answer than can be under way.
func TestEndsAtOneTime(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	const underWay = 4
	nginx := startNginx(t, 1)
	nginx.file(t, "file", 16384)
	for range 5 {
		load := exec.Command("h2load", "-D", "60", "-c", "1", "-m", strconv.Itoa(underWay), nginx.url("/file"))
		if err := load.Start(); err != nil {
			t.Fatal(err)
		}
		s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
		s.waitFor("frames", func(rows []row) bool { return len(rows) > 5000 })
		rows := s.stop()
		if err := load.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = load.Wait() // killed
		open := make(map[uint32]bool)
		for _, r := range rows {
			if r.Type == "HEADERS" && r.Dir == "recv" {
				open[r.Stream] = true
			} else if r.Type == "HEADERS" {
				delete(open, r.Stream)
			}
		}
		if len(open) > underWay {
			t.Errorf("%d requests have no answer, %d can be under way", len(open), underWay)
		}
	}
}
