// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// addresses decides which socket a TLS handle belongs to.
//
// Exact evidence (a receive while the thread was inside a call on the handle)
// binds, and the latest wins: a handle can be cleared and reused. Inferred
// evidence (the thread's last receive before it fed the handle) binds a handle
// that has no binding yet. A contradiction between inferences says that the
// program receives in one thread and decrypts in another: then inference is
// off for the process and what it bound is withdrawn. Unknown is an answer, a
// wrong address is not.
type addresses struct {
	inferredBy map[uint64]*conn            // socket cookie → live handle bound by inference
	distrusted map[uint64]struct{}         // processes (tgid) where inference is off
	inferred   map[uint64]map[*conn]uint64 // tgid → live inferred bindings and their cookies
}

func newAddresses() *addresses {
	return &addresses{
		inferredBy: make(map[uint64]*conn),
		distrusted: make(map[uint64]struct{}),
		inferred:   make(map[uint64]map[*conn]uint64),
	}
}

// evidence takes a record in and calls bind for every connection whose
// binding changes.
func (a *addresses) evidence(c *conn, r *bpf.AddressRecord, bind func(*conn, capture.Binding)) {
	local, remote := addrPorts(r)
	if r.Nested {
		a.forget(c)
		bind(c, capture.Binding{Local: local, Remote: remote, Evidence: capture.Exact})
		return
	}
	if c.binding.Evidence == capture.Exact {
		return
	}
	tgid := c.key.TGID
	if _, off := a.distrusted[tgid]; off {
		return
	}
	if cookie, bound := a.inferred[tgid][c]; bound {
		if cookie != r.Cookie {
			a.distrust(tgid, bind)
		}
		return
	}
	if other := a.inferredBy[r.Cookie]; other != nil && other != c {
		a.distrust(tgid, bind)
		return
	}
	a.inferredBy[r.Cookie] = c
	if a.inferred[tgid] == nil {
		a.inferred[tgid] = make(map[*conn]uint64)
	}
	a.inferred[tgid][c] = r.Cookie
	bind(c, capture.Binding{Local: local, Remote: remote, Evidence: capture.Inferred})
}

func (a *addresses) distrust(tgid uint64, bind func(*conn, capture.Binding)) {
	a.distrusted[tgid] = struct{}{}
	inferred := a.inferred[tgid]
	// In the order in which they were opened.
	for _, c := range slices.SortedFunc(maps.Keys(inferred), func(x, y *conn) int { return cmp.Compare(x.id, y.id) }) {
		delete(a.inferredBy, inferred[c])
		bind(c, capture.Binding{Evidence: capture.Withdrawn})
	}
	delete(a.inferred, tgid)
}

// forget drops what was inferred of a connection that ended, or that exact
// evidence now speaks for.
func (a *addresses) forget(c *conn) {
	bound := a.inferred[c.key.TGID]
	if cookie, ok := bound[c]; ok {
		delete(bound, c)
		delete(a.inferredBy, cookie)
		if len(bound) == 0 {
			delete(a.inferred, c.key.TGID)
		}
	}
}

// forgetProcess drops the verdict on a process that ended.
func (a *addresses) forgetProcess(tgid uint64) { delete(a.distrusted, tgid) }

const afInet6 = 10 // AF_INET6, linux/socket.h

func addrPorts(r *bpf.AddressRecord) (local, remote netip.AddrPort) {
	addr := func(b [16]byte) netip.Addr {
		if r.Family == afInet6 {
			return netip.AddrFrom16(b).Unmap()
		}
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrPortFrom(addr(r.Local), r.LocalPort), netip.AddrPortFrom(addr(r.Remote), r.RemotePort)
}
