// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"math"

	"h2sniff/capture"
)

// held is what is held back of a direction: the octets from base on.
type held struct {
	s    *Source
	conn capture.ConnID
	dir  capture.Direction

	base   uint64  // position of the first octet that was not released
	next   uint64  // position behind the last octet that came
	pieces []piece // in order, none of them empty
	// buf has the octets that were captured of the pieces, one after the other.
	buf  []byte
	size int // octets of them that were not released
}

// piece is what is held of one event.
type piece struct {
	time   int64
	tid    uint32
	lost   bool   // by the source
	from   uint64 // position
	n      uint64 // octets
	data   []byte // of them, those that were captured: the first ones
	called bool   // a piece before it, of the same event, was released
}

// add holds what an event brings. Nothing that was released before is read any
// more: the queue is empty.
func (h *held) add(ev *capture.Event) {
	end := ev.Offset + ev.Length
	if end < ev.Offset {
		end = math.MaxUint64
	}
	p := piece{time: ev.Time, tid: ev.TID, lost: ev.Kind == capture.Lost, from: max(ev.Offset, h.next)}
	if end <= p.from {
		return // nothing new; the decoder sees it so too
	}
	p.n = end - p.from
	h.next = end
	if !p.lost {
		data := ev.Data
		data = data[min(uint64(len(data)), p.from-ev.Offset):]
		data = data[:min(uint64(len(data)), p.n)]
		p.data = h.keep(data)
	}
	h.pieces = append(h.pieces, p)
}

// keep copies octets into the buffer.
func (h *held) keep(data []byte) []byte {
	if len(h.buf)+len(data) > cap(h.buf) || len(h.pieces) == 0 {
		h.compact(len(data))
	}
	at := len(h.buf)
	h.buf = append(h.buf, data...)
	h.size += len(data)
	return h.buf[at:len(h.buf):len(h.buf)]
}

// smallBuffer is the size of a buffer that is kept though it is not full.
const smallBuffer = 64 << 10

// compact makes the buffer one that holds what is held, and has room for more
// octets.
func (h *held) compact(more int) {
	if len(h.pieces) == 0 && more <= cap(h.buf) && cap(h.buf) <= smallBuffer {
		h.buf = h.buf[:0]
		return
	}
	buf := make([]byte, 0, max(2*(h.size+more), 1024))
	for i := range h.pieces {
		p := &h.pieces[i]
		at := len(buf)
		buf = append(buf, p.data...)
		p.data = buf[at:len(buf):len(buf)]
	}
	h.buf = buf
}

// gather appends octets that are held to dst. It returns false unless all of them were
// captured.
func (h *held) gather(dst []byte, from, to uint64) ([]byte, bool) {
	for i := range h.pieces {
		p := &h.pieces[i]
		if from >= to || p.from > from {
			break
		}
		if p.from+uint64(len(p.data)) <= from {
			continue
		}
		part := p.data[from-p.from : min(to-p.from, uint64(len(p.data)))]
		dst = append(dst, part...)
		from += uint64(len(part))
	}
	return dst, from >= to
}

// put overwrites octets that are held, which gather gave.
func (h *held) put(from uint64, data []byte) {
	for i := range h.pieces {
		p := &h.pieces[i]
		if len(data) == 0 {
			return
		}
		if p.from+uint64(len(p.data)) <= from {
			continue
		}
		n := copy(p.data[from-p.from:], data)
		data = data[n:]
		from += uint64(n)
	}
}

// release queues what is held before position to: as it is, or as a hole. apart
// begins an event of its own.
func (h *held) release(to uint64, show, apart bool) {
	done := 0
	for i := range h.pieces {
		p := &h.pieces[i]
		if p.from >= to {
			break
		}
		n := min(p.n, to-p.from)
		h.emit(p, n, show, apart)
		apart = false
		captured := min(n, uint64(len(p.data)))
		p.data = p.data[captured:]
		h.size -= int(captured)
		p.from, p.n, p.called = p.from+n, p.n-n, true
		if p.n == 0 {
			done++
		}
	}
	h.pieces = h.pieces[:copy(h.pieces, h.pieces[done:])]
	h.base = max(h.base, to)
}

// emit queues the first n octets of a piece. Where they go on with the event
// queued last, they are put to it.
func (h *held) emit(p *piece, n uint64, show, apart bool) {
	ev := capture.Event{Kind: capture.Data, Conn: h.conn, Direction: h.dir, TID: p.tid, Time: p.time, Offset: p.from, Length: n}
	switch {
	case p.lost:
		ev.Kind = capture.Lost
	case show:
		ev.Data = p.data[:min(n, uint64(len(p.data)))]
	default:
		h.s.hidden.Add(min(n, uint64(len(p.data))))
	}
	q := h.s.queue
	if last := len(q) - 1; p.called && !apart && last >= h.s.read {
		before := &q[last]
		same := before.Conn == ev.Conn && before.Direction == ev.Direction && before.Kind == ev.Kind && before.Offset+before.Length == ev.Offset
		if full := before.Length == uint64(len(before.Data)); same && (full || len(ev.Data) == 0) {
			// They stand one behind the other in the buffer as well.
			before.Data = before.Data[:len(before.Data)+len(ev.Data)]
			before.Length += ev.Length
			return
		}
	}
	h.s.queue = append(q, ev)
}

// hideAll releases all that is held, as holes.
func (h *held) hideAll() { h.release(h.next, false, false) }
