// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// What can be wrong with a process or a file. Test with errors.Is.
var (
	// ErrNoProcess: a pid of Selection.PIDs is not that of a process.
	ErrNoProcess = errors.New("no such process")
	// ErrKernelThread: a pid of Selection.PIDs is that of one, which runs no program.
	ErrKernelThread = errors.New("it is a kernel thread")
	// ErrSelf: a pid of Selection.PIDs is the caller's own.
	ErrSelf = errors.New("it cannot capture itself")
	// ErrNoFunctions: the file defines no function to read or write with.
	ErrNoFunctions = errors.New("it defines no TLS read and write functions")
	// ErrNotELF: the file is no ELF object.
	ErrNotELF = errors.New("not an ELF file")
	// ErrMachine: the file is for another processor or word size.
	ErrMachine = errors.New("made for another processor")
	// ErrMalformed: the ELF file contradicts itself or is cut.
	ErrMalformed = errors.New("malformed ELF file")
	// ErrTooLarge: the symbol tables of an executable are too large to be read
	// in passing. Selection.Binary reads them.
	ErrTooLarge = errors.New("its symbol tables are too large to be searched in passing: choose it with -b")
	// ErrGo: the code of a Go program is not of the form that is known.
	ErrGo = errors.New("its crypto/tls functions are not understood: Go 1.17 or newer is supported (on arm64 1.18)")
	// ErrReplaced: the path leads to another file, or content, than was read.
	ErrReplaced = errors.New("the file has been replaced or changed")
	// ErrMoved: no path leads to the inode that the process maps.
	ErrMoved = errors.New("the mapped file cannot be reached")
)

// HiddenError says that an executable holds a TLS library itself, whose
// functions cannot be found in it.
type HiddenError struct{ Library string }

func (e *HiddenError) Error() string {
	return fmt.Sprintf("it holds %s without symbols: its functions cannot be found", e.Library)
}

// ProcessError names the process of Selection.PIDs that cannot be chosen.
// Err is ErrNoProcess, ErrKernelThread or ErrSelf.
type ProcessError struct {
	PID    int
	Leader int // where PID is that of a thread, the process it belongs to
	Err    error
}

func (e *ProcessError) Unwrap() error { return e.Err }

func (e *ProcessError) Error() string {
	switch {
	case e.Leader != 0:
		return fmt.Sprintf("%d is a thread, not a process: choose its process %d", e.PID, e.Leader)
	case errors.Is(e.Err, ErrNoProcess):
		return fmt.Sprintf("there is no process %d", e.PID)
	case errors.Is(e.Err, ErrKernelThread):
		return fmt.Sprintf("%d is a kernel thread: it runs no program", e.PID)
	}
	return fmt.Sprintf("process %d: %v", e.PID, e.Err)
}

// BinaryError says why the file of Selection.Binary cannot be used: the error
// of opening it, ErrNotELF, ErrMachine, ErrMalformed, or ErrNoFunctions or a
// *HiddenError for a file that has neither the functions nor loads libraries.
type BinaryError struct {
	Path string
	Err  error
}

func (e *BinaryError) Unwrap() error { return e.Err }

func (e *BinaryError) Error() string {
	switch {
	case errors.Is(e.Err, ErrNoFunctions):
		return fmt.Sprintf("%s: %v and, being statically linked, loads no library that does", e.Path, ErrNoFunctions)
	case errors.Is(e.Err, fs.ErrNotExist):
		return fmt.Sprintf("%s: no such file", e.Path)
	case errors.Is(e.Err, ErrNotELF):
		return fmt.Sprintf("%s: not an ELF executable (of a script, give the interpreter)", e.Path)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

// ProcError says that /proc cannot be used.
type ProcError struct{ Err error }

func (e *ProcError) Unwrap() error { return e.Err }

func (e *ProcError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("cannot read /proc: %v", e.Err)
	}
	return "/proc shows another pid namespace than this process is in: mount it anew (unshare --mount-proc)"
}

// WatchError says that the kernel refused to report new processes and
// mappings.
type WatchError struct{ Err error }

func (e *WatchError) Unwrap() error { return e.Err }

func (e *WatchError) Error() string {
	if errors.Is(e.Err, fs.ErrPermission) {
		return fmt.Sprintf("cannot watch for new processes (perf_event_open: %v): run as root or with CAP_PERFMON", e.Err)
	}
	return fmt.Sprintf("cannot watch for new processes (perf_event_open: %v)", e.Err)
}

// gone reports whether err says that the process has ended.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
