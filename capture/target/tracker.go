// SPDX-License-Identifier: Apache-2.0

package target

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// tracker knows the processes that are chosen or whose children may be, and
// tells emit what changes. It is not for concurrent use.
type tracker struct {
	*chooser
	emit  func(Event)
	debug func(format string, args ...any)
	// leaving is told of a process that was read when its leader had begun to
	// end: the notice of that may have come before.
	leaving func(*proc)
	procs   map[int]*proc
	told    map[problemKey]struct{}
	at      int64 // time of the notice that is being applied, 0 during a scan
}

// proc is a process that meets a condition on descent, or maps a library.
type proc struct {
	Process // StartTime is 0 where it had ended before it could be read
	met     met
	image   image
	// since is when /proc was last read for the process, or when it was
	// forked, in ns of CLOCK_MONOTONIC: notices from before are history.
	since int64
	told  bool  // Chosen has been emitted
	ended int64 // when a thread of it ended last, in the same clock; 0: none was told
	// exiting says that its leader had begun to end when it was read, awaited
	// that a Watcher waits for its end.
	exiting, awaited bool
}

type problemKey struct {
	pid   int // 0: about a file
	start uint64
	path  string
	inode uint64
	err   string
}

// maxTold bounds what a program that maps ever new broken files can make us
// remember; past it, problems repeat.
const maxTold = 4096

func newTracker(c *chooser, debug func(string, ...any), emit func(Event)) *tracker {
	if debug == nil {
		debug = func(string, ...any) {}
	}
	return &tracker{
		chooser: c, emit: emit, debug: debug, leaving: func(*proc) {},
		procs: make(map[int]*proc), told: make(map[problemKey]struct{}),
	}
}

// now is the clock of the kernel's notices.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail with these arguments
	return ts.Nano()
}

// scan brings the state up to date with /proc.
func (t *tracker) scan() error {
	t.at = 0
	all, err := pids()
	if err != nil {
		return err
	}
	stats := make(map[int]stat, len(all))
	for _, pid := range all {
		if st, err := readStat(pid); err == nil && !st.dead() && pid != t.self {
			stats[pid] = st
		}
	}
	for _, pid := range slices.Sorted(maps.Keys(t.procs)) {
		if st, ok := stats[pid]; !ok || st.start != t.procs[pid].StartTime {
			t.exited(pid)
		}
	}
	met := t.descent(stats)
	slices.Sort(all)
	for _, pid := range all {
		if _, ok := stats[pid]; !ok {
			continue
		}
		if p := t.procs[pid]; p != nil {
			t.refresh(p, stats[pid], met[pid])
		} else if !t.sel.tree() || met[pid].any() {
			t.add(pid, met[pid])
		}
	}
	return nil
}

// descent finds which conditions each process meets, by itself, by what it met
// before, or by its parent.
func (t *tracker) descent(stats map[int]stat) map[int]met {
	if !t.sel.tree() {
		return nil
	}
	all := make(map[int]met, len(stats))
	var visit func(pid, depth int) met
	visit = func(pid, depth int) met {
		st, ok := stats[pid]
		// The states were not read in one moment: parents could go round in
		// a circle where pids were reused.
		if !ok || depth > 1<<12 {
			return met{}
		}
		if m, ok := all[pid]; ok {
			return m
		}
		m := met{pids: t.meetsPIDs(pid, st), container: t.meetsContainer(pid)}
		if t.sel.Comm != "" {
			comm, err := readComm(pid)
			m.comm = err == nil && t.meetsComm(comm)
		}
		if p := t.procs[pid]; p != nil {
			m = m.or(p.met)
		}
		m = m.or(visit(st.ppid, depth+1))
		all[pid] = m
		return m
	}
	for pid := range stats {
		visit(pid, 0)
	}
	return all
}

// add takes up a process that was not known. In a choice without descent one
// that maps no library is not kept.
func (t *tracker) add(pid int, m met) *proc {
	p := t.read(pid, m)
	if p == nil {
		return nil
	}
	if t.inTree(m) {
		p.Libraries = t.look(pid, func(m *mapping, err error) { t.problem(&p.Process, m, err) })
	}
	if !t.sel.tree() && len(p.Libraries) == 0 {
		return nil
	}
	return t.keepProcess(p)
}

