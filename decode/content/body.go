// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"sort"

	"h2sniff/decode"
)

// Hole is a place in a Body where octets are missing.
type Hole struct {
	At   int    // before Body.Data[At]
	Size uint64 // octets; where not Exact, 0 or the most that it can be
	// Exact says that Size is the true number, so that what stands behind the
	// hole has a known place in the body.
	Exact  bool
	Reason string // h2sniff's words
}

// Frame is the place of a DATA frame in a Body.
type Frame struct {
	At   int // of its first octet in Body.Data
	Seq  uint64
	Time int64 // of its first octet, Unix nanoseconds
}

// Body is what the DATA frames of one direction of a stream carry, without
// padding. Octets that are missing are left out of Data and listed in Holes.
type Body struct {
	Data   []byte
	Holes  []Hole  // in order of At
	Frames []Frame // in order; of the first maxFrames
	// Octets is the size of the body as the frame headers have it, captured or
	// not.
	Octets uint64
	// Over is how many octets at the end were left out by Limits.
	Over uint64
	// Ended says that the end of the body was seen (END_STREAM).
	Ended bool
}

const (
	maxFrames = 1 << 16
	maxHoles  = 1 << 10
)

// whole tells whether the body is there from its beginning to its end.
func (b *Body) whole() bool { return b.Ended && len(b.Holes) == 0 && b.Over == 0 }

// addFrame appends the content of a DATA frame; room is how many more octets
// may be kept. It returns what it costs.
func (b *Body) addFrame(seq uint64, row *decode.Row, room int) (cost int) {
	before, holes := len(b.Data), len(b.Holes)
	defer func() { cost += len(b.Data) - before + (len(b.Holes)-holes)*frameCost }()
	if len(b.Frames) < maxFrames && room > 0 {
		b.Frames = append(b.Frames, Frame{At: before, Seq: seq, Time: row.Time})
		cost += frameCost
	}
	p, _ := decode.ParsePayload(row.Header, row.Payload)
	size, exact := uint64(row.Header.Length), true
	if p.HasPad {
		switch {
		case len(row.Payload) == 0, row.Missing > 0 && p.PadLength == 0:
			exact = false // the Pad Length itself may be what is missing
		default:
			size -= min(size, 1+uint64(p.PadLength))
		}
	}
	b.Octets += size
	if !exact {
		b.hole(Hole{Size: size, Reason: "octets that were not captured"})
		return cost
	}
	data := p.Data[:min(uint64(len(p.Data)), size)]
	lacking := size - uint64(len(data))
	if row.Missing > 0 {
		// Zeroes stand for what is missing. So all that stands before the
		// first zero and behind the last is certain.
		first, last := bytes.IndexByte(data, 0), bytes.LastIndexByte(data, 0)
		if first >= 0 {
			room = b.keep(data[:first], room)
			b.hole(Hole{Size: uint64(last + 1 - first), Exact: true, Reason: "octets that were not captured"})
			data = data[last+1:]
		}
	}
	b.keep(data, room)
	if lacking > 0 {
		b.hole(Hole{Size: lacking, Exact: true, Reason: "the frame was not captured to its end"})
	}
	return cost
}

// keep appends data as far as there is room, and returns the room left.
func (b *Body) keep(data []byte, room int) int {
	if b.Over > 0 {
		b.Over += uint64(len(data))
		return 0
	}
	n := min(len(data), max(room, 0))
	b.Data = append(b.Data, data[:n]...)
	b.Over += uint64(len(data) - n)
	return room - n
}

// hole says that octets are missing at the end of what is there.
func (b *Body) hole(h Hole) {
	if b.Over > 0 {
		b.Over += h.Size
		return
	}
	h.At = len(b.Data)
	if n := len(b.Holes); n > 0 {
		if last := &b.Holes[n-1]; last.At == h.At && last.Exact == h.Exact {
			last.Size += h.Size
			return
		}
		if n >= maxHoles {
			b.Over += max(h.Size, 1)
			return
		}
	}
	b.Holes = append(b.Holes, h)
}

