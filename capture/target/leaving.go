// SPDX-License-Identifier: Apache-2.0

package target

import "golang.org/x/sys/unix"

// left takes the end of a thread. Its time says nothing against what was read
// of the process later: for some ms after the notice (which Linux 6.16 and newer
// give before the memory goes) the process looks alive.
func (w *Watcher) left(n *notice) {
	p := w.t.procs[n.pid]
	if p == nil {
		return
	}
	p.ended = n.time
	if n.pid == n.tid {
		w.await(p)
	}
}

// await waits for the end of a process whose leader has ended, or does so.
// Only the kernel knows whether that is the end of the process: a pidfd becomes
// readable with the last thread.
func (w *Watcher) await(p *proc) {
	if p.awaited {
		return
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err == unix.ESRCH {
		w.ended(p)
		return
	}
	p.awaited = true
	if err == nil {
		st, e := readStat(p.PID)
		if e != nil || p.StartTime != 0 && st.start != p.StartTime {
			unix.Close(fd)
			w.ended(p)
			return
		}
		if err = w.register(fd); err == nil {
			w.leaving[fd] = p
			return
		}
		unix.Close(fd)
	}
	w.late[p] = struct{}{}
}

// ended forgets the process, unless another has its pid already.
func (w *Watcher) ended(p *proc) {
	delete(w.late, p)
	if w.t.procs[p.PID] == p {
		w.t.exited(p.PID)
	}
}
