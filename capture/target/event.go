// SPDX-License-Identifier: Apache-2.0

package target

import "fmt"

// Event is one of [Chosen], [Mapped], [Executed], [Renamed], [Exited],
// [Unseen], [Problem], [Overrun] and [Ready].
//
// Of one process the events come in this order: Chosen, any number of Mapped,
// Executed and Renamed, Exited. Slices in events are shared and not to be
// written to.
type Event interface{ event() }

// Chosen reports a process that is to be captured, with the libraries that it
// maps now. Where Selection has PIDs or Comm and no Binary, these may be none;
// otherwise processes are reported when they map the first.
type Chosen struct {
	Process Process
	// Forked is set for a child of a process reported before. It has the
	// libraries of its parent, reported without another look.
	Forked bool
	// SharesMemory is set for a forked child that runs in its parent's
	// memory (vfork, posix_spawn), most likely until it executes something:
	// probes on the parent's memory see it.
	SharesMemory bool
	// Time is when the process was forked, got its name or mapped the first
	// library, in ns of CLOCK_MONOTONIC; 0 where a scan found it.
	Time int64
}

// Mapped reports a library that a chosen process has mapped since.
type Mapped struct {
	PID       int
	StartTime uint64
	Library   Library
	Time      int64 // when it was mapped, as Chosen.Time
}

// Executed reports that a chosen process has executed a program: what it
// mapped is gone, what it maps from now on is reported by Mapped. Libraries
// are those known of already, in general none. A uprobe opened for the pid
// applies to the new program too, where that maps the same file.
type Executed struct {
	Process Process
	Time    int64 // when it did so, as Chosen.Time
}

// Renamed reports a new name of a chosen process's leader.
type Renamed struct {
	PID       int
	StartTime uint64
	Comm      string
}

// Exited reports the end of a chosen process: its last thread has gone.
type Exited struct {
	PID       int
	StartTime uint64
	Time      int64 // when that ended, as Chosen.Time; 0 where it is not known
}

// Unseen reports a process that had ended before it could be looked at, and was
// of those that are chosen as far as the kernel's notices tell: a name, a parent,
// a mapped file. Nothing else is reported of it.
type Unseen struct {
	PID  int
	Comm string // "" where it is not known
	// Libraries are what the file that it mapped holds. They are set only in a
	// choice without descent; the process counts where these have no probes yet.
	Libraries []Library
	// Time is when it mapped that file, as Chosen.Time.
	Time int64
}

// Problem says why a file or a process cannot be captured. Each is reported
// once: that of a file not for every process that maps it.
type Problem struct {
	PID    int
	Comm   string
	Path   string // the library as the process maps it; "" if it is about the process
	Family Family // 0 where unknown
	Err    error  // see the errors of this package; else of reading /proc or the file
}

func (p Problem) Error() string {
	if p.Path == "" {
		return fmt.Sprintf("process %d (%s): %v", p.PID, p.Comm, p.Err)
	}
	return fmt.Sprintf("%s, mapped by %d (%s): %v", p.Path, p.PID, p.Comm, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// Overrun says that the kernel dropped notices because more came than were
// read. A scan of /proc has made up for them, so that some processes were
// reported late and some short-lived ones never.
type Overrun struct{ Lost uint64 }

// Ready follows the events of everything that existed at the start.
type Ready struct{}

func (Chosen) event()   {}
func (Mapped) event()   {}
func (Executed) event() {}
func (Renamed) event()  {}
func (Exited) event()   {}
func (Unseen) event()   {}
func (Problem) event()  {}
func (Overrun) event()  {}
func (Ready) event()    {}
