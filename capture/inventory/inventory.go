// SPDX-License-Identifier: Apache-2.0

// Package inventory lists the programs whose HTTP/2 can be captured now, and,
// of those that use the network and cannot be, the reason. It only reads /proc
// and the files of programs, and attaches nothing.
//
// Pids are those of the caller's pid namespace. What may not be read, or ends
// while it is looked at, is left out or said to be unknown.
package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"h2sniff/capture/container"
	"h2sniff/capture/target"
)

// Program is a process that maps functions which can be probed, or that has
// TCP sockets.
type Program struct {
	PID       int
	Comm      string // at most 15 octets, any but NUL
	Exe       string // "" where it may not be read
	Container container.Container
	Names     []string // of the container, where a file tells
	Libraries []Library
	// Reason says why there are no libraries; "" where there are.
	Reason string
}

// Library is what can be probed in a file that the process maps.
type Library struct {
	Family    string
	Path      string // as the process maps it
	Version   string // "" where the file does not tell
	Found     Found
	Functions []string // in the file, without repetition
	Deleted   bool     // the file has been unlinked or replaced since
}

// Found says how the functions were found.
type Found string

const (
	InLibrary    Found = "library"    // symbols of a shared library
	InExecutable Found = "executable" // symbols of the program's own file
	InGoTable    Found = "go"         // the function table of a Go program
)

// Listing is what [List] finds.
type Listing struct {
	Programs []Program // by pid
	// Denied is how many processes may not be looked at.
	Denied int
}

// List looks at all processes. Its errors are those of target.Scan.
func List(o target.Options) (*Listing, error) {
	processes, problems, err := target.Scan(target.Selection{}, o)
	if err != nil {
		return nil, err
	}
	l := newLister()
	out := &Listing{}
	known := make(map[int]bool)
	for _, p := range processes {
		known[p.PID] = true
		program := Program{PID: p.PID, Comm: p.Comm, Exe: p.Exe}
		for i := range p.Libraries {
			program.Libraries = append(program.Libraries, l.library(p.PID, &p.Libraries[i]))
		}
		out.Programs = append(out.Programs, program)
	}
	for _, p := range problems {
		if p.Path != "" { // it holds for all that map the file
			l.problems[p.Path] = p.Err.Error()
		}
	}
	pids, err := processIDs()
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if known[pid] || pid == os.Getpid() {
			continue
		}
		program, err := l.other(pid)
		switch {
		case errors.Is(err, fs.ErrPermission):
			out.Denied++
		case err == nil && program != nil:
			out.Programs = append(out.Programs, *program)
		}
	}
	slices.SortFunc(out.Programs, func(a, b Program) int { return cmp.Compare(a.PID, b.PID) })
	for i := range out.Programs {
		p := &out.Programs[i]
		if in, err := container.Of(p.PID); err == nil {
			p.Container, p.Names = in, l.names.Of(in)
		}
	}
	return out, nil
}

// lister remembers what it has read of files and network namespaces.
type lister struct {
	names    container.Names
	versions map[fileID]string
	kinds    map[fileID]kind
	networks map[string]map[string]bool // inodes of TCP sockets, by namespace
	problems map[string]string          // by path
}

func newLister() *lister {
	return &lister{
		versions: make(map[fileID]string), kinds: make(map[fileID]kind),
		networks: make(map[string]map[string]bool), problems: make(map[string]string),
	}
}

// library describes a file; pid is of a process that maps it, 0 for none.
func (l *lister) library(pid int, of *target.Library) Library {
	found := InLibrary
	switch {
	case of.Family.String() == "Go":
		found = InGoTable
	case of.Executable:
		found = InExecutable
	}
	out := Library{Family: of.Family.String(), Path: of.Path, Found: found, Deleted: of.Deleted, Version: l.version(pid, of)}
	for _, f := range of.Functions {
		if !slices.Contains(out.Functions, f.Name) {
			out.Functions = append(out.Functions, f.Name)
		}
	}
	return out
}

// other describes a process without functions to probe, nil if it has no TCP
// sockets either.
func (l *lister) other(pid int) (*Program, error) {
	uses, err := l.usesTCP(pid)
	if err != nil || !uses {
		return nil, err
	}
	p := &Program{PID: pid}
	if p.Comm, err = readComm(pid); err != nil {
		return nil, err
	}
	p.Exe, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)) // "": unknown
	p.Reason, err = l.reason(pid)
	return p, err
}

// Installed lists the libraries in the folders where the dynamic loader looks,
// whether or not a process maps them.
func Installed(o target.Options) []Library {
	l := newLister()
	var out []Library
	for _, of := range target.Installed(target.Selection{}, o) {
		out = append(out, l.library(0, &of))
	}
	return out
}
