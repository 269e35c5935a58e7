// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"slices"
	"sort"
)

const (
	// maxHeld and maxHeldOctets bound what waits behind a hole in a direction:
	// more than a usual receive window.
	maxHeld       = 4096
	maxHeldOctets = 4 << 20
	// heldCost is what a waiting segment counts beside its payload.
	heldCost = 128

	// maxWindow is TCP's largest window (RFC 7323, section 2.2): a segment
	// further ahead is none of the connection's.
	maxWindow = 1 << 30
)

// patience says for how long a hole is left open, after its octets were
// acknowledged, or otherwise: in packets of the connection or in the capture's
// time.
type patience struct {
	packets uint32
	ns      int64
}

var (
	// Acknowledged octets are in the receiver's hands: only the capture can
	// have them in another order.
	acknowledged = patience{32, 1e9}
	// With one direction in the capture there are no acknowledgements.
	oneSided = patience{128, 2e9}
	// Not acknowledged: the sender may retransmit.
	unacknowledged = patience{1 << 30, 10e9}
)

// waiting counts what patience limits.
type waiting struct {
	since   int64 // on the capture's clock
	packets uint32
}

// over takes more packets and says whether patience is over.
func (w *waiting) over(p patience, clock int64, packets uint32) bool {
	w.packets += packets
	return w.packets >= p.packets || clock-w.since >= p.ns
}

// half is one direction of a TCP connection.
type half struct {
	known    bool   // base is valid
	seen     bool   // a packet was seen
	finished bool   // a FIN was seen; finish is where
	acked    uint64 // position up to which the receiver has acknowledged
	base     uint32 // sequence number of position 0
	next     uint64 // position up to which octets were handed over
	finish   uint64
	time     int64 // of the latest octet handed over

	held    []held // behind a hole, in order of position
	octets  int    // in held, with their cost
	waiting        // since the hole was found, or found acknowledged
	sure    bool   // the hole is acknowledged
}

// held is a segment that waits for octets before it; without length, the end of
// the direction.
type held struct {
	at     uint64
	data   []byte
	length int
	time   int64
}

// begin sets the sequence number of position 0.
func (h *half) begin(seq uint32) { h.base, h.known = seq, true }

// position gives the place of a sequence number. It lies before position 0, or
// too far ahead for the connection, where ok is false.
func (h *half) position(seq uint32) (at uint64, ok bool) {
	d := int32(seq - h.base - uint32(h.next))
	if d >= maxWindow || d < 0 && uint64(-int64(d)) > h.next {
		return 0, false
	}
	return h.next + uint64(int64(d)), true
}

// hold keeps a segment that lies ahead. It returns how much more is kept.
func (h *half) hold(at uint64, data []byte, length int, time int64) int {
	// Nearly always the last one.
	i := len(h.held)
	if i > 0 && h.held[i-1].at >= at {
		i = sort.Search(len(h.held), func(i int) bool { return h.held[i].at >= at })
		if h.held[i].at == at && h.held[i].length >= length {
			return 0
		}
	}
	h.held = slices.Insert(h.held, i, held{at, slices.Clone(data), length, time})
	h.octets += len(data) + heldCost
	return len(data) + heldCost
}

// full says that no more may wait.
func (h *half) full() bool { return len(h.held) >= maxHeld || h.octets >= maxHeldOctets }

// watch takes one more packet of the connection and says whether the hole is
// to be given up. both: packets of the other direction were seen.
func (h *half) watch(clock int64, packets uint32, both bool) bool {
	p := unacknowledged
	switch {
	case h.acked > h.next && h.acked >= h.held[0].at:
		if !h.sure {
			h.sure, h.waiting = true, waiting{since: clock}
		}
		p = acknowledged
	case !both:
		p = oneSided
	}
	return h.over(p, clock, packets)
}
