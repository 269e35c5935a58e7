// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"slices"
	"unsafe"

	"h2sniff/capture"
)

// What waits for the outcome of a send is bounded: a peer that reads nothing can
// keep one from ending, and send on. Beyond that all is released, in the order in
// which it came.
const (
	heldLimit = 64 << 20 // octets of events and of what they hold
	slotLimit = 8192     // places in the queue, through which drain goes for each
)

// eventSize is what an event takes beside its data, octets.
const eventSize = int(unsafe.Sizeof(capture.Event{}))

// sequencer orders events: a send by its beginning, a receive by its return.
//
// The kernel side tells a send's octets when the call returns, since only then
// it is known what was sent. By then another thread, or the traced process at
// the other end, may already have received the reply. So a record at the
// beginning of each send takes a place in the queue, and what comes behind it
// on the same connection, or on the connection's other end where that is known
// by its addresses, waits until the send has returned. No clock is asked.
type sequencer struct {
	queue []*slot
	held  int // octets of events in queue, with their copies
	emit  func(*capture.Event)
}

// slot is a place in the order: a send that has begun, or events that wait
// behind one.
type slot struct {
	conn     *conn
	thread   uint64
	depth    uint8
	pending  bool // a send whose outcome is not known
	events   []capture.Event
	released bool
}

func (s *slot) conflicts(c *conn) bool { return s.conn == c || s.conn.peer(c) }

// begin takes the place of a send.
func (q *sequencer) begin(c *conn, thread uint64, depth uint8) {
	q.expire(thread, depth)
	q.queue = append(q.queue, &slot{conn: c, thread: thread, depth: depth, pending: true})
}

// sent hands over a piece of a send that has returned; last ends it.
func (q *sequencer) sent(ev *capture.Event, c *conn, thread uint64, depth uint8, last bool) {
	i := q.find(c, thread, depth)
	if i < 0 {
		// Attached in the middle of the call, or its beginning was dropped.
		q.event(ev, c)
		return
	}
	s := q.queue[i]
	if j := q.behind(i, ev); j > i {
		after := &slot{conn: c}
		q.queue = slices.Insert(q.queue, j+1, after)
		q.hold(after, ev)
	} else if q.blocked(s.conn, i) {
		q.hold(s, ev)
	} else {
		q.emit(ev)
	}
	if last {
		s.pending = false
		q.drain()
	}
}

// behind is the place behind which octets of the send at place i go: its own,
// unless octets sent before them wait at a later one. Threads that send at once on
// one socket have their positions in the order in which they return; and where the
// end of a send was dropped, the thread's next one is taken for it.
func (q *sequencer) behind(i int, ev *capture.Event) int {
	for j := len(q.queue) - 1; j > i; j-- {
		s := q.queue[j]
		if s.conn == q.queue[i].conn && slices.ContainsFunc(s.events, func(held capture.Event) bool {
			return held.Kind == capture.Data && held.Direction == capture.Send && held.Offset < ev.Offset
		}) {
			return j
		}
	}
	return i
}

// nothing ends a send that moved nothing.
func (q *sequencer) nothing(c *conn, thread uint64, depth uint8) {
	if i := q.find(c, thread, depth); i >= 0 {
		q.queue[i].pending = false
		q.drain()
	}
}

// received hands over a receive. A thread that returns from a receive is no
// longer inside a send at the same depth.
func (q *sequencer) received(ev *capture.Event, c *conn, thread uint64, depth uint8) {
	q.expire(thread, depth)
	q.event(ev, c)
}

// event hands over anything else that has its place on a connection.
func (q *sequencer) event(ev *capture.Event, c *conn) {
	if !q.blocked(c, len(q.queue)) {
		q.emit(ev)
		return
	}
	if n := len(q.queue); q.queue[n-1].conn != c || q.queue[n-1].pending {
		q.queue = append(q.queue, &slot{conn: c})
	}
	q.hold(q.queue[len(q.queue)-1], ev)
}

// expire ends the sends of a thread that cannot be running any more: calls at
// the given depth or deeper, left by longjmp or with the thread itself.
func (q *sequencer) expire(thread uint64, depth uint8) {
	found := false
	for _, s := range q.queue {
		if s.pending && s.thread == thread && s.depth >= depth {
			s.pending = false
			found = true
		}
	}
	if found {
		q.drain()
	}
}

// expireProcess ends all sends of a process.
func (q *sequencer) expireProcess(tgid uint64) {
	for _, s := range q.queue {
		if s.thread>>32 == tgid {
			s.pending = false
		}
	}
	q.drain()
}

// release gives everything up in queue order: records were dropped, so an
// outcome may never come.
func (q *sequencer) release() {
	for _, s := range q.queue {
		s.pending = false
	}
	q.drain()
}

func (q *sequencer) find(c *conn, thread uint64, depth uint8) int {
	return slices.IndexFunc(q.queue, func(s *slot) bool {
		return s.pending && s.conn == c && s.thread == thread && s.depth == depth
	})
}

// blocked says whether something before place i in the queue must come before
// an event of c.
func (q *sequencer) blocked(c *conn, i int) bool {
	for _, s := range q.queue[:i] {
		if !s.released && s.conflicts(c) {
			return true
		}
	}
	return false
}

func (q *sequencer) hold(s *slot, ev *capture.Event) {
	held := *ev
	held.Data = slices.Clone(ev.Data)
	q.held += eventSize + len(held.Data)
	s.events = append(s.events, held)
	if q.held > heldLimit || len(q.queue) > slotLimit {
		q.release()
	}
}

// drain emits what nothing blocks any more.
func (q *sequencer) drain() {
	for i, s := range q.queue {
		if q.blocked(s.conn, i) {
			continue
		}
		for j := range s.events {
			q.held -= eventSize + len(s.events[j].Data)
			q.emit(&s.events[j])
		}
		s.events = nil
		s.released = !s.pending
	}
	q.queue = slices.DeleteFunc(q.queue, func(s *slot) bool { return s.released })
}
