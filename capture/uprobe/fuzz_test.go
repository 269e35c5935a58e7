// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// kernelSide makes the records that the BPF programs would, of some threads that
// use some handles, and loses those that it is told to lose.
type kernelSide struct {
	rig     *rig
	threads map[uint64][]kernelCall
	conns   map[bpf.ConnKey]*kernelConn
	now     uint64
	lose    bool // the next record
	dropped bool
	overlap bool                   // of sends on one connection
	moved   map[uint64]*kernelConn // by generation
}

type kernelCall struct {
	key   bpf.ConnKey
	dir   uint8
	begin uint64
	gen   uint64
}

type kernelConn struct {
	gen    uint64
	pos    [2]uint64
	copied [2]uint64 // octets in records that were not lost
	seen   bool      // a record of it was not lost
}

// fuzzHandles are at both ends of one TCP connection, if they are bound.
var fuzzHandles = [2]uint64{0x1000, 0x2000}

func (k *kernelSide) emit(r *bpf.Record, thread uint64, depth int) {
	r.Thread, r.Depth = thread, uint8(depth)
	r.PID, r.TID = uint32(thread>>32), uint32(thread)
	lost := k.lose
	k.lose = false
	if lost {
		k.dropped = true
		return
	}
	if c := k.moved[r.Gen]; c != nil && r.Gen != 0 && r.Kind != bpf.RecordClose {
		c.seen = true
		if r.Kind == bpf.RecordData {
			c.copied[r.Dir] += r.Len
		}
	}
	k.rig.record(r)
}

// conn finds the connection of a call, or opens it.
func (k *kernelSide) conn(thread, handle uint64, bound bool) (bpf.ConnKey, *kernelConn) {
	key := bpf.ConnKey{TGID: thread >> 32, Handle: handle}
	if c := k.conns[key]; c != nil {
		return key, c
	}
	k.now++
	c := &kernelConn{gen: k.now}
	k.conns[key], k.moved[c.gen] = c, c
	k.emit(&bpf.Record{Kind: bpf.RecordOpen, Handle: handle, Gen: c.gen, Time: k.now}, thread, len(k.threads[thread]))
	if bound {
		a := bpf.AddressRecord{Cookie: c.gen, Family: 2, LocalPort: 1, RemotePort: 2, Nested: true}
		if handle == fuzzHandles[1] {
			a.LocalPort, a.RemotePort = 2, 1
		}
		k.emit(&bpf.Record{Kind: bpf.RecordAddress, Handle: handle, Gen: c.gen, Time: k.now, Address: a}, thread, 0)
	}
	return key, c
}

// begin is the entry of a call. The first handle, a TLS library's, is used by one
// thread at a time in each direction, and the second, a socket, by any to send.
// Of nested calls the outermost counts.
func (k *kernelSide) begin(thread, handle uint64, dir uint8, bound bool) {
	for other, calls := range k.threads {
		for _, call := range calls {
			if call.key != (bpf.ConnKey{TGID: thread >> 32, Handle: handle}) || call.dir != dir {
				continue
			}
			if other == thread || dir == bpf.DirRecv || handle == fuzzHandles[0] {
				return
			}
			k.overlap = true
		}
	}
	if len(k.threads[thread]) == 4 {
		return
	}
	key, c := k.conn(thread, handle, bound)
	k.now++
	if dir == bpf.DirSend {
		k.emit(&bpf.Record{Kind: bpf.RecordBegin, Handle: handle, Gen: c.gen, Time: k.now, Pos: c.pos[dir]}, thread, len(k.threads[thread]))
	}
	k.threads[thread] = append(k.threads[thread], kernelCall{key, dir, k.now, c.gen})
}

// end is the return of the thread's innermost call, which moved pieces of size
// octets each.
func (k *kernelSide) end(thread uint64, pieces, size int) {
	calls := k.threads[thread]
	if len(calls) == 0 {
		return
	}
	call := calls[len(calls)-1]
	calls = calls[:len(calls)-1]
	k.threads[thread] = calls
	c := k.conns[call.key]
	if c == nil || c.gen != call.gen {
		return
	}
	k.now++
	r := bpf.Record{Kind: bpf.RecordNothing, Flags: bpf.RecordLast, Handle: call.key.Handle, Gen: c.gen, Time: call.begin}
	if call.dir == bpf.DirRecv {
		r.Time = k.now
	}
	if pieces*size == 0 {
		if call.dir == bpf.DirSend {
			k.emit(&r, thread, len(calls))
		}
		return
	}
	for i := range pieces {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(c.pos[call.dir]) + byte(j)
		}
		r.Kind, r.Dir, r.Pos, r.Len, r.Data, r.Flags = bpf.RecordData, call.dir, c.pos[call.dir], uint64(size), data, 0
		if i == pieces-1 {
			r.Flags = bpf.RecordLast
		}
		c.pos[call.dir] += uint64(size)
		last := r
		k.emit(&last, thread, len(calls))
		clear(data) // it belongs to the ring
	}
}

func (k *kernelSide) close(thread, handle uint64) {
	key := bpf.ConnKey{TGID: thread >> 32, Handle: handle}
	c := k.conns[key]
	if c == nil {
		return
	}
	delete(k.conns, key)
	k.now++
	k.emit(&bpf.Record{Kind: bpf.RecordClose, Handle: handle, Gen: c.gen, Time: k.now, Pos: c.pos[0], Len: c.pos[1]}, thread, len(k.threads[thread]))
}

