// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// spawned is a command held at its first instruction.
type spawned struct {
	pid    int
	letGo  chan struct{}
	once   sync.Once
	result chan error // commandExit, or why it could not be waited for
}

// spawn starts a command and stops it at the entry point of its program: the
// dynamic loader has mapped the libraries, and nothing of the program has run.
// release lets it go on.
//
// The stop is a breakpoint at AT_ENTRY, set and taken away through ptrace(2);
// from release on nobody traces the command.
func spawn(args []string, in io.Reader, out, stderr io.Writer) (*spawned, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	s := &spawned{letGo: make(chan struct{}), result: make(chan error, 1)}
	started := make(chan error)
	go func() {
		// ptrace requests count only from the thread that traces.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := startStopped(cmd); err != nil {
			started <- err
			return
		}
		s.pid = cmd.Process.Pid
		started <- nil
		<-s.letGo
		if err := unix.PtraceDetach(s.pid); err != nil && !errors.Is(err, unix.ESRCH) {
			cmd.Process.Kill()
			s.result <- fmt.Errorf("letting %s go: %w", args[0], err)
			return
		}
		s.result <- exitOf(cmd.Wait())
	}()
	if err := <-started; err != nil {
		// What exec.Cmd says names the command too, and how Go began it.
		var path *fs.PathError
		var unknown *exec.Error
		switch {
		case errors.As(err, &path) && path.Op == "fork/exec":
			err = path.Err
		case errors.As(err, &unknown):
			err = unknown.Err
		}
		return nil, fmt.Errorf("starting %s: %w", args[0], err)
	}
	return s, nil
}

// release lets the command run, once; its end then comes on result.
func (s *spawned) release() { s.once.Do(func() { close(s.letGo) }) }

func startStopped(cmd *exec.Cmd) (err error) {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	pid := cmd.Process.Pid
	if err := waitStop(pid); err != nil { // at the exec
		return err
	}
	entry, err := entryPoint(pid)
	if err != nil {
		return err
	}
	saved := make([]byte, len(breakpoint))
	if _, err := unix.PtracePeekText(pid, entry, saved); err != nil {
		return fmt.Errorf("reading its entry point: %w", err)
	}
	if _, err := unix.PtracePokeText(pid, entry, breakpoint); err != nil {
		return fmt.Errorf("placing a breakpoint: %w", err)
	}
	if err := unix.PtraceCont(pid, 0); err != nil {
		return fmt.Errorf("running to its entry point: %w", err)
	}
	if err := waitStop(pid); err != nil {
		return fmt.Errorf("running to its entry point: %w", err)
	}
	if _, err := unix.PtracePokeText(pid, entry, saved); err != nil {
		return fmt.Errorf("removing a breakpoint: %w", err)
	}
	return rewind(pid, entry)
}

// waitStop waits until the traced process stops with SIGTRAP; other signals
// are passed on.
func waitStop(pid int) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case status.Exited():
			return fmt.Errorf("it exited with status %d before its first instruction", status.ExitStatus())
		case status.Signaled():
			return fmt.Errorf("%v before its first instruction", status.Signal())
		case status.StopSignal() == unix.SIGTRAP:
			return nil
		}
		if err := unix.PtraceCont(pid, int(status.StopSignal())); err != nil {
			return err
		}
	}
}

// entryPoint reads AT_ENTRY of the auxiliary vector: where the program (not
// its dynamic loader) begins.
func entryPoint(pid int) (uintptr, error) {
	const atEntry = 9 // linux/auxvec.h
	exe, err := elf.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, err
	}
	class := exe.Class
	exe.Close()
	if class != elf.ELFCLASS64 {
		return 0, errors.New("a 32-bit program cannot be traced")
	}
	auxv, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		return 0, err
	}
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if binary.NativeEndian.Uint64(auxv) == atEntry {
			return uintptr(binary.NativeEndian.Uint64(auxv[8:])), nil
		}
	}
	return 0, errors.New("it has no AT_ENTRY")
}

func exitOf(err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return commandExit(128 + int(status.Signal()))
		}
		return commandExit(exit.ExitCode())
	}
	return err
}
