// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lostBytes is what h2sniff's summary says of loss.
var lostBytes = regexp.MustCompile(`(\d+) bytes lost`)

// startQuiet runs h2sniff dump with its lines thrown away. stop ends it and
// gives the octets that its summary says were lost.
func startQuiet(t testing.TB, args ...string) (stop func() uint64) {
	t.Helper()
	cmd := exec.Command(h2sniff, append([]string{"dump"}, args...)...)
	var log lockedBuilder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(timeout)
	for !strings.Contains(log.String(), "h2sniff: ready") {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("not ready: %s", log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() uint64 {
		cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("h2sniff: %v\n%s", err, log.String())
		}
		m := lostBytes.FindStringSubmatch(log.String())
		if m == nil {
			t.Fatalf("no summary: %s", log.String())
		}
		n, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// lockedBuilder is a strings.Builder that a process can write to while a test
// reads it.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
