// SPDX-License-Identifier: Apache-2.0

package store

import (
	"net/netip"
	"slices"

	"h2sniff/capture"
)

// Ends finds the connections that are the two ends of one TCP connection, where
// both are captured: their addresses mirror each other. It is for one
// goroutine.
//
// Loopback addresses are the same in every network namespace, so there both
// must be of one container too.
type Ends struct {
	// set is told each time that the peer of a connection changes; 0: none,
	// or more than one that could be.
	set func(id, peer capture.ConnID)
	of  map[capture.ConnID]end   // open connections
	at  map[end][]capture.ConnID // those of them that can get a peer
}

// end is what a connection is bound to.
type end struct {
	local, remote netip.AddrPort
	container     string // where the addresses are loopback ones
}

func (e end) mirrored() end { return end{e.remote, e.local, e.container} }

// endCost is what Ends keeps of a connection, in octets: its places in two maps
// that are at most half empty.
const endCost = 2 * 160

// NewEnds calls set from Bind.
func NewEnds(set func(id, peer capture.ConnID)) *Ends {
	return &Ends{set: set, at: make(map[end][]capture.ConnID), of: make(map[capture.ConnID]end)}
}

// Bind takes in the addresses of a connection of a process in container. They
// are not valid where they were withdrawn.
func (e *Ends) Bind(id capture.ConnID, local, remote netip.AddrPort, container string) {
	if old, ok := e.of[id]; ok {
		if old.local == local && old.remote == remote {
			return
		}
		delete(e.of, id)
		e.remove(id, old)
		e.set(id, 0)
		e.pair(old.mirrored())
	}
	if !local.IsValid() || !remote.IsValid() {
		return
	}
	at := end{local: local, remote: remote}
	if local.Addr().IsLoopback() || remote.Addr().IsLoopback() {
		at.container = container
	}
	e.of[id] = at
	e.at[at] = append(e.at[at], id)
	e.pair(at)
	e.pair(at.mirrored())
}

// Close takes in the end of a connection, whose peer stays what it is.
func (e *Ends) Close(id capture.ConnID) {
	at, ok := e.of[id]
	if !ok {
		return
	}
	delete(e.of, id)
	if e.remove(id, at) && len(e.at[at]) == 0 {
		// The kernel may give the port to another connection before the
		// handle at the other end is freed.
		delete(e.at, at.mirrored())
	}
}

func (e *Ends) remove(id capture.ConnID, at end) (was bool) {
	i := slices.Index(e.at[at], id)
	if i < 0 {
		return false
	}
	if e.at[at] = slices.Delete(e.at[at], i, i+1); len(e.at[at]) == 0 {
		delete(e.at, at)
	}
	return true
}

// pair tells the connections at one end what is at the other.
func (e *Ends) pair(at end) {
	for _, id := range e.at[at] {
		var peer capture.ConnID
		for _, other := range e.at[at.mirrored()] {
			if other == id { // connected to itself
				continue
			}
			if peer != 0 {
				peer = 0
				break
			}
			peer = other
		}
		e.set(id, peer)
	}
}
