// SPDX-License-Identifier: Apache-2.0

package target

import (
	"strings"

	"h2sniff/capture/container"

	"golang.org/x/sys/unix"
)

// notice is what the kernel says of a process, in the terms of
// perf_event_open(2).
type notice struct {
	kind noticeKind
	exec bool  // noticeComm: because of an execve
	pid  int   // in our pid namespace; not positive for others
	tid  int   // thread that it is about
	ppid int   // noticeFork: process that forked
	time int64 // ns of CLOCK_MONOTONIC
	comm string
	m    mapping // noticeMap; path as the kernel writes it
}

type noticeKind uint8

const (
	noticeFork noticeKind = iota + 1
	noticeExit            // of a thread
	noticeComm
	noticeMap // executable mapping of a file
)

// apply changes the state by a notice. Notices come in the order of their
// times, save that one whose processor was held up may come late.
//
// A noticeExit is for whoever can tell whether the process has ended.
func (t *tracker) apply(n *notice) {
	if n.pid <= 0 || n.pid == t.self {
		return
	}
	t.at = n.time
	switch n.kind {
	case noticeFork:
		t.forked(n)
	case noticeComm:
		t.renamed(n)
	case noticeMap:
		t.mapping(n)
	}
}

func (t *tracker) forked(n *notice) {
	if n.pid == n.ppid { // a thread
		return
	}
	var parent *proc
	if n.ppid != t.self {
		parent = t.procs[n.ppid]
	}
	if p := t.procs[n.pid]; p != nil {
		if n.time < p.since { // read before the notice came
			if parent != nil {
				t.meet(p, parent.met)
			}
			return
		}
		t.exited(n.pid)
	}
	switch {
	case parent == nil:
		t.bornNamed(n)
	case n.time < parent.since: // it may have mapped and executed since
		if t.add(n.pid, parent.met) == nil && t.sel.tree() {
			t.procs[n.pid] = &proc{Process: Process{PID: n.pid, PPID: n.ppid}, met: parent.met, since: n.time}
		}
	default:
		t.inherit(n, parent)
	}
}

// inherit takes up a child with what its parent has.
func (t *tracker) inherit(n *notice, parent *proc) {
	p := &proc{met: parent.met, image: parent.image, since: n.time}
	p.Process = Process{PID: n.pid, PPID: n.ppid, Comm: parent.Comm, Exe: parent.Exe, Libraries: reopened(parent, n.pid),
		Container: parent.Container} // where children begin
	// Kept even if it has ended: it may have forked before that.
	t.procs[n.pid] = p
	st, err := readStat(n.pid)
	if err != nil || st.dead() {
		return
	}
	p.StartTime = st.start
	if comm, err := readComm(n.pid); err == nil {
		p.Comm = comm
	}
	if in, err := container.Of(n.pid); err == nil {
		p.Container = in.ID
	}
	if !allReachable(p.Libraries) { // replaced or deleted since the parent mapped them
		p.Libraries = t.look(n.pid, func(m *mapping, err error) { t.problem(&p.Process, m, err) })
	}
	p.met = p.met.or(met{comm: t.meetsComm(p.Comm), container: t.meetsContainer(n.pid)})
	t.choose(p, true)
}

// bornNamed takes up a child of a process that is not chosen, which has the
// selected name from the start, that of the thread that forked it, or begins
// in the selected container.
func (t *tracker) bornNamed(n *notice) {
	if t.sel.Comm == "" && t.sel.Container == "" || n.ppid == t.self {
		return
	}
	m := met{container: t.meetsContainer(n.pid)}
	if comm, err := readComm(n.pid); err == nil {
		m.comm = t.meetsComm(comm)
	}
	if m.any() {
		t.add(n.pid, m)
	}
}

// reopened returns a parent's libraries with paths by which they can be opened
// as long as the child lives.
func reopened(parent *proc, pid int) []Library {
	of := "/proc/" + itoa(parent.PID) + "/"
	libraries := parent.Libraries
	for i := range libraries {
		rest, ok := strings.CutPrefix(libraries[i].Open, of)
		if !ok {
			continue
		}
		if &libraries[0] == &parent.Libraries[0] {
			libraries = append([]Library(nil), libraries...)
		}
		libraries[i].Open = "/proc/" + itoa(pid) + "/" + rest
	}
	return libraries
}

func allReachable(libraries []Library) bool {
	for i := range libraries {
		if !libraries[i].reachable() {
			return false
		}
	}
	return true
}