// settle drops the holes that may be there from a body that has the length
// which was announced for it.
func (b *Body) settle(length uint64) {
	if !b.Ended || b.Octets != length {
		return
	}
	exact := b.Holes[:0]
	for _, h := range b.Holes {
		if h.Exact {
			exact = append(exact, h)
		}
	}
	b.Holes = exact
}

// Prefix is what stands before the first hole.
func (b *Body) Prefix() []byte {
	if len(b.Holes) == 0 {
		return b.Data
	}
	return b.Data[:b.Holes[0].At]
}

// Problem says why a body ends where Prefix ends; empty where it is whole.
func (b *Body) Problem() string {
	switch {
	case len(b.Holes) > 0:
		return b.Holes[0].String()
	case b.Over > 0:
		return "the rest is larger than is kept: " + count(b.Over, "octet") + " left out"
	case !b.Ended:
		return "the end was not seen"
	}
	return ""
}

// String describes the hole in a few words.
func (h Hole) String() string {
	switch {
	case h.Exact:
		return count(h.Size, "octet") + " missing: " + h.Reason
	case h.Size > 0:
		return "at most " + count(h.Size, "octet") + " missing: " + h.Reason
	}
	return "octets missing: " + h.Reason
}

// cursor walks through a body, over holes whose size is known.
type cursor struct {
	b    *Body
	pos  int // in b.Data
	hole int // next in b.Holes
	into uint64
}

// done tells whether there is nothing left.
func (c *cursor) done() bool { return c.pos >= len(c.b.Data) && c.hole >= len(c.b.Holes) }

// cut takes the next n octets of the body. What it returns shares memory with
// the body, has Ended set where all n are accounted for, and holes where some
// are missing.
func (c *cursor) cut(n uint64) Body {
	start := c.pos
	var sub Body
	for n > 0 {
		if c.hole < len(c.b.Holes) && c.b.Holes[c.hole].At <= c.pos {
			h := c.b.Holes[c.hole]
			if !h.Exact {
				break
			}
			h.Size -= c.into
			if h.Size > n {
				c.into += n
				h.Size = n
			} else {
				c.into = 0
				c.hole++
			}
			n -= h.Size
			sub.Octets += h.Size
			h.At = c.pos - start
			sub.Holes = append(sub.Holes, h)
			continue
		}
		end := len(c.b.Data)
		if c.hole < len(c.b.Holes) {
			end = c.b.Holes[c.hole].At
		}
		take := uint64(end - c.pos)
		if take == 0 {
			break
		}
		take = min(take, n)
		c.pos += int(take)
		n -= take
		sub.Octets += take
	}
	sub.Data = c.b.Data[start:c.pos:c.pos]
	sub.Ended = n == 0
	return sub
}

// rest takes all that is left.
func (c *cursor) rest() Body {
	sub := Body{Data: c.b.Data[c.pos:], Ended: c.b.Ended, Over: c.b.Over}
	for i := c.hole; i < len(c.b.Holes); i++ {
		h := c.b.Holes[i]
		if i == c.hole {
			h.Size -= min(h.Size, c.into)
		}
		h.At -= c.pos
		sub.Holes = append(sub.Holes, h)
	}
	sub.Octets = uint64(len(sub.Data))
	c.pos, c.hole, c.into = len(c.b.Data), len(c.b.Holes), 0
	return sub
}

// frames gives the Seq of the frames in which the octets from and to-1 of Data
// came, 0 where that is not known.
func (b *Body) frames(from, to int) (first, last uint64) {
	i, j := b.frameAt(from), b.frameAt(max(from, to-1))
	if i < 0 {
		return 0, 0
	}
	return b.Frames[i].Seq, b.Frames[j].Seq
}

// timeAt gives the time of the frame in which an octet of Data came.
func (b *Body) timeAt(at int) int64 {
	if i := b.frameAt(at); i >= 0 {
		return b.Frames[i].Time
	}
	return 0
}

// frameAt is the place in Frames of the last one that begins at or before at.
func (b *Body) frameAt(at int) int {
	return sort.Search(len(b.Frames), func(i int) bool { return b.Frames[i].At > at }) - 1
}
