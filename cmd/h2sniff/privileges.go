// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"unsafe"

	"h2sniff/bpf"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// needed are the capabilities that finding and attaching take. The last two are
// for processes of other users: reading their libraries, and the files that
// they map by /proc/PID/map_files.
var needed = capabilities(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_CHECKPOINT_RESTORE)

func capabilities(list ...uint) (set [2]uint32) {
	for _, c := range list {
		set[c/32] |= 1 << (c % 32)
	}
	return set
}

// dropPrivileges takes from all threads of the process the capabilities that
// are not needed any more. What root executes later has its own.
//
// CAP_SYS_ADMIN stays where perf_event_open(2) demands it: Debian's kernels do
// for every event while kernel.perf_event_paranoid is 3, their default, and many
// kernels for uprobes, which are needed where there are no uprobe.multi links.
func dropPrivileges() error {
	keep := needed
	admin, err := perfNeedsAdmin()
	if err != nil {
		return err
	}
	if admin || !bpf.HaveUprobeMulti() {
		keep[0] |= capabilities(unix.CAP_SYS_ADMIN)[0]
	}
	return keepOnly(keep)
}

// dropAllPrivileges is for the viewer: a file's capabilities are not refused by
// no_new_privs where who executes it has them already. It keeps CAP_BPF where
// that was handed on as an ambient capability.
func dropAllPrivileges() error {
	var keep [2]uint32
	ambient, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_BPF, 0, 0)
	if err != nil {
		return fmt.Errorf("reading the own capabilities: %w", err)
	}
	if ambient == 1 {
		keep = capabilities(unix.CAP_BPF)
	}
	return keepOnly(keep)
}

// keepOnly takes all other capabilities from all threads.
func keepOnly(keep [2]uint32) error {
	head, data, err := ownCapabilities()
	if err != nil {
		return err
	}
	for i := range data {
		data[i].Permitted &= keep[i]
		data[i].Effective &= keep[i]
	}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(head)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("giving up capabilities: %w", errno)
	}
	return nil
}

// perfNeedsAdmin tries whether the needed capabilities open perf events.
func perfNeedsAdmin() (bool, error) {
	err := bpf.WithCapabilities(needed, openPerfEvent)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return true, nil
	}
	return false, err
}

func openPerfEvent() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_DUMMY, Size: unix.PERF_ATTR_SIZE_VER0}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("opening a perf event: %w", err)
	}
	return unix.Close(fd)
}

// ownCapabilities are those of the thread.
func ownCapabilities() (*unix.CapUserHeader, *[2]unix.CapUserData, error) {
	head := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(head, &data[0]); err != nil {
		return nil, nil, fmt.Errorf("reading the own capabilities: %w", err)
	}
	return head, &data, nil
}
