// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"bytes"
	"slices"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// conn is a connection as the ring buffer tells of it.
type conn struct {
	id        capture.ConnID
	key       bpf.ConnKey
	gen       uint64
	next      [2]uint64 // position reached, by direction
	binding   capture.Binding
	tentative []byte // octets that GnuTLS has buffered and may send later
}

// peer says whether other is the other end of the same TCP connection.
func (c *conn) peer(other *conn) bool {
	bound := func(b capture.Binding) bool { return b.Local.IsValid() && b.Remote.IsValid() }
	return bound(c.binding) && bound(other.binding) &&
		c.binding.Local == other.binding.Remote && c.binding.Remote == other.binding.Local
}

// positions reads, and with forget removes, the kernel's state of a
// connection. ok is false where there is none.
type positions func(key bpf.ConnKey, forget bool) (state bpf.ConnState, ok bool)

// lostClose reads and removes how a connection had ended whose end could not be
// told. ok is false where there is no such thing.
type lostClose func(key bpf.LostKey) (end bpf.LostClose, ok bool)

// assembler turns records into events: it names connections, keeps their
// positions and addresses, and passes all through the sequencer. It has no
// lock: one goroutine owns it.
type assembler struct {
	conns     map[bpf.ConnKey]*conn
	byID      map[capture.ConnID]*conn
	lastID    capture.ConnID
	addresses *addresses
	order     sequencer
	epoch     int64                      // Unix ns at CLOCK_BOOTTIME 0
	library   func(number uint32) string // names the library of an attach cookie
	comm      func(pid uint32) string    // where the open record was lost
	container func(pid uint32) string
	positions positions
	lostClose lostClose
	stats     *stats
}

// record takes one record in; events go to the sequencer's emit, in order.
// Their data may belong to the record.
func (a *assembler) record(r *bpf.Record) {
	switch r.Kind {
	case bpf.RecordThread:
		a.order.expire(r.Thread, 0)
	case bpf.RecordProcess:
		a.endProcess(r)
	case bpf.RecordClose:
		if c := a.conns[keyOf(r)]; c != nil && c.gen == r.Gen {
			a.order.expire(r.Thread, r.Depth)
			a.close(c, [2]uint64{r.Pos, r.Len}, r)
		}
	case bpf.RecordOpen:
		a.open(r)
	case bpf.RecordAddress:
		a.addresses.evidence(a.conn(r), &r.Address, func(c *conn, b capture.Binding) { a.bind(c, b, r) })
	default:
		a.data(r)
	}
}

func (a *assembler) data(r *bpf.Record) {
	c := a.conn(r)
	switch r.Kind {
	case bpf.RecordBegin:
		a.order.begin(c, r.Thread, r.Depth)
		return
	case bpf.RecordNothing:
		a.order.nothing(c, r.Thread, r.Depth)
		return
	case bpf.RecordTentative:
		c.tentative = slices.Clone(r.Data)
		return
	case bpf.RecordUnsent:
		ev := a.event(capture.Unsent, c, r)
		ev.Offset, ev.Length = r.Pos, r.Len
		a.order.event(&ev, c)
		return
	}
	ev := a.event(capture.Data, c, r)
	ev.Offset, ev.Length, ev.Data = r.Pos, r.Len, r.Data
	if r.Kind == bpf.RecordCommit {
		ev.Data = c.tentative[:min(uint64(len(c.tentative)), r.Len)]
	}
	if r.Dir == bpf.DirRecv {
		ev.Direction = capture.Recv
	}
	if r.Pos > c.next[ev.Direction] {
		a.stats.lostBytes.Add(r.Pos - c.next[ev.Direction])
	}
	c.next[ev.Direction] = r.Pos + r.Len
	if ev.Direction == capture.Recv {
		a.order.received(&ev, c, r.Thread, r.Depth)
		return
	}
	a.order.sent(&ev, c, r.Thread, r.Depth, r.Flags&bpf.RecordLast != 0)
	c.tentative = nil
}

// conn finds a record's connection; where the record that opened it was
// dropped, it opens it from what is known.
func (a *assembler) conn(r *bpf.Record) *conn {
	key := keyOf(r)
	if c := a.conns[key]; c != nil && c.gen == r.Gen {
		return c
	}
	return a.newConn(r, a.unknown(r))
}

