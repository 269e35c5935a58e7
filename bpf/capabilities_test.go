// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// withoutCapabilities calls f in a thread that has no capability. It must be
// called from a goroutine of its own.
func withoutCapabilities(f func() error) error {
	runtime.LockOSThread() // never unlocked: the thread is thrown away
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return f()
}
