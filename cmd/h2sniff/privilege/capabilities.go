// SPDX-License-Identifier: Apache-2.0

// Package privilege takes from h2sniff's processes what they do not need: the
// one that captures keeps a few capabilities, those that decode, show or only
// demonstrate have none, belong to the caller, and are confined.
package privilege

import (
	"errors"
	"fmt"
	"unsafe"

	"h2sniff/bpf"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// Capability is one of capabilities(7) that finding and attaching take.
type Capability struct {
	Name string
	Bit  int
	// Including is another that allows the same; -1: none.
	Including int
	// Required says that nothing is captured without.
	Required bool
	Use      string // what for: "to" and a verb go before
}

// Needed lists what the process that captures keeps, in the order in which
// people are told. CAP_SYS_ADMIN is not among them: see [NeedsAdmin].
func Needed() []Capability {
	return []Capability{
		{"CAP_BPF", unix.CAP_BPF, unix.CAP_SYS_ADMIN, true, "load BPF programs"},
		{"CAP_PERFMON", unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, true, "read memory from them, place probes, watch processes"},
		{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE, -1, true, "see what other users' processes map"},
		{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, false, "read programs and libraries that only their owners may"},
		{"CAP_CHECKPOINT_RESTORE", unix.CAP_CHECKPOINT_RESTORE, unix.CAP_SYS_ADMIN, false, "open libraries that were deleted or replaced while they are mapped"},
	}
}

// set holds capabilities as struct __user_cap_data_struct does, bit by number.
type set [2]uint32

func setOf(bits ...int) (s set) {
	for _, b := range bits {
		s[b/32] |= 1 << (b % 32)
	}
	return s
}

func needed() set {
	var bits []int
	for _, c := range Needed() {
		bits = append(bits, c.Bit)
	}
	return setOf(bits...)
}

// Effective tells whether this thread has a capability, by its number.
func Effective() (func(bit int) bool, error) {
	_, data, err := own()
	if err != nil {
		return nil, err
	}
	return func(bit int) bool { return bit >= 0 && data[bit/32].Effective&(1<<(bit%32)) != 0 }, nil
}

// What kernels demand CAP_SYS_ADMIN for.
const (
	PerfEvents  = "perf events"
	PerfUprobes = "perf uprobes"
)

// NeedsAdmin tells what this kernel demands CAP_SYS_ADMIN of who captures for, ""
// if nothing. Debian's kernels do for every perf event while
// kernel.perf_event_paranoid is 3, their default, and many kernels for uprobes
// that are perf events, which are needed where there are no uprobe.multi links.
// It tries, so only a caller who has the others finds out.
func NeedsAdmin() (what string, err error) {
	err = bpf.WithCapabilities(needed(), openPerfEvent)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return PerfEvents, nil
	case err != nil:
		return "", err
	case !bpf.HaveUprobeMulti():
		return PerfUprobes, nil
	}
	return "", nil
}

// KeepNeeded takes from all threads of the process the capabilities that are not
// needed any more. With executes, what root executes later has its own; else
// nothing that it might execute can have others.
func KeepNeeded(executes bool) error {
	keep := needed()
	what, err := NeedsAdmin()
	if err != nil {
		return err
	}
	if what != "" {
		keep[0] |= setOf(unix.CAP_SYS_ADMIN)[0]
	}
	if !executes {
		if err := bound(keep); err != nil {
			return err
		}
	}
	return keepOnly(keep)
}

// bound takes all other capabilities out of the bounding sets of all threads, as
// far as the caller may: who is not root gains nothing by them.
func bound(keep set) error {
	head, data, err := own()
	if err != nil {
		return err
	}
	// A thread that has tried what works without some, and is about to end, needs
	// them: all threads must come to the same.
	for i := range data {
		data[i].Effective = data[i].Permitted
	}
	if err := setAll(head, data); err != nil {
		return err
	}
	for c := range unix.CAP_LAST_CAP + 1 {
		if keep[c/32]&(1<<(c%32)) != 0 {
			continue
		}
		_, _, errno := psx.Syscall3(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0)
		switch errno {
		case 0, unix.EINVAL: // not known to this kernel
		case unix.EPERM:
			return nil
		default:
			return fmt.Errorf("giving up capability %d: %w", c, errno)
		}
	}
	return nil
}

// KeepNone takes all capabilities from all threads: a file's are not refused by
// no_new_privs where who executes it has them already. CAP_BPF stays where
// [Start] handed it on.
func KeepNone() error {
	keep, err := handedOn()
	if err != nil {
		return err
	}
	return keepOnly(keep)
}

// handedOn is CAP_BPF where [Start] left it.
func handedOn() (set, error) {
	ambient, err := unix.PrctlRetInt(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_IS_SET, unix.CAP_BPF, 0, 0)
	if err != nil {
		return set{}, fmt.Errorf("reading the own capabilities: %w", err)
	}
	if ambient == 1 {
		return setOf(unix.CAP_BPF), nil
	}
	return set{}, nil
}

// keepOnly takes all other capabilities from all threads.
func keepOnly(keep set) error {
	head, data, err := own()
	if err != nil {
		return err
	}
	for i := range data {
		data[i].Permitted &= keep[i]
		data[i].Effective &= keep[i]
	}
	return setAll(head, data)
}

// setAll sets the capabilities of all threads.
func setAll(head *unix.CapUserHeader, data *[2]unix.CapUserData) error {
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(head)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("changing capabilities: %w", errno)
	}
	return nil
}

func openPerfEvent() error {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_DUMMY, Size: unix.PERF_ATTR_SIZE_VER0}
	fd, err := unix.PerfEventOpen(&attr, 0, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("opening a perf event: %w", err)
	}
	return unix.Close(fd)
}

// own are the capabilities of the thread.
func own() (*unix.CapUserHeader, *[2]unix.CapUserData, error) {
	head := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(head, &data[0]); err != nil {
		return nil, nil, fmt.Errorf("reading the own capabilities: %w", err)
	}
	return head, &data, nil
}
