// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

const (
	frameHeaderSize = 9
	// maxKeptPayload bounds what is kept of one payload, octets.
	maxKeptPayload = 1 << 20
	// padLengthSize is the size of the Pad Length field (RFC 9113, section 6.1),
	// which all that is told of a DATA frame rests on, but its content.
	padLengthSize = 1
	// keepBuffer is the largest buffer that a direction keeps between frames.
	keepBuffer = 32 << 10
)

// dirState is what a direction does with its next octets.
type dirState uint8

const (
	dirStart  dirState = iota // tells by its first octets what it is
	dirHunt                   // seeks a frame boundary
	dirFrames                 // is in step: frames
	dirOther                  // carries no HTTP/2
)

// mark is when, and by which thread, octets came.
type mark struct {
	time int64
	tid  uint32
}

// direction decodes the octets of one direction.
type direction struct {
	conn  *Conn
	dir   capture.Direction
	state dirState
	pos   uint64 // of the next octet
	last  int64  // time of the newest octets
	holes uint64 // how often octets were missing or skipped

	// fromStart is set when the direction was seen from the first octet of
	// the connection; damaged, when octets were skipped since, so that a
	// setting may have been missed.
	fromStart, damaged bool
	// settingsFirst is set when the first octet seen began a SETTINGS frame
	// that is no acknowledgement, and nothing was lost since.
	settingsFirst bool
	refuted       bool   // the first octets are of no HTTP
	frames        uint64 // since the direction came in step
	// found is set when the direction came in step by the looks of its octets;
	// guard counts down the frames for which that is still doubted in all.
	found bool
	guard int

	// The frame in progress.
	header  [frameHeaderSize]byte
	headerN int // octets of header that have come
	h       FrameHeader
	got     uint32 // octets of payload that have come or are missing
	missing uint32
	cut     bool   // content of DATA was left out: the payload is kept up to there
	buf     []byte // the payload so far, at most kept()
	begun   mark
	at      uint64 // position of its first octet
	// The other direction's pos and holes when the header had come.
	revPos, revHoles uint64

	// due are the newest streams of which a HEADERS frame said that more
	// comes.
	due  [32]uint32
	dueN uint8

	block    block
	fields   sectionDecoder
	maxFrame uint32 // largest payload that the other side allows

	win  window // octets not yet in step
	hunt hunt
	held [GapSkipped + 1]heldGap // gaps seen before the protocol was
}

// heldGap is a gap whose row waits until the connection proves to be HTTP/2.
type heldGap struct {
	bytes       uint64
	first, last int64 // times
}

func (d *direction) reverse() *direction { return &d.conn.dirs[d.dir.Reverse()] }

// data takes octets at d.pos. atCall says that p begins what one call of the
// program moved, endCall that it ends it.
func (d *direction) data(p []byte, m mark, atCall, endCall bool) {
	if d.cutByPreface(p, atCall) {
		d.rejected()
	}
	d.last = m.time
	for len(p) > 0 {
		switch d.state {
		case dirFrames:
			p = d.inStep(p, m)
			continue
		case dirOther:
			d.pos += uint64(len(p))
			return
		}
		// Out of step: in pieces, so that the window stays small.
		n := min(len(p), windowSize/16)
		d.win.add(d.pos, p[:n], m, atCall)
		d.pos += uint64(n)
		piece := p[:n]
		p = p[n:]
		d.search(piece, atCall, endCall && len(p) == 0)
		atCall = false
		if d.conn.dropped() {
			return
		}
	}
}

// inStep takes octets at d.pos, all of it unless the direction turns out not
// to be in step; it returns the octets left then.
func (d *direction) inStep(p []byte, m mark) []byte {
	for len(p) > 0 {
		if d.headerN < frameHeaderSize {
			if d.headerN == 0 {
				d.begun, d.at = m, d.pos
			}
			if d.headerN == 0 && len(p) >= frameHeaderSize {
				d.h = parseHeader(p)
				if d.found {
					copy(d.header[:], p)
				}
				d.headerN = frameHeaderSize
				d.pos += frameHeaderSize
				p = p[frameHeaderSize:]
			} else {
				n := copy(d.header[d.headerN:], p)
				d.headerN += n
				d.pos += uint64(n)
				p = p[n:]
				if d.headerN < frameHeaderSize {
					return nil
				}
				d.h = parseHeader(d.header[:])
			}
			d.got, d.missing, d.cut = 0, 0, false
			rev := d.reverse()
			d.revPos, d.revHoles = rev.pos, rev.holes
			if d.found && d.doubts(d.h) {
				d.outOfStep()
				return p
			}
			if d.h.Length == 0 {
				d.frame(nil, m.time)
			}
			continue
		}
		left := d.h.Length - d.got
		again := d.h == prefaceHeader && d.got < prefaceRest && d.conn.preface[d.dir]
		if again {
			left = prefaceRest - d.got
		}
		n := min(uint64(left), uint64(len(p)))
		part := p[:n]
		p = p[n:]
		d.pos += n
		if d.got == 0 && uint32(n) == d.h.Length {
			// The whole payload: no need to copy it.
			d.got = d.h.Length
			d.frame(part[:min(n, uint64(d.kept()))], m.time)
			continue
		}
		d.keep(part)
		d.got += uint32(n)
		if again && d.got == prefaceRest && string(d.buf) == http2.ClientPreface[frameHeaderSize:] {
			d.beginAnew(m)
		} else if d.got == d.h.Length {
			d.frame(d.buf, m.time)
		}
	}
	return nil
}

