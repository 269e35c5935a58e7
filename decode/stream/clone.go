// SPDX-License-Identifier: Apache-2.0

package stream

import "slices"

// Clone returns a copy that goes on by itself. Done is not copied.
func (c *Conn) Clone() *Conn {
	n := *c
	n.Done, n.free, n.newest = nil, nil, nil
	n.open, n.closed = list{}, list{}
	n.streams = make(map[uint32]*Stream, len(c.streams))
	for _, l := range [2]struct{ from, to *list }{{&c.open, &n.open}, {&c.closed, &n.closed}} {
		for s := l.from.first; s != nil; s = s.next {
			record := *s
			l.to.push(&record)
			n.streams[s.ID] = &record
		}
	}
	for d := range n.halves {
		n.halves[d].Pending = slices.Clone(n.halves[d].Pending)
	}
	return &n
}
