// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Queue is what reading a capture needs of the loaded programs: the ring buffer
// and the maps beside it. It can be handed to another process, which needs no
// privilege for it from Linux 5.19 on (CAP_BPF before, where
// kernel.unprivileged_bpf_disabled is set).
type Queue struct {
	Events, Conns, Ignored, Counters *ebpf.Map
	// Processes and LostCloses hold ends that could not be told: of a process, by
	// its tgid, when it ended (0: it has not), of a connection, by its LostKey, a
	// LostClose.
	Processes, LostCloses *ebpf.Map
}

// Queue gives the maps of the objects, to which they go on belonging.
func (o *Objects) Queue() *Queue {
	return &Queue{Events: o.Events, Conns: o.Conns, Ignored: o.Ignored, Counters: o.Counters,
		Processes: o.Processes, LostCloses: o.LostCloses}
}

// maps lists them in the order in which their descriptors are handed over.
func (q *Queue) maps() []**ebpf.Map {
	return []**ebpf.Map{&q.Events, &q.Conns, &q.Ignored, &q.Counters, &q.Processes, &q.LostCloses}
}

// FDs are the descriptors to hand over. They stay those of the maps.
func (q *Queue) FDs() []int {
	var fds []int
	for _, m := range q.maps() {
		fds = append(fds, (*m).FD())
	}
	return fds
}

// OpenQueue makes a Queue of descriptors that FDs gave elsewhere. They belong
// to it, or are closed if it fails.
func OpenQueue(fds []int) (*Queue, error) {
	var q Queue
	all := q.maps()
	if len(fds) != len(all) {
		return nil, fmt.Errorf("%d map descriptors were handed over, not %d", len(fds), len(all))
	}
	var err error
	for i, to := range all {
		m, e := ebpf.NewMapFromFD(fds[i])
		if e != nil {
			err = errors.Join(err, fmt.Errorf("taking over map %d: %w", i, e))
			continue
		}
		*to = m
	}
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return &q, nil
}

// Close closes the descriptors. It is for a Queue that OpenQueue made.
func (q *Queue) Close() error {
	var err error
	for _, m := range q.maps() {
		err = errors.Join(err, (*m).Close())
	}
	return err
}

// Count sums a counter over the CPUs.
func (q *Queue) Count(c Counter) (uint64, error) {
	var perCPU []uint64
	if err := q.Counters.Lookup(uint32(c), &perCPU); err != nil {
		return 0, fmt.Errorf("reading BPF counter %d: %w", c, err)
	}
	var sum uint64
	for _, n := range perCPU {
		sum += n
	}
	return sum, nil
}

// QueueNeedsPrivilege tells whether this kernel lets nobody without CAP_BPF use
// a Queue. It tries with a map of its own; where the caller itself may not make
// one, it says false: Load tells why.
//
// It raises RLIMIT_MEMLOCK where the kernel counts maps against it (before Linux
// 5.11), which Load can do no more once CAP_SYS_RESOURCE is given up.
func QueueNeedsPrivilege() (bool, error) {
	_ = rlimit.RemoveMemlock() // Load tells
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return false, nil
	}
	defer m.Close()
	err = WithCapabilities([2]uint32{}, func() error { return useCopy(m) })
	if errors.Is(err, unix.EPERM) {
		return true, nil
	}
	return false, err
}

// useCopy opens a map by a copy of its descriptor, and reads from it.
func useCopy(m *ebpf.Map) error {
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copying a descriptor: %w", err)
	}
	again, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		return err
	}
	defer again.Close()
	var value uint32
	return again.Lookup(uint32(0), &value)
}
