// SPDX-License-Identifier: Apache-2.0

package target

import (
	"math"

	"golang.org/x/sys/unix"
)

// unseen takes up a process that meets conditions by what a notice says, if it
// has ended before it could be read. It may have forked before that; the notice
// of its end follows.
func (t *tracker) unseen(n *notice, m met) {
	if hasEnded(n.pid) {
		t.procs[n.pid] = &proc{Process: Process{PID: n.pid, Comm: n.comm}, met: m, since: n.time}
	}
}

// unseenMapping does the same, in a choice without descent, with a process that
// mapped a file. p is what is known of it, nil for nothing.
func (t *tracker) unseenMapping(p *proc, n *notice) {
	if t.sel.tree() || t.selfContained() || p != nil && p.StartTime != 0 || !hasEnded(n.pid) {
		return
	}
	var found []Library
	if t.bin == nil {
		found = t.librariesAt(&n.m)
	}
	if len(found) == 0 && (t.bin == nil || n.m.inode != t.bin.inode) {
		return
	}
	if p == nil {
		p = &proc{Process: Process{PID: n.pid}, since: n.time}
		t.procs[n.pid] = p
	}
	p.Libraries = merge(p.Libraries, found)
}

func hasEnded(pid int) bool {
	st, err := readStat(pid)
	return err != nil && gone(err) || err == nil && st.dead()
}

// librariesAt returns what a file holds that a process had mapped, none where
// the path leads elsewhere from here.
func (f *finder) librariesAt(m *mapping) []Library {
	var st unix.Stat_t
	if unix.Stat(m.path, &st) != nil || st.Ino != m.inode || m.major != 0 && uint64(st.Dev) != unix.Mkdev(m.major, m.minor) {
		return nil
	}
	candidates, _ := f.named(m.path)
	limit, executable := uint64(math.MaxUint64), false
	if len(candidates) == 0 && mayBeProgram([]byte(m.path)) {
		candidates, limit, executable = f.inPrograms(), maxProgramTables, true
	}
	c := f.read(m.path, &st, limit)
	if c.err != nil {
		return nil
	}
	return f.holds(c, candidates, Library{
		Path: m.path, Open: m.path, Executable: executable,
		Dev: uint64(st.Dev), Inode: st.Ino, layer: f.layer(&st, c), content: contentOf(&st),
	})
}
