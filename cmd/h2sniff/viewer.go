// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"h2sniff/cmd/h2sniff/privilege"
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
	if err := ours.closeEarly(); err != nil {
		return nil, errors.Join(err, ours.close())
	}
	cmd := exec.Command("/proc/self/exe", append([]string{"--" + socketFlag + "=3"}, args...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = std.in, std.out, std.stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if cmd.SysProcAttr.Credential, err = privilege.Caller(); err != nil {
		return nil, errors.Join(err, ours.close())
	}
	if err := privilege.Start(cmd, keepBPF); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the process that shows: %w", err), ours.close())
	}
	v := &viewer{handover: ours, exited: make(chan struct{})}
	go func() {
		defer close(v.exited)
		v.err = cmd.Wait()
	}()
	return v, nil
}
