// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Start starts a command, with the ids of its SysProcAttr, which is set, and
// without capabilities, which it cannot gain. keepBPF leaves it CAP_BPF, for
// kernels on which nothing can be read without. h2sniff as the command calls
// [KeepNone] before anything else.
func Start(cmd *exec.Cmd, keepBPF bool) error {
	if keepBPF {
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_BPF}
	}
	started := make(chan error)
	go func() {
		// What the thread gives up its children never had. It ends with this
		// goroutine.
		runtime.LockOSThread()
		err := giveUp(keepBPF)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// giveUp makes sure that what this thread executes gets no capability, whoever
// the user is and whatever the file grants.
func giveUp(keepBPF bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	// Ambient capabilities go with the inheritable ones.
	head, data, err := own()
	if err != nil {
		return err
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(head, &data[0]); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if keepBPF && c == unix.CAP_BPF {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EPERM) {
			break // not root: an unprivileged execution gains nothing by the set
		}
		if err != nil && !errors.Is(err, unix.EINVAL) { // not known to this kernel
			return fmt.Errorf("giving up capability %d: %w", c, err)
		}
	}
	return nil
}
