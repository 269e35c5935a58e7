// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// KeepSecret keeps what the process holds out of core dumps, and from other
// processes of the same user.
func KeepSecret() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("turning core dumps off: %w", err)
	}
	return nil
}

// Versions of landlock's interface, landlock(7).
const (
	LandlockFiles = 1 // from Linux 5.13 on
	LandlockTCP   = 4 // from 6.7 on
)

// LandlockVersion is that of the kernel, 0 where landlock is not in it or not
// switched on.
func LandlockVersion() int {
	version, err := syscall.LandlockGetABIVersion()
	if err != nil {
		return 0
	}
	return version
}

// Confine takes from the process, for good, what decoding hostile octets has no
// need of: all files but those of the system and the folders named, and the
// connecting and binding of TCP sockets (not of UDP and MPTCP). Kernels whose
// LandlockVersion is below LandlockFiles take nothing, those below LandlockTCP
// no sockets.
func Confine(writable []string) error {
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
