// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// goneEvery is how often it is looked whether a pipe's reader is still there.
const goneEvery = 200 * time.Millisecond

// whileRead gives a context that ends when nobody reads f any more, which is a
// pipe or socket: a capture may have nothing to write for long, and would find
// out only then. stop ends the watch.
func whileRead(ctx context.Context, f *os.File) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(goneEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// No event is asked for: these are told in any case.
			fds := []unix.PollFd{{Fd: int32(f.Fd())}}
			if n, err := unix.Poll(fds, 0); err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
				cancel()
				return
			}
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}
