// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"h2sniff/capture"
)

const (
	// maxOctets bounds what waits behind holes in all connections together.
	maxOctets = 64 << 20
	// sweepEvery is how often, in the capture's time, holes are looked at in
	// connections that have no packets, in ns.
	sweepEvery = 100e6
)

// A Reader reads a capture. It implements capture.Source and capture.Ignorer.
//
// Memory is bounded: 65,536 connections are followed at once, 4 MiB wait
// behind a hole in a direction and 64 MiB in all, and a packet has at most
// 1 MiB.
type Reader struct {
	format format
	closer io.Closer // of the octets; nil where they need no closing
	start  int64
	ahead  *record // the first packet, until it is used
	err    error   // why no more packets come

	table  table
	byID   map[capture.ConnID]*conn
	opened capture.ConnID // the latest
	holes  []*conn        // something waits, or is reset
	octets int            // that wait, with their cost
	clock  int64          // the latest time of a packet
	swept  int64          // clock at the latest sweep
	since  int            // packets since then
	queue  []capture.Event
	head   int // of the queue

	unknown struct {
		packets uint64 // of unknown link types
		link    uint32
	}
	known uint64 // packets of known ones

	stats struct{ events, bytes, lostEvents, lostBytes, notCopied atomic.Uint64 }

	closed atomic.Bool
}

// NewReader begins to read a capture from r and returns once the first packet
// is read. If r is an io.Closer, [Reader.Close] closes it.
func NewReader(r io.Reader) (*Reader, error) {
	f, err := newFormat(r)
	if err != nil {
		return nil, err
	}
	rd := &Reader{format: f, table: newTable(), byID: make(map[capture.ConnID]*conn)}
	rd.closer, _ = r.(io.Closer)
	first := new(record)
	if err := f.next(first); err != nil {
		rd.err = err // of Read
		return rd, nil
	}
	rd.ahead, rd.start = first, first.time
	rd.clock, rd.swept = first.time, first.time
	return rd, nil
}

// Start is the time of the first packet, in nanoseconds since the Unix epoch;
// 0 if there is none.
func (r *Reader) Start() int64 { return r.start }

// Read fills ev with the next event. The error is io.EOF at the end and after
// Close, one that wraps ErrTruncated, ErrDamaged or ErrLinkType once all whole
// packets have been used, or that of the underlying reader.
func (r *Reader) Read(ev *capture.Event) error {
	var rec record
	for r.head == len(r.queue) {
		if r.closed.Load() {
			return io.EOF
		}
		r.queue, r.head = r.queue[:0], 0
		switch {
		case r.ahead != nil:
			r.packet(r.ahead)
			r.ahead = nil
		case r.err != nil:
			if r.closed.Load() {
				return io.EOF
			}
			if len(r.holes) == 0 {
				*ev = capture.Event{}
				return r.end()
			}
			r.flush(r.holes[0])
		default:
			if r.err = r.format.next(&rec); r.err == nil {
				r.packet(&rec)
			}
		}
	}
	*ev = r.queue[r.head]
	r.head++
	r.count(ev)
	return nil
}

// end is the error at the end of the file.
func (r *Reader) end() error {
	r.stats.lostEvents.Store(r.format.drops())
	if errors.Is(r.err, io.EOF) && r.known == 0 && r.unknown.packets > 0 {
		return fmt.Errorf("%w (it has number %d)", ErrLinkType, r.unknown.link)
	}
	return r.err
}

func (r *Reader) count(ev *capture.Event) {
	r.stats.events.Add(1)
	switch ev.Kind {
	case capture.Data:
		r.stats.bytes.Add(ev.Length)
		if n := ev.Length - uint64(len(ev.Data)); n > 0 {
			r.stats.notCopied.Add(n)
		}
	case capture.Lost:
		r.stats.bytes.Add(ev.Length)
		r.stats.lostBytes.Add(ev.Length)
	}
}

// Stats tells what the events read so far add up to. LostEvents are the packets
// that the capturing program says it missed, known at the end of the file.
func (r *Reader) Stats() capture.Stats {
	return capture.Stats{
		Events: r.stats.events.Load(), Bytes: r.stats.bytes.Load(), LostEvents: r.stats.lostEvents.Load(),
		LostBytes: r.stats.lostBytes.Load(), NotCopied: r.stats.notCopied.Load(),
	}
}

// Ignore implements capture.Ignorer: of this connection only the end will be
// told. It is called by the goroutine that reads.
func (r *Reader) Ignore(id capture.ConnID) {
	c := r.byID[id]
	if c == nil {
		return
	}
	c.ignored = true
	r.drop(c, 0)
	r.drop(c, 1)
}

// Close closes the underlying reader if it is an io.Closer; a Read that waits
// ends if closing ends the underlying one.
func (r *Reader) Close() error {
	if r.closed.Swap(true) || r.closer == nil {
		return nil
	}
	return r.closer.Close()
}

// packet takes one packet.
func (r *Reader) packet(rec *record) {
	var s segment
	known, ok := s.parse(rec)
	if !known {
		r.unknown.packets++
		r.unknown.link = rec.link
		return
	}
	r.known++
	r.clock = max(r.clock, rec.time)
	if ok {
		r.segment(&s, rec.time)
	}
	if len(r.holes) > 0 {
		r.sweep()
	}
}

// sweep gives up holes of connections that have gone silent. Its cost is
// spread over as many packets as there are holes.
func (r *Reader) sweep() {
	r.since++
	if r.clock-r.swept < sweepEvery || r.since < len(r.holes)/8 {
		return
	}
	r.swept, r.since = r.clock, 0
	for i := len(r.holes) - 1; i >= 0; i-- { // the list shrinks at its end
		if i < len(r.holes) {
			r.watch(r.holes[i], 0)
		}
	}
}