// kept is how much is kept of the payload in progress, octets.
func (d *direction) kept() int {
	if d.conn.dropData && d.h.Type == http2.FrameData {
		return padLengthSize
	}
	return maxKeptPayload
}

// keep appends payload to the buffer, as far as the limit allows.
func (d *direction) keep(p []byte) {
	if d.cut {
		return
	}
	if room := d.kept() - len(d.buf); len(p) > room {
		p = p[:room]
	}
	if d.buf == nil {
		d.buf = make([]byte, 0, max(len(p), min(int(d.h.Length), d.kept(), keepBuffer)))
	}
	d.buf = append(d.buf, p...)
}

// keepZeroes stands in for n octets that are missing.
func (d *direction) keepZeroes(n uint64) {
	if d.cut {
		return
	}
	n = min(n, uint64(d.kept()-len(d.buf)))
	for n > 0 {
		var zeroes [4096]byte
		k := min(n, uint64(len(zeroes)))
		d.buf = append(d.buf, zeroes[:k]...)
		n -= k
	}
}

// hole says that the n octets at d.pos will never come. The caller advances
// d.pos.
func (d *direction) hole(n uint64, why GapReason, t int64) {
	d.last = t
	if d.state == dirOther {
		return
	}
	if d.state != dirFrames {
		d.holeInWindow(n, why, t)
		return
	}
	if d.headerN == frameHeaderSize {
		// Inside a payload, whose end is known.
		k := min(n, uint64(d.h.Length-d.got))
		if why == GapNotCopied && d.h.Type == http2.FrameData {
			// Nothing is unknown of the frame but its content, which was
			// left out. What more there is has a frame's header in it.
			d.cut = true
			d.gap(n-k, why, t, t)
		} else {
			d.gap(n, why, t, t)
			d.keepZeroes(k)
			d.missing += uint32(k)
		}
		d.got += uint32(k)
		if d.got == d.h.Length {
			d.frame(d.buf, t)
		}
		if k == n {
			return
		}
	} else {
		if d.headerN > 0 {
			d.gap(uint64(d.headerN), GapSkipped, d.begun.time, d.begun.time)
			d.headerN = 0
		}
		d.gap(n, why, t, t)
	}
	d.lose()
	d.hunt.restart(d.pos + n)
}

// doubts tells whether the header shows that the direction, which came in step by
// its looks, never was: at first by all that a frame nearly always is, later only
// by a length that no program sends unasked.
func (d *direction) doubts(h FrameHeader) bool {
	return h.Length > max(longestData, d.maxFrame) || d.guard > 0 && !credible(h)
}

// outOfStep says that the frame header just read is none.
func (d *direction) outOfStep() {
	d.lose()
	d.headerN = 0
	at := d.pos - frameHeaderSize
	d.hunt.restart(at)
	d.win.clear()
	d.win.add(at, d.header[:], d.begun, false)
}

// lose says that the direction is not in step any more.
func (d *direction) lose() {
	d.state = dirHunt
	d.damaged, d.settingsFirst = true, false
	d.block.lost()
	d.fields.abort()
	d.frames = 0
}

// gap emits a gap row, or holds it until the protocol is known.
func (d *direction) gap(n uint64, why GapReason, first, last int64) {
	if n == 0 {
		return
	}
	d.holes++
	if d.conn.proto != HTTP2 {
		g := &d.held[why]
		if g.bytes == 0 {
			g.first = first
		}
		g.bytes += n
		g.last = last
		return
	}
	c := d.conn
	c.row = Row{Kind: RowGap, Direction: d.dir, Conn: c.id, Time: first, TimeEnd: last, GapBytes: n, GapReason: why}
	c.out()
}

// flushHeld emits the gaps that waited for the protocol.
func (d *direction) flushHeld() {
	for why := range d.held {
		g := d.held[why]
		d.held[why] = heldGap{}
		d.gap(g.bytes, GapReason(why), g.first, g.last)
	}
}

// close ends the direction: what is unfinished, and why, is told.
func (d *direction) close(why *FrameError) {
	if d.conn.proto != HTTP2 {
		return
	}
	switch {
	case d.state == dirOther:
	case d.state == dirStart && d.answers() && d.tellOther(classifyAnswer(d.win.buf, true)):
	case d.state != dirFrames:
		from := d.hunt.from
		if d.state == dirStart {
			from = d.win.base
		}
		if d.pos > from {
			d.markFirst()
			d.gap(d.pos-from, GapSkipped, d.hunt.first, d.last)
		}
	case d.headerN == frameHeaderSize:
		d.unfinished(why)
	case d.headerN > 0:
		d.gap(uint64(d.headerN), GapSkipped, d.begun.time, d.last)
	}
}

func parseHeader(p []byte) FrameHeader {
	_ = p[8]
	return FrameHeader{
		Length:   uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2]),
		Type:     http2.FrameType(p[3]),
		Flags:    http2.Flags(p[4]),
		StreamID: binary.BigEndian.Uint32(p[5:]) & maxInt31,
	}
}
