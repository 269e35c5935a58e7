// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"h2sniff/capture/container"

	"golang.org/x/sys/unix"
)

// chooser applies a Selection to processes and files, without memory of what
// it has seen but for the content of files.
type chooser struct {
	*finder
	sel  Selection
	self int
	// starts tells, of the selected pids, which process each meant at the
	// beginning: another may have the pid later.
	starts map[int]uint64
	names  container.Names
	bin    *program // nil without Selection.Binary
}

// program is the file of Selection.Binary.
type program struct {
	base       []byte
	dev, inode uint64
	libraries  []Library // what it holds itself; none: those it loads count
}

func newChooser(s Selection, o Options) (*chooser, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	s = s.normalised()
	c := &chooser{finder: newFinder(s, o.Wanted), sel: s, self: os.Getpid(), starts: make(map[int]uint64)}
	for _, pid := range s.PIDs {
		if err := c.checkPID(pid); err != nil {
			return nil, err
		}
	}
	if s.Binary == "" {
		return c, nil
	}
	found, file, err := c.libraries(s.Binary)
	if err == nil && len(found) == 0 && !file.dynamic {
		if err = ErrNoFunctions; file.hidden != nil {
			err = file.hidden
		}
	}
	if err != nil {
		return nil, &BinaryError{Path: s.Binary, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Stat(s.Binary, &st); err != nil {
		return nil, &BinaryError{Path: s.Binary, Err: err}
	}
	real, err := filepath.EvalSymlinks(s.Binary)
	if err != nil {
		return nil, &BinaryError{Path: s.Binary, Err: err}
	}
	c.bin = &program{base: []byte(filepath.Base(real)), dev: uint64(st.Dev), inode: st.Ino, libraries: found}
	return c, nil
}

// isHalf reports whether a process is the other half of h2sniff: a child of
// ours that runs the program that we run.
func (c *chooser) isHalf(p *Process) bool {
	var own, other unix.Stat_t
	return p.PPID == c.self && unix.Stat("/proc/self/exe", &own) == nil && unix.Stat(procPath(p.PID, "exe"), &other) == nil &&
		own.Dev == other.Dev && own.Ino == other.Ino
}

// checkPID makes sure that a selected pid is that of a process.
func (c *chooser) checkPID(pid int) error {
	if pid == c.self {
		return &ProcessError{PID: pid, Err: ErrSelf}
	}
	st, err := readStat(pid)
	if err != nil && !gone(err) {
		return err
	}
	if pid <= 0 || err != nil || st.dead() {
		return &ProcessError{PID: pid, Err: ErrNoProcess}
	}
	if l := leader(pid); l != pid && l != 0 {
		return &ProcessError{PID: pid, Leader: l, Err: ErrNoProcess}
	}
	if st.kernel {
		return &ProcessError{PID: pid, Err: ErrKernelThread}
	}
	c.starts[pid] = st.start
	return nil
}

// meetsPIDs and meetsComm report whether a process meets those by itself.
func (c *chooser) meetsPIDs(pid int, st stat) bool {
	start, ok := c.starts[pid]
	return ok && start == st.start
}

func (c *chooser) meetsComm(comm string) bool { return c.sel.Comm != "" && comm == c.sel.Comm }

// meetsContainer reads where the process runs: it can be moved.
func (c *chooser) meetsContainer(pid int) bool {
	if c.sel.Container == "" {
		return false
	}
	in, err := container.Of(pid)
	return err == nil && c.names.Match(in, c.sel.Container)
}

// readContainer gives "" for a process that has ended.
func readContainer(pid int) string {
	in, err := container.Of(pid)
	if err != nil {
		return ""
	}
	return in.ID
}

// inTree reports whether having met those is enough for descent.
func (c *chooser) inTree(m met) bool {
	return (m.pids || len(c.sel.PIDs) == 0) && (m.comm || c.sel.Comm == "") && (m.container || c.sel.Container == "")
}

// met says which of a Selection's conditions on descent hold.
type met struct{ pids, comm, container bool }

func (m met) or(n met) met {
	return met{m.pids || n.pids, m.comm || n.comm, m.container || n.container}
}
func (m met) any() bool { return m.pids || m.comm || m.container }

// selfContained reports whether the probes are to be in the selected program itself.
func (c *chooser) selfContained() bool { return c.bin != nil && len(c.bin.libraries) > 0 }

// keep reports whether a mapping is worth a look.
func (c *chooser) keep(path []byte, inode uint64) bool {
	if c.selfContained() {
		return inode == c.bin.inode || bytes.Equal(path[bytes.LastIndexByte(path, '/')+1:], c.bin.base)
	}
	return c.wants(path)
}

// runs reports whether the process runs the selected program, true where none
// is selected or where the mapping of that program decides.
func (c *chooser) runs(pid int) bool {
	if c.bin == nil || c.selfContained() {
		return true
	}
	var st unix.Stat_t
	err := unix.Stat(procPath(pid, "exe"), &st)
	return err == nil && uint64(st.Dev) == c.bin.dev && st.Ino == c.bin.inode
}

// resolve returns the libraries that a kept mapping is of.
func (c *chooser) resolve(pid int, m *mapping) ([]Library, error) {
	if !c.selfContained() {
		return c.librariesOf(pid, m)
	}
	open, st, err := locate(pid, m)
	if err != nil || uint64(st.Dev) != c.bin.dev || st.Ino != c.bin.inode {
		return nil, err
	}
	found := slices.Clone(c.bin.libraries)
	for i := range found {
		found[i].Path, found[i].Open, found[i].Deleted = m.path, open, m.deleted
		found[i].Executable = isProgram(pid, m)
	}
	return found, nil
}

// look returns the libraries that a process maps, and what went wrong with
// some. Of a process that has ended there is neither.
func (c *chooser) look(pid int, problem func(m *mapping, err error)) []Library {
	if !c.runs(pid) {
		return nil
	}
	found, err := readMaps(pid, c.keep)
	if err != nil {
		if !gone(err) {
			problem(nil, err)
		}
		return nil
	}
	var all []Library
	for i := range found {
		l, err := c.resolve(pid, &found[i])
		if err != nil {
			if !gone(err) {
				problem(&found[i], err)
			}
			continue
		}
		all = merge(all, l)
	}
	return all
}

// merge appends those of more that all lacks. One file can be mapped under
// several names.
func merge(all, more []Library) []Library {
	for _, l := range more {
		if !slices.ContainsFunc(all, func(k Library) bool { return k.Key() == l.Key() }) {
			all = append(slices.Clip(all), l) // others may share its array
		}
	}
	return all
}

// identify reads what names a process. An error says that it has ended, or
// never was.
func (c *chooser) identify(pid int) (Process, stat, error) {
	st, err := readStat(pid)
	if err != nil {
		return Process{}, stat{}, err
	}
	if st.dead() {
		return Process{}, stat{}, &ProcessError{PID: pid, Err: errors.Join(ErrNoProcess, unix.ESRCH)}
	}
	comm, err := readComm(pid)
	if err != nil {
		return Process{}, stat{}, err
	}
	return Process{PID: pid, PPID: st.ppid, Comm: comm, StartTime: st.start, Exe: readExe(pid), Container: readContainer(pid)}, st, nil
}