// addExecuted takes up a process as it executes a program, of which nothing is
// mapped yet: to read a large program takes longer than some processes live.
// The notices of what it maps follow this one.
func (t *tracker) addExecuted(n *notice, m met) *proc {
	p := t.read(n.pid, m)
	if p == nil {
		return nil
	}
	p.since = n.time
	return t.keepProcess(p)
}

// read gives a process that was not known as /proc has it, nil where it is none.
func (t *tracker) read(pid int, m met) *proc {
	p := &proc{met: m, since: now()}
	var st stat
	var err error
	if p.Process, st, err = t.identify(pid); err != nil {
		return nil
	}
	if !m.pids && t.isHalf(&p.Process) {
		return nil
	}
	p.image, p.exiting = st.image, st.exiting
	return p
}

// keepProcess returns nil where it has ended meanwhile.
func (t *tracker) keepProcess(p *proc) *proc {
	t.procs[p.PID] = p
	t.choose(p, false)
	if p.exiting {
		t.leaving(p)
	}
	return t.procs[p.PID]
}

// choose emits Chosen if p now deserves it.
func (t *tracker) choose(p *proc, forked bool) {
	if p.told || p.StartTime == 0 || !t.inTree(p.met) {
		return
	}
	if len(p.Libraries) == 0 && (!t.sel.tree() || t.bin != nil) {
		return
	}
	p.told = true
	t.emit(Chosen{Process: p.Process, Forked: forked, SharesMemory: forked && sharesMemory(p.PPID, p.PID), Time: t.at})
}

// refresh compares a known process with what /proc says now.
func (t *tracker) refresh(p *proc, st stat, m met) {
	p.since = now()
	p.met = p.met.or(m)
	if st.exiting {
		defer t.leaving(p)
	}
	if comm, err := readComm(p.PID); err == nil && comm != p.Comm {
		p.Comm = comm
		if p.told && st.image == p.image {
			t.emit(Renamed{PID: p.PID, StartTime: p.StartTime, Comm: comm})
		}
	}
	if !t.inTree(p.met) {
		return
	}
	libraries := t.look(p.PID, func(m *mapping, err error) { t.problem(&p.Process, m, err) })
	if st.image != p.image {
		p.image = st.image
		p.Exe = readExe(p.PID)
		p.Libraries = libraries
		if p.told {
			t.emit(Executed{Process: p.Process, Time: t.at})
			return
		}
	}
	t.mapped(p, libraries)
}

// mapped takes up libraries of a known process.
func (t *tracker) mapped(p *proc, libraries []Library) {
	before := len(p.Libraries)
	p.Libraries = merge(p.Libraries, libraries)
	if !p.told {
		t.choose(p, false)
		return
	}
	for _, l := range p.Libraries[before:] {
		t.emit(Mapped{PID: p.PID, StartTime: p.StartTime, Library: l, Time: t.at})
	}
}

// exited forgets a process.
func (t *tracker) exited(pid int) {
	p := t.procs[pid]
	if p == nil {
		return
	}
	delete(t.procs, pid)
	switch {
	case p.told:
		t.emit(Exited{PID: p.PID, StartTime: p.StartTime, Time: p.ended})
	case p.StartTime == 0 && t.inTree(p.met):
		t.emit(Unseen{PID: p.PID, Comm: p.Comm, Libraries: p.Libraries, Time: p.since})
	}
}

// problem emits what is wrong with a mapping, or with the process where there
// is none, unless it has done so.
func (t *tracker) problem(p *Process, m *mapping, err error) {
	key := problemKey{err: err.Error()}
	out := Problem{PID: p.PID, Comm: p.Comm, Err: err}
	if m != nil {
		key.path, key.inode = m.path, m.inode
		out.Path = m.path
		out.Family, _ = familyOf([]byte(m.path))
	} else {
		key.pid, key.start = p.PID, p.StartTime
	}
	if _, ok := t.told[key]; ok {
		return
	}
	if len(t.told) >= maxTold {
		clear(t.told)
	}
	t.told[key] = struct{}{}
	t.emit(out)
}
