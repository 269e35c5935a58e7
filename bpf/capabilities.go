// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// WithCapabilities calls f in a thread of its own whose effective capabilities
// are at most those of the set (as in struct __user_cap_data_struct, bit by
// number), and gives its error. It is for trying what works without others.
func WithCapabilities(set [2]uint32, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		result <- func() error {
			head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var data [2]unix.CapUserData
			if err := unix.Capget(&head, &data[0]); err != nil {
				return fmt.Errorf("reading the capabilities of a thread: %w", err)
			}
			// Permitted ones stay: another thread may be about to set those of all.
			for i := range data {
				data[i].Effective &= set[i]
			}
			if err := unix.Capset(&head, &data[0]); err != nil {
				return fmt.Errorf("laying down the capabilities of a thread: %w", err)
			}
			return f()
		}()
	}()
	return <-result
}
