// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestRunLeavesNoGoroutine: what reads files has ended its goroutines when run
// returns, also where it ends early.
func TestRunLeavesNoGoroutine(t *testing.T) {
	name := record(t, func(f *http2.Framer) {
		for range 1000 {
			f.WritePing(false, [8]byte{})
		}
	})
	dir := t.TempDir()
	for _, args := range [][]string{
		{"dump", "-r", name},
		{"dump", "-r", name, "--spill", dir, "--history", "16MiB"},
		{"dump", "-r", name, "-n", "3"},
		{"dump", "-r", name, "-w", filepath.Join(dir, "copy.pcapng")},
		{"check", name},
		{"export", "-r", name, "-w", filepath.Join(dir, "x.har")},
	} {
		t.Run(strings.Join(args[:1], " "), func(t *testing.T) {
			before := runtime.NumGoroutine()
			if err := run(context.Background(), args, nil, io.Discard, io.Discard); err != nil {
				t.Fatalf("%v: %v", args, err)
			}
			// One that has said that it is done may still have to return.
			for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					var stacks strings.Builder
					pprof.Lookup("goroutine").WriteTo(&stacks, 1)
					t.Fatalf("%v: %d goroutines, %d before\n%s", args, runtime.NumGoroutine(), before, stacks.String())
				}
			}
		})
	}
}
