// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"

	"h2sniff/bpf"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Cleartext is the library of connections without one: HTTP/2 on a bare TCP
// socket, seen by the calls on it.
const Cleartext = "TCP (cleartext)"

// FollowEveryone captures cleartext HTTP/2 of all processes. Every send and
// receive of TCP gets slower by it, before Linux 6.16 every system call.
func (a *Attacher) FollowEveryone() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attachSyscalls(bpf.Followed{Everyone: true})
}

// commLen is the length of a thread's name (TASK_COMM_LEN less the NUL).
const commLen = 15

// FollowNamed captures cleartext HTTP/2 of processes from the moment when their
// leader gets a name, cut at 15 octets, and of children that they fork from then on. It is called
// before Follow, or not at all. Where each system call of the machine would pay,
// before Linux 6.16, that begins with the first process that is given to Follow.
func (a *Attacher) FollowNamed(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.followed.Name = name[:min(len(name), commLen)]
	if !a.objs.TCP {
		return a.loadSyscalls(a.followed)
	}
	return a.attachSyscalls(a.followed)
}

// FollowsNamed tells whether a process that got the name of FollowNamed at some
// time, in ns of CLOCK_MONOTONIC, has been followed since.
func (a *Attacher) FollowsNamed(name string, at int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return name != "" && name == a.followed.Name && a.following != 0 && a.following <= at
}

// Follow captures cleartext HTTP/2 of a process and of children that it forks
// from now on; how says for how long. Before Linux 6.16 a system call of any other
// process costs some 40 ns more meanwhile. An error that wraps unix.ESRCH says that
// the process has ended.
func (a *Attacher) Follow(pid int, how bpf.Follow) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.attachSyscalls(a.followed); err != nil {
		return err
	}
	return a.withProcess(pid, func(fd uint32) error {
		return a.objs.Syscalls.Followed.Put(fd, how)
	})
}

// Unfollow ends that for a process that goes on.
func (a *Attacher) Unfollow(pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.objs.Syscalls == nil {
		return nil
	}
	err := a.withProcess(pid, func(fd uint32) error {
		return a.objs.Syscalls.Followed.Delete(fd)
	})
	if errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func (a *Attacher) withProcess(pid int, do func(pidfd uint32) error) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("opening process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if err := do(uint32(fd)); err != nil {
		return fmt.Errorf("following process %d: %w", pid, err)
	}
	return nil
}

// attachSyscalls attaches the programs at first use. The caller holds mu.
func (a *Attacher) attachSyscalls(who bpf.Followed) error {
	if a.following != 0 {
		return nil
	}
	if err := a.loadSyscalls(who); err != nil {
		return err
	}
	for _, program := range a.objs.Syscalls.Programs {
		l, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attaching to system calls: %w", err)
		}
		a.base = append(a.base, l)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("clock_gettime: %w", err)
	}
	a.following = now.Nano()
	return nil
}

func (a *Attacher) loadSyscalls(who bpf.Followed) error {
	return a.objs.LoadSyscalls(who, func() uint32 { return a.numberOf(Cleartext) })
}
