// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// keepSecret keeps what the process holds out of core dumps, and from other
// processes of the same user.
func keepSecret() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	return nil
}

// writes lists the folders in which the options let the viewer make files.
func (o *options) writes() []string {
	var dirs []string
	if o.write != "" && o.write != "-" {
		dirs = append(dirs, filepath.Dir(o.write))
	}
	return dirs
}

// confine takes from the viewer, for good, what decoding hostile octets has no
// need of: all files but those of the system and the folders named, and the
// connecting and binding of TCP sockets (not of UDP and MPTCP). Kernels without
// landlock (before Linux 5.13) take nothing, those before 6.7 no sockets.
func confine(writable []string) error {
	err := landlock.V5.BestEffort().Restrict(
		landlock.RODirs("/usr", "/bin", "/lib", "/lib64", "/etc", "/proc", "/sys/devices/system/cpu").IgnoreIfMissing(),
		landlock.RWFiles(os.DevNull, "/dev/tty").WithIoctlDev().IgnoreIfMissing(),
		landlock.RWDirs(writable...).IgnoreIfMissing(),
	)
	if err != nil {
		return fmt.Errorf("confining the process that shows: %w", err)
	}
	return nil
}