func (k *kernelSide) endProcess(tgid uint64) {
	for thread := range k.threads {
		if thread>>32 == tgid {
			delete(k.threads, thread)
		}
	}
	k.now++
	k.emit(&bpf.Record{Kind: bpf.RecordProcess, Time: k.now}, tgid<<32|tgid, 0)
	for key := range k.conns {
		if key.TGID == tgid {
			delete(k.conns, key)
		}
	}
}

// FuzzAssembler: whatever threads do, and whatever records are lost, the events
// obey the contract of package capture. What was not lost comes once and as it
// was; where nothing was lost and no thread sent while another did, sends come in the order of their beginnings and
// receives in that of their returns.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte("\x00\x22\x01\x14\x10\x12\x20\x02"))                 // a send, and a receive by the same thread
	f.Add([]byte("\x00\x22\x05\x02\x15\x12\x10\x12\x04\x02"))         // a receive returns before the send does
	f.Add([]byte("\x00\x00\x80\x10\x32\x03\x00\x30\x40\x05\x50\x60")) // losses, a close, a thread's and a process's end
	f.Fuzz(func(t *testing.T, in []byte) {
		k := kernelSide{rig: newRig(), threads: make(map[uint64][]kernelCall), conns: make(map[bpf.ConnKey]*kernelConn),
			moved: make(map[uint64]*kernelConn)}
		k.rig.assembler.positions = func(key bpf.ConnKey, forget bool) (bpf.ConnState, bool) {
			c := k.conns[key]
			if c == nil {
				return bpf.ConnState{}, false
			}
			state := bpf.ConnState{Gen: c.gen, Pos: c.pos}
			if forget {
				delete(k.conns, key)
			}
			return state, true
		}
		type reached struct {
			closed bool
			next   [2]uint64
			data   [2]uint64
			time   int64
			gen    uint64
		}
		var conns []*reached
		k.rig.order.emit = func(ev *capture.Event) {
			if ev.Kind == capture.Open {
				if int(ev.Conn) != len(conns)+1 || ev.Info == nil {
					t.Fatalf("connection %v opens as number %d", ev.Conn, len(conns)+1)
				}
				conns = append(conns, &reached{gen: k.rig.byID[ev.Conn].gen})
			}
			if ev.Conn == 0 || int(ev.Conn) > len(conns) || conns[ev.Conn-1].closed {
				t.Fatalf("kind %d of connection %v, which is not open", ev.Kind, ev.Conn)
			}
			c := conns[ev.Conn-1]
			c.closed = ev.Kind == capture.Close
			if ev.Kind != capture.Data && ev.Kind != capture.Lost {
				return
			}
			d := ev.Direction
			if ev.Offset < c.next[d] || ev.Length == 0 || ev.Kind == capture.Lost && ev.Offset != c.next[d] {
				t.Fatalf("%v: %d+%d behind %d", ev.Conn, ev.Offset, ev.Length, c.next[d])
			}
			c.next[d] = ev.Offset + ev.Length
			if ev.Kind == capture.Lost {
				return
			}
			c.data[d] += ev.Length
			for i, octet := range ev.Data {
				if octet != byte(ev.Offset)+byte(i) {
					t.Fatalf("%v: %x at %d", ev.Conn, ev.Data, ev.Offset)
				}
			}
			if !k.dropped && !k.overlap && ev.Time < c.time {
				t.Fatalf("%v: %d comes behind %d", ev.Conn, ev.Time, c.time)
			}
			c.time = ev.Time
		}
		for len(in) >= 2 {
			// Two processes of two threads, and who moves how much.
			thread := uint64(7+in[0]&1)<<32 | uint64(7+in[0]&3)
			handle := fuzzHandles[in[0]>>2&1]
			k.lose = in[0]&8 != 0
			size, pieces := int(in[1]&15), int(in[1]>>4&3)
			bound := in[1]&0x80 != 0
			switch in[0] >> 4 {
			case 0, 1, 2:
				k.begin(thread, handle, bpf.DirSend, bound)
			case 3, 4:
				k.begin(thread, handle, bpf.DirRecv, bound)
			case 5, 6, 7, 8, 9:
				k.end(thread, pieces, size)
			case 10:
				k.close(thread, handle)
			case 11: // left by longjmp
				if calls := k.threads[thread]; len(calls) > 0 {
					k.threads[thread] = calls[:len(calls)-1]
				}
			case 12:
				delete(k.threads, thread)
				k.emit(&bpf.Record{Kind: bpf.RecordThread}, thread, 0)
			case 13:
				k.endProcess(thread >> 32)
			case 14, 15:
				if k.dropped {
					k.rig.order.release()
				}
			}
			in = in[2:]
		}
		k.rig.finish(int64(k.now))
		if n := len(k.rig.order.queue); n > 0 || k.rig.order.held != 0 {
			t.Fatalf("%d places and %d octets are still held", n, k.rig.order.held)
		}
		byGen := make(map[uint64]*reached)
		for _, c := range conns {
			if byGen[c.gen] != nil {
				t.Fatalf("a connection was opened twice")
			}
			byGen[c.gen] = c
		}
		for gen, c := range k.moved {
			got := byGen[gen]
			if got == nil {
				if c.seen {
					t.Fatalf("a connection is not told of")
				}
				continue
			}
			if got.data != c.copied || !k.dropped && got.next != c.pos {
				t.Fatalf("octets that came: %v of %v, up to %v of %v", got.data, c.copied, got.next, c.pos)
			}
		}
	})
}
