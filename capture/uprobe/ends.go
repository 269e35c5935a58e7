// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"time"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// lostEnds finds the connections whose end was not told because the ring buffer
// had no room: the kernel side has them no more, or notes that their process has
// ended. Of some nothing was told at all. What the ring buffer held by then is
// read first: the end, and octets before it, may be in there.
type lostEnds struct {
	queue *bpf.Queue
	ring  *bpf.Ring
	due   bool // records were dropped since the last look

	// Of a look that waits for the reader.
	suspects  []*conn
	closed    []bpf.LostKey
	left      []bpf.LostKey     // by processes that have ended
	processes map[uint64]uint64 // those that have ended, by tgid, and when
	told      map[uint64]uint64 // the same, of those that a record has told of
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

// lookAtEnd does so when the ring buffer has been read to its end. Then it tells
// of the connections that are open and of which nothing was told before.
func (e *lostEnds) lookAtEnd(a *assembler, dropped bool) {
	if e.due || e.waiting {
		e.begin(a)
		e.end(a)
	}
	if !dropped {
		return
	}
	for _, key := range e.unknown(a, func(bpf.LostKey) bool { return true }) {
		if state, ok := a.positions(key.ConnKey, false); ok && state.Gen == key.Gen {
			r := absent(key, uint64(time.Now().UnixNano()-a.epoch))
			a.lostTail(a.begin(r, &capture.ConnInfo{}), state.Pos, r)
		}
	}
}

// processEnded notes what a record has told.
func (e *lostEnds) processEnded(tgid, at uint64) {
	e.told[tgid] = at
	e.due = true
}

// unknown lists the connections that the kernel side has, that the ring buffer has
// not told of, and that are wanted.
func (e *lostEnds) unknown(a *assembler, wanted func(bpf.LostKey) bool) (list []bpf.LostKey) {
	var key bpf.ConnKey
	var state bpf.ConnState
	for each := e.queue.Conns.Iterate(); each.Next(&key, &state); {
		which := bpf.LostKey{ConnKey: key, Gen: state.Gen}
		if c := a.conns[key]; (c == nil || c.gen != state.Gen) && wanted(which) {
			list = append(list, which)
		}
	}
	return list // what an iteration that failed has left out is found next time
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
	e.closed = e.closed[:0]
	var key bpf.LostKey
	var lost bpf.LostClose
	for each := e.queue.LostCloses.Iterate(); each.Next(&key, &lost); {
		e.closed = append(e.closed, key)
	}
	e.left = nil
	if len(e.processes)+len(e.told) > 0 {
		e.left = e.unknown(a, func(key bpf.LostKey) bool {
			return key.Gen <= e.processes[key.TGID] || key.Gen <= e.told[key.TGID]
		})
		clear(e.told)
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
	if len(e.suspects)+len(e.closed)+len(e.left) > 0 {
		a.order.release() // nothing of theirs is to come
	}
	for _, key := range e.closed {
		lost, ok := a.lostClose(key)
		if !ok {
			continue // its handle is in use again, or its process has ended: it was told
		}
		r := absent(key, lost.Time)
		r.PID, r.TID = lost.PID, lost.TID
		if c := a.conns[key.ConnKey]; c != nil && c.gen == key.Gen {
			a.close(c, lost.Pos, r)
		} else {
			a.missed(r, lost.Pos, a.unknown(r))
		}
	}
	for _, c := range e.suspects {
		if a.conns[c.key] != c {
			continue // its end was told
		}
		end, at := c.next, uint64(time.Now().UnixNano()-a.epoch)
		if state, ok := a.positions(c.key, false); ok && state.Gen == c.gen {
			end, at = state.Pos, e.processes[c.key.TGID]
			_ = e.queue.Conns.Delete(c.key)
		}
		a.close(c, end, &bpf.Record{Time: at})
	}
	clear(e.suspects)
	for _, key := range e.left {
		if c := a.conns[key.ConnKey]; c != nil && c.gen == key.Gen {
			continue // it was told
		}
		if state, ok := a.positions(key.ConnKey, false); ok && state.Gen == key.Gen {
			_ = e.queue.Conns.Delete(key.ConnKey)
			// The process is gone: there is nobody to ask who it was.
			a.missed(absent(key, uint64(time.Now().UnixNano()-a.epoch)), state.Pos, &capture.ConnInfo{})
		}
	}
	for tgid := range e.processes {
		a.addresses.forgetProcess(tgid)
		e.tellProcess(a, tgid)
	}
}

// absent stands for the records of a connection that are missing.
func absent(key bpf.LostKey, at uint64) *bpf.Record {
	return &bpf.Record{Thread: key.TGID << 32, Handle: key.Handle, Gen: key.Gen, Time: at}
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
