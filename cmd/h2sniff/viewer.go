// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketFlag is the hidden flag by which the viewer finds its socket.
const socketFlag = "capture-socket"

// viewer is the process that reads, decodes and shows.
type viewer struct {
	*handover
	exited chan struct{} // closed when it has ended, and err is set
	err    error
}

// startViewer starts h2sniff once more, with the same arguments, as the caller
// and without capabilities. keepBPF leaves it CAP_BPF, for kernels on which
// nothing can be read without.
func startViewer(args []string, std stdio, keepBPF bool) (*viewer, error) {
	ours, theirs, err := newHandover()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe", append([]string{"--" + socketFlag + "=3"}, args...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if cmd.SysProcAttr.Credential, err = callerCredential(); err != nil {
		return nil, errors.Join(err, ours.close())
	}
	if keepBPF {
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_BPF}
	}
	v := &viewer{handover: ours, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(v.exited)
		// What the thread gives up its children never had. It ends with this
		// goroutine.
		runtime.LockOSThread()
		err := giveUp(keepBPF)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			v.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("starting the process that shows: %w", err), ours.close())
	}
	return v, nil
}

// giveUp makes sure that what this thread executes gets no capability, whoever
// the user is and whatever the file grants.
func giveUp(keepBPF bool) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	// Ambient capabilities go with the inheritable ones.
	head, data, err := ownCapabilities()
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

// callerCredential is the user who called sudo, doas or pkexec; nil where
// h2sniff already runs as its caller.
func callerCredential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"SUDO_UID", "DOAS_UID", "PKEXEC_UID"} {
		uid, err := strconv.ParseUint(os.Getenv(name), 10, 31)
		if err != nil || uid == 0 {
			continue
		}
		c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		u, err := user.LookupId(strconv.FormatUint(uid, 10))
		if err != nil {
			if gid, err := strconv.ParseUint(os.Getenv("SUDO_GID"), 10, 31); err == nil {
				c.Gid = uint32(gid)
			}
			return c, nil // an id without an account
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("finding the group of user %s: %w", u.Username, err)
		}
		c.Gid = uint32(gid)
		ids, err := u.GroupIds()
		if err != nil {
			return nil, fmt.Errorf("finding the groups of user %s: %w", u.Username, err)
		}
		for _, id := range ids {
			if gid, err := strconv.ParseUint(id, 10, 31); err == nil {
				c.Groups = append(c.Groups, uint32(gid))
			}
		}
		return c, nil
	}
	return nil, nil
}