func (a *assembler) open(r *bpf.Record) {
	comm, _, _ := bytes.Cut(r.Open.Comm[:], []byte{0})
	info := &capture.ConnInfo{
		PID: r.PID, TID: r.TID, Comm: string(comm),
		Library: a.library(r.Open.Library), Fresh: r.Open.Fresh,
		Container: a.container(r.PID),
	}
	switch r.Open.Role {
	case 1:
		info.Role = capture.Client
	case 2:
		info.Role = capture.Server
	}
	a.newConn(r, info)
}

func (a *assembler) newConn(r *bpf.Record, info *capture.ConnInfo) *conn {
	key := keyOf(r)
	if old := a.conns[key]; old != nil {
		// Its end was not seen: the handle is in use again.
		a.close(old, a.untoldEnd(old), r)
	}
	c := a.begin(r, info)
	a.conns[key] = c
	return c
}

func (a *assembler) begin(r *bpf.Record, info *capture.ConnInfo) *conn {
	a.lastID++
	c := &conn{id: a.lastID, key: keyOf(r), gen: r.Gen}
	a.byID[c.id] = c
	ev := a.event(capture.Open, c, r)
	ev.Info = info
	a.order.event(&ev, c)
	return c
}

// untoldEnd is where a connection ended that the kernel side does not have.
func (a *assembler) untoldEnd(c *conn) [2]uint64 {
	if lost, ok := a.lostClose(bpf.LostKey{ConnKey: c.key, Gen: c.gen}); ok {
		return lost.Pos
	}
	return c.next
}

// missed tells a connection of which no record found room, and which is over.
func (a *assembler) missed(r *bpf.Record, end [2]uint64, info *capture.ConnInfo) {
	a.close(a.begin(r, info), end, r)
}

// unknown is what is known of a connection whose open record was lost.
func (a *assembler) unknown(r *bpf.Record) *capture.ConnInfo {
	return &capture.ConnInfo{PID: r.PID, TID: r.TID, Comm: a.comm(r.PID), Container: a.container(r.PID)}
}

func (a *assembler) bind(c *conn, b capture.Binding, r *bpf.Record) {
	c.binding = b
	ev := a.event(capture.Bind, c, r)
	ev.Binding = &b
	a.order.event(&ev, c)
}

// close ends a connection whose directions ended at the given positions.
func (a *assembler) close(c *conn, end [2]uint64, r *bpf.Record) {
	a.lostTail(c, end, r)
	ev := a.event(capture.Close, c, r)
	a.order.event(&ev, c)
	a.addresses.forget(c)
	if a.conns[c.key] == c {
		delete(a.conns, c.key)
	}
	delete(a.byID, c.id)
}

func (a *assembler) lostTail(c *conn, end [2]uint64, r *bpf.Record) {
	for dir := range end {
		if end[dir] <= c.next[dir] {
			continue
		}
		ev := a.event(capture.Lost, c, r)
		ev.Direction = capture.Direction(dir)
		ev.Offset, ev.Length = c.next[dir], end[dir]-c.next[dir]
		a.stats.lostBytes.Add(ev.Length)
		c.next[dir] = end[dir]
		a.order.event(&ev, c)
	}
}

func (a *assembler) endProcess(r *bpf.Record) {
	tgid := r.Thread >> 32
	a.order.expireProcess(tgid)
	for _, c := range a.sorted() {
		if c.key.TGID != tgid {
			continue
		}
		if state, ok := a.positions(c.key, true); ok && state.Gen == c.gen {
			a.close(c, state.Pos, r)
		} else {
			a.close(c, a.untoldEnd(c), r)
		}
	}
	a.addresses.forgetProcess(tgid)
}

// finish tells, at the end of the capture, what live connections have lost.
func (a *assembler) finish(now int64) {
	r := &bpf.Record{Time: uint64(now - a.epoch)}
	a.order.release()
	for _, c := range a.sorted() {
		if state, ok := a.positions(c.key, false); ok && state.Gen == c.gen {
			a.lostTail(c, state.Pos, r)
		}
	}
}

// sorted lists the connections in the order in which they were opened, so that
// what is told of many at once has an order of its own.
func (a *assembler) sorted() []*conn {
	list := make([]*conn, 0, len(a.conns))
	for _, c := range a.conns {
		list = append(list, c)
	}
	slices.SortFunc(list, func(x, y *conn) int { return int(x.id) - int(y.id) })
	return list
}

func (a *assembler) event(kind capture.Kind, c *conn, r *bpf.Record) capture.Event {
	return capture.Event{Kind: kind, Conn: c.id, TID: r.TID, Time: a.epoch + int64(r.Time)}
}

func keyOf(r *bpf.Record) bpf.ConnKey { return bpf.ConnKey{TGID: r.Thread >> 32, Handle: r.Handle} }
