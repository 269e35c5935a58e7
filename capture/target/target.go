// SPDX-License-Identifier: Apache-2.0

// Package target finds what there is to probe: processes, the TLS libraries
// that they map, and the functions in those; and it watches for new ones.
//
// [Watch] reports everything that exists, then [Ready], then changes as they
// happen. [Scan] does the first part once. [Inspect] and [Installed] look at
// files without asking which process uses them.
//
// Pids are those of the caller's own pid namespace, which is also what /proc
// must show. Processes that end while they are looked at are normal: those that
// would have been chosen are counted by [Unseen]. The package only reads: it never stops, signals or changes another
// process.
package target

import (
	"cmp"
	"os"
	"slices"
	"strings"
)

// Family is the interface that a library's functions follow. BoringSSL and
// LibreSSL are of OpenSSL's.
type Family uint8

// Each has an entry in rules.
const (
	OpenSSL Family = iota + 1
	GnuTLS
	WolfSSL
	MbedTLS
	Go // crypto/tls
	NSS
)

// Families lists all, in the order in which they are shown.
func Families() []Family {
	all := make([]Family, len(rules))
	for i := range rules {
		all[i] = rules[i].family
	}
	return all
}

func (f Family) String() string {
	for i := range rules {
		if rules[i].family == f {
			return rules[i].name
		}
	}
	return "unknown"
}

// Option is the family's name on a command line: that of String in lower case.
func (f Family) Option() string { return strings.ToLower(f.String()) }

// Library is one file that holds functions of one family. Key identifies it,
// whatever the path.
type Library struct {
	// Path is the file's name as the process maps it, for display. The file
	// may have been deleted or lie in another mount namespace.
	Path string
	// Open is a path by which h2sniff can open the same inode now: Path
	// itself, or one below /proc/PID/root, or /proc/PID/map_files. Those
	// last as long as that process and its mapping.
	Open       string
	Dev, Inode uint64 // as stat(2) of Open gives them
	Family     Family
	Functions  []Function // those present, in the order of Options.Wanted; not empty
	Deleted    bool       // unlinked, as after a package upgrade
	Executable bool       // it is the executable of the process that maps it
	// layer is the device of the first overlay by which the file was seen.
	layer uint64
	// content is what the file had when it was read.
	content content
}

// Key identifies a Library: two with equal keys are one inode to the kernel, so
// that a probe on one is a probe on the other. Dev is not always that of the
// Library: the containers of one image map a library through a file system
// each, which all lead to the one file of the image.
type Key struct {
	Dev, Inode uint64
	Family     Family
}

// Has reports whether the file holds a function of that name.
func (l *Library) Has(function string) bool {
	return slices.ContainsFunc(l.Functions, func(f Function) bool { return f.Name == function })
}

// Key returns what identifies l.
func (l *Library) Key() Key { return Key{cmp.Or(l.layer, l.Dev), l.Inode, l.Family} }

// Function is a function in a Library. A name occurs more than once where the
// file defines several versions of a symbol.
type Function struct {
	Name   string
	Offset uint64 // in the file, octets, as a uprobe takes it; not an address
	Size   uint64 // of its code, octets; 0 where the symbol does not say
	// Entry, where not 0, is an instruction behind the one at Offset where a
	// probe sees the same and costs less.
	Entry uint64
	// Inner can be probed in place of the function, and of all others of the
	// library that have the same one.
	Inner Inner
	// Go is set for functions of that family.
	Go *GoFunction
}

// Process is a process at the moment when it was reported.
type Process struct {
	PID  int
	PPID int // 0 where the parent is outside the pid namespace
	// Comm is the name of the thread-group leader, at most 15 octets, any
	// octets but NUL.
	Comm string
	// StartTime is in clock ticks since boot (field 22 of proc_pid_stat(5)).
	// With PID it names a process for ever, although pids are reused.
	StartTime uint64
	Exe       string // as the kernel names it; "" where it may not be read
	// Container is the id of the container that it runs in, "" for none.
	Container string
	Libraries []Library
}

// Selection says which processes are chosen. PIDs, Comm and Binary restrict;
// each that is given must hold.
//
// A process meets PIDs or Comm if it or an ancestor does, once it has met one
// it does so until it ends, whatever it executes. It meets Binary as long as
// that is what it runs (or maps, where the file holds the functions itself).
// The process that calls this package is never chosen, its children only if PIDs
// or Comm name them, and those that run the same program only if PIDs do.
type Selection struct {
	PIDs   []int  // alternatives
	Comm   string // of the leader, exact, cut at 15 octets
	Binary string // path of an executable; compared by device and inode
	// Container is a name of a container or the beginning of its id, as
	// container.Names understands it. It restricts as Comm does.
	Container string

	// Families are those that are looked for; nil: all. An empty slice that is
	// not nil stands for none.
	Families []Family
}

// has reports whether a family is looked for.
func (s Selection) has(f Family) bool { return s.Families == nil || slices.Contains(s.Families, f) }

// Machine reports whether nothing is chosen: the whole machine is meant.
func (s Selection) Machine() bool { return !s.tree() && s.Binary == "" }

// tree reports whether processes are chosen by descent.
func (s Selection) tree() bool { return len(s.PIDs) > 0 || s.Comm != "" || s.Container != "" }

// Options parametrise [Watch] and [Scan].
type Options struct {
	// Wanted lists the functions to look for. Families without an entry are
	// not looked for.
	Wanted map[Family][]string
	// Debug, where not nil, is told of decisions. It is called from the
	// goroutine that does the work.
	Debug func(format string, args ...any)
}

// commLen is the length of a thread's name (TASK_COMM_LEN less the NUL).
const commLen = 15

func cutComm(s string) string { return s[:min(len(s), commLen)] }

func (s Selection) normalised() Selection {
	s.PIDs = slices.Clone(s.PIDs)
	slices.Sort(s.PIDs)
	s.PIDs = slices.Compact(s.PIDs)
	s.Comm = cutComm(s.Comm)
	return s
}

// checkProc fails unless /proc shows the caller's own pid namespace.
func checkProc() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return &ProcError{Err: err}
	}
	if self != itoa(os.Getpid()) {
		return &ProcError{}
	}
	return nil
}