func (t *tracker) renamed(n *notice) {
	if n.tid != n.pid { // not the leader
		return
	}
	p := t.procs[n.pid]
	if p != nil && n.time >= p.since {
		p.Comm = n.comm
		if n.exec {
			t.executed(p, n)
		} else if p.told {
			t.emit(Renamed{PID: p.PID, StartTime: p.StartTime, Comm: n.comm})
		}
	}
	// Runtimes move a process into its container before it executes.
	m := met{comm: t.meetsComm(n.comm), container: n.exec && t.meetsContainer(n.pid)}
	if !m.any() {
		return
	}
	if p == nil {
		if n.exec {
			p = t.addExecuted(n, m)
		} else {
			p = t.add(n.pid, m)
		}
		if p == nil {
			t.unseen(n, m)
			return
		}
	} else {
		t.meet(p, m)
	}
	t.adopt(n.pid)
}

// executed empties what the process mapped.
func (t *tracker) executed(p *proc, n *notice) {
	p.since = n.time
	p.Libraries = nil
	p.Exe = readExe(p.PID)
	if in, err := container.Of(p.PID); err == nil {
		p.Container = in.ID // it may have left one
	}
	if st, err := readStat(p.PID); err == nil {
		p.image = st.image
		if p.StartTime == 0 {
			p.StartTime = st.start
		}
	}
	if p.told {
		t.emit(Executed{Process: p.Process, Time: n.time})
		return
	}
	t.choose(p, false)
}

// meet takes up conditions that a known process meets from now on.
func (t *tracker) meet(p *proc, m met) {
	was := t.inTree(p.met)
	p.met = p.met.or(m)
	if was || !t.inTree(p.met) {
		return
	}
	st, err := readStat(p.PID)
	if err != nil {
		return
	}
	t.refresh(p, st, met{})
}

// adopt takes up the children that a process had before it was chosen.
func (t *tracker) adopt(pid int) {
	parent := t.procs[pid]
	if parent == nil { // it has ended, and others have its children
		return
	}
	m := parent.met
	for _, child := range children(pid) {
		if child == t.self {
			continue
		}
		p := t.procs[child]
		switch {
		case p == nil:
			p = t.add(child, m)
		case p.met == p.met.or(m):
			p = nil // and so have its children
		default:
			t.meet(p, m)
		}
		if p != nil {
			t.adopt(child)
		}
	}
}

func (t *tracker) mapping(n *notice) {
	p := t.procs[n.pid]
	if p != nil && n.time < p.since {
		return // seen in maps
	}
	if p == nil && t.sel.tree() {
		// Its fork may have been told late.
		if p = t.orphan(n.pid); p == nil {
			return
		}
	}
	if p != nil && !t.inTree(p.met) {
		return
	}
	n.m.setPath(n.m.path)
	if !t.runs(n.pid) {
		t.unseenMapping(p, n)
		return
	}
	if p == nil || p.StartTime == 0 {
		process, st, err := t.identify(n.pid)
		if err != nil {
			t.unseenMapping(p, n)
			return
		}
		if p == nil {
			p = &proc{since: n.time}
		}
		process.Libraries = p.Libraries
		p.Process, p.image = process, st.image
	}
	found, err := t.resolve(n.pid, &n.m)
	if err != nil {
		if !gone(err) {
			t.problem(&p.Process, &n.m, err)
		} else {
			t.unseenMapping(t.procs[n.pid], n)
		}
		return
	}
	if len(found) > 0 {
		t.procs[n.pid] = p
		t.mapped(p, found)
		t.debug("%d (%s) maps %s: told %.3f ms after", p.PID, p.Comm, n.m.path, float64(now()-n.time)/1e6)
	}
}

// orphan takes up a process whose parent is known by what /proc says, or that
// was moved into the selected container.
func (t *tracker) orphan(pid int) *proc {
	st, err := readStat(pid)
	if err != nil {
		return nil
	}
	m := met{container: t.meetsContainer(pid)}
	if parent := t.procs[st.ppid]; parent != nil {
		m = m.or(parent.met)
	}
	if !m.any() {
		return nil
	}
	return t.add(pid, m)
}

// sharesMemory reports whether two processes run in one memory, false where
// the kernel does not tell.
func sharesMemory(a, b int) bool {
	const kcmpVM = 1
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpVM, 0, 0, 0)
	return errno == 0 && r == 0
}
