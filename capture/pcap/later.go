// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"cmp"
	"slices"

	"h2sniff/capture"
)

// later holds back the events of a connection while something waits behind a hole
// in one of its directions: when the hole is given up, what waited has its place
// among them by time. Without that, a response would be told of before its
// request.
type later struct {
	events []capture.Event
	octets int // of their data, with their cost
}

// emit tells of an event of a connection, at once or when nothing waits.
func (r *Reader) emit(c *conn, ev capture.Event) {
	if !c.waits() && len(c.later.events) == 0 {
		r.tell(c, ev)
		return
	}
	ev.Data = slices.Clone(ev.Data)
	c.later.events = append(c.later.events, ev)
	c.later.octets += len(ev.Data) + heldCost
	r.octets += len(ev.Data) + heldCost
	if c.later.octets >= maxHeldOctets || r.octets > maxOctets {
		r.tellLater(c)
	}
}

// tell queues an event. Time does not go back within a connection: the packets of
// a capture can be out of order, and not all can be held back.
func (r *Reader) tell(c *conn, ev capture.Event) {
	c.time = max(c.time, ev.Time)
	ev.Time = c.time
	r.queue = append(r.queue, ev)
}

// tellLater tells of what was held back, in the order of time.
func (r *Reader) tellLater(c *conn) {
	events := c.later.events
	r.forgetLater(c)
	// A connection is told of when its first octets are, the earliest of all.
	first := 0
	for first < len(events) && (events[first].Kind == capture.Open || events[first].Kind == capture.Bind) {
		first++
	}
	slices.SortStableFunc(events[first:], func(a, b capture.Event) int { return cmp.Compare(a.Time, b.Time) })
	for i := range events {
		if i < first && first < len(events) {
			events[i].Time = events[first].Time
		}
		r.tell(c, events[i])
	}
}

// forgetLater drops what was held back.
func (r *Reader) forgetLater(c *conn) {
	r.octets -= c.later.octets
	c.later = later{}
}
