// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"time"

	"h2sniff/bpf"
)

// lostEnds finds the connections whose end was not told because the ring buffer
// had no room: the kernel side has them no more, or notes that their process has
// ended. What the ring buffer held by then is read first: the end, and octets
// before it, may be in there.
type lostEnds struct {
	queue *bpf.Queue
	ring  *bpf.Ring
	due   bool // records were dropped since the last look

	suspects  []*conn           // of a look that waits for the reader
	processes map[uint64]uint64 // those that have ended, by tgid, and when
	behind    uint64            // position in the ring buffer that the reader must reach
	waiting   bool
	next      time.Time // when the next look may begin
}

// restTime is the least time between two looks, and restShare how much longer it
// is than a look takes, of which there can be many connections.
const (
	restTime  = 100 * time.Millisecond
	restShare = 20
)

// look begins to look where that is due, and closes what was found once the
// reader is behind it.
func (e *lostEnds) look(a *assembler) {
	if e.due && !e.waiting && time.Now().After(e.next) {
		e.begin(a)
	}
	if e.waiting && e.ring.Reached() >= e.behind {
		e.end(a)
	}
}

// lookAtEnd does so when the ring buffer has been read to its end.
func (e *lostEnds) lookAtEnd(a *assembler) {
	if e.due || e.waiting {
		e.begin(a)
		e.end(a)
	}
}

func (e *lostEnds) begin(a *assembler) {
	began := time.Now()
	e.due, e.waiting = false, true
	e.processes = e.endedProcesses()
	e.suspects = e.suspects[:0]
	for _, c := range a.sorted() {
		state, ok := a.positions(c.key, false)
		if at, ended := e.processes[c.key.TGID]; !ok || state.Gen != c.gen || ended && c.gen <= at {
			e.suspects = append(e.suspects, c)
		}
	}
	e.behind = e.ring.Written()
	e.next = time.Now().Add(max(restTime, restShare*time.Since(began)))
}

func (e *lostEnds) endedProcesses() map[uint64]uint64 {
	ended := make(map[uint64]uint64)
	var tgid uint32
	var at uint64
	for each := e.queue.Processes.Iterate(); each.Next(&tgid, &at); {
		if at != 0 {
			ended[uint64(tgid)] = at
		}
	}
	return ended // what an iteration that failed has left out is found next time
}

func (e *lostEnds) end(a *assembler) {
	e.waiting = false
	if len(e.suspects) > 0 {
		a.order.release() // nothing of theirs is to come
	}
	for _, c := range e.suspects {
		if a.conns[c.key] != c {
			continue // its end was told
		}
		var lost bpf.LostClose
		if e.queue.LostCloses.Lookup(c.key, &lost) == nil && lost.Gen == c.gen {
			_ = e.queue.LostCloses.Delete(c.key) // gone already: the same
		} else {
			lost = bpf.LostClose{Pos: c.next, Time: uint64(time.Now().UnixNano() - a.epoch)}
			if state, ok := a.positions(c.key, false); ok && state.Gen == c.gen {
				lost.Pos, lost.Time = state.Pos, e.processes[c.key.TGID]
				_ = e.queue.Conns.Delete(c.key)
			}
		}
		a.close(c, lost.Pos, &bpf.Record{Time: lost.Time})
	}
	clear(e.suspects)
	for tgid := range e.processes {
		a.addresses.forgetProcess(tgid)
		e.tellProcess(a, tgid)
	}
}

// tellProcess says that the end of a process is known. It may have executed a
// program, and go on.
func (e *lostEnds) tellProcess(a *assembler, tgid uint64) {
	key := uint32(tgid)
	for _, c := range a.conns {
		if c.key.TGID == tgid {
			_ = e.queue.Processes.Put(key, uint64(0))
			return
		}
	}
	_ = e.queue.Processes.Delete(key)
}
