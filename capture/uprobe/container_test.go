// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"os"
	"testing"
	"time"

	"h2sniff/capture/container"
)

// noProcess is beyond the pids that the kernel gives, so that /proc knows none.
const noProcess = 1 << 30

func TestContainersOfEndedProcesses(t *testing.T) {
	var c Containers
	want := func(pid uint32, id string) {
		t.Helper()
		if got := c.Of(pid); got != id {
			t.Errorf("container %q, want %q", got, id)
		}
	}
	want(noProcess, "")
	c.Set(noProcess, "a")
	c.Set(noProcess+1, "b")
	want(noProcess, "a")
	c.Set(noProcess, "c")
	want(noProcess, "c")
	c.forget(time.Now().Add(2 * rememberFor))
	want(noProcess, "")
	want(noProcess+1, "")
	if len(c.of) != 0 || len(c.order) != 0 {
		t.Errorf("%v, %v are kept", c.of, c.order)
	}
	own, err := container.Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c.Set(uint32(os.Getpid()), "something else")
	want(uint32(os.Getpid()), own.ID)
}
