// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"slices"

	"golang.org/x/net/http2"
)

const (
	// maxCandidates bounds how many places are followed at once.
	maxCandidates = 64
	// giveUpAfter is how many octets of a direction are searched before the
	// connection is held to be no HTTP/2.
	giveUpAfter = 1 << 20
	// doubtedFrames is for how many frames a boundary that was found by its
	// looks is still doubted.
	doubtedFrames = 8
)

// hunt is the search for a frame boundary in a direction that is not in step.
//
// Frame headers are followed from each place where one could stand. A place
// where several in a row make sense is a boundary; where calls begin and end
// on boundaries, fewer do.
type hunt struct {
	from    uint64 // where the octets begin that have no place in a frame yet
	first   int64  // time of the first of them
	begun   bool   // first is set
	scanned uint64 // places before it were looked at
	octets  uint64 // octets searched
	endCall bool   // the window ends where a call ends
	cands   []candidate
}

// restart begins a search at pos.
func (h *hunt) restart(pos uint64) {
	*h = hunt{from: pos, scanned: pos, cands: h.cands[:0]}
}

// startHunt turns from judging the first octets to the search.
func (d *direction) startHunt() {
	d.state = dirHunt
	endCall := d.hunt.endCall
	d.hunt.restart(d.win.base)
	d.hunt.octets = uint64(len(d.win.buf))
	d.look(endCall)
}

// search works on the octets just added to the window, of which call is the
// beginning of a call if atCall is set.
func (d *direction) search(call []byte, atCall, endCall bool) {
	c := d.conn
	d.hunt.endCall = endCall
	d.hunt.octets += uint64(len(call))
	if d.state == dirStart {
		d.start()
		if d.state == dirStart && len(d.win.buf) > windowSize {
			c.giveUp(OtherProtocol)
		}
		return
	}
	if c.proto == Undecided {
		if atCall {
			switch classify(call) {
			case looksRequest:
				c.setRole(sender(d.dir), roleFields)
				c.giveUp(HTTP1)
				return
			case looksResponse:
				c.setRole(sender(d.dir.Reverse()), roleFields)
				c.giveUp(HTTP1)
				return
			}
		}
		if d.hunt.octets > giveUpAfter {
			c.giveUp(OtherProtocol)
			return
		}
	}
	d.look(endCall)
}

// look follows the candidates through the window and comes in step where one
// is good enough.
func (d *direction) look(endCall bool) {
	d.scan()
	if best := d.best(endCall, false); best != nil {
		d.comeInStep(d.firstFrame(best))
		return
	}
	if len(d.win.buf) > windowSize {
		d.slide(d.win.end() - windowSize/2)
	}
}

// searchLast looks once more when there will be no more octets.
func (d *direction) searchLast() {
	if d.state != dirHunt {
		return
	}
	if best := d.best(true, true); best != nil {
		d.comeInStep(d.firstFrame(best))
	}
}

// comeInStep goes on with frames from pos.
func (d *direction) comeInStep(pos uint64) {
	d.markFirst()
	skipped := pos - d.hunt.from
	first, last := d.hunt.first, d.last
	if pos > d.win.base && len(d.win.buf) > 0 {
		last = d.win.markAt(min(pos, d.win.end()) - 1).time
	}
	if skipped > 0 {
		d.settingsFirst = false
	}
	d.state, d.found, d.guard, d.frames = dirFrames, true, doubtedFrames, 0
	d.block.lost()
	found := d.conn.proto != HTTP2
	d.conn.found(d)
	d.gap(skipped, GapSkipped, first, last)
	d.drain(pos)
	if found {
		d.reverse().review()
	}
}

// drain decodes what the window holds from pos on.
func (d *direction) drain(pos uint64) {
	w := d.win
	d.win = window{}
	endCall := d.hunt.endCall
	d.hunt = hunt{}
	w.discard(pos)
	d.pos = w.base
	for i, s := range w.segs {
		end, ends := w.end(), endCall
		if i+1 < len(w.segs) {
			end, ends = w.segs[i+1].start, w.segs[i+1].call
		}
		d.data(w.buf[s.start-w.base:end-w.base], s.mark, s.call, ends)
	}
}

// slide drops the octets before pos from the window. Candidates there go on
// with the next frame of their chain.
func (d *direction) slide(pos uint64) {
	for i := range d.hunt.cands {
		c := &d.hunt.cands[i]
		if c.start >= pos {
			continue
		}
		c.atCall = false
		if c.start = c.next; c.last >= pos {
			c.start = c.last
		}
	}
	d.markFirst()
	d.win.discard(pos)
	d.hunt.scanned = max(d.hunt.scanned, pos)
}

// markFirst notes when the first octet came that is being skipped.
func (d *direction) markFirst() {
	if !d.hunt.begun && len(d.win.buf) > 0 {
		d.hunt.first, d.hunt.begun = d.win.markAt(d.win.base).time, true
	}
}

// holeInWindow says that the n octets at d.pos will never come, in a direction
// that is not in step.
func (d *direction) holeInWindow(n uint64, why GapReason, t int64) {
	after := d.pos + n
	from := d.hunt.from
	if d.state == dirStart {
		d.state = dirHunt
		from = d.pos - uint64(len(d.win.buf))
	}
	d.markFirst()
	if d.pos > from {
		last := t
		if len(d.win.buf) > 0 {
			last = d.win.segs[len(d.win.segs)-1].time
		}
		d.gap(d.pos-from, GapSkipped, d.hunt.first, last)
	}
	d.gap(n, why, t, t)
	d.damaged, d.settingsFirst = true, false
	d.fields.abort()
	// A chain whose next header lies behind the hole goes on there.
	kept := d.hunt.cands[:0]
	for _, c := range d.hunt.cands {
		if c.next >= after {
			c.start, c.atCall = c.next, false
			kept = append(kept, c)
		}
	}
	octets := d.hunt.octets
	d.hunt.restart(after)
	d.hunt.cands, d.hunt.octets = kept, octets
	d.win.clear()
}

// scan follows the chains through the new octets of the window, and begins new
// ones.
func (d *direction) scan() {
	h, w := &d.hunt, &d.win
	due := h.due()
	h.scanned = max(h.scanned, w.base)
	for ; h.scanned+frameHeaderSize <= w.end(); h.scanned++ {
		pos := h.scanned
		b := w.buf[pos-w.base:]
		if pos == due {
			alive := d.advance(pos, b)
			due = h.due()
			if alive {
				continue
			}
		}
		if b[3] > byte(FramePriorityUpdate) || b[5]&0x80 != 0 {
			continue
		}
		hd := parseHeader(b)
		if !plausible(hd, d.longest(hd)) {
			continue
		}
		c := candidate{start: pos, atCall: w.isCall(pos)}
		// Zeroes and small numbers, as they stand at the end of WINDOW_UPDATE
		// or RST_STREAM, make a DATA header of them, and others that are
		// empty: such ones are not where a chain begins.
		if hd.Length == 0 && (hd.Type == http2.FrameData || hd.Flags == 0 && !c.atCall) {
			continue
		}
		c.weak = hd.Type == http2.FrameData && doubtful(hd)
		c.follow(pos, hd)
		h.add(c)
		due = h.due()
	}
}

// add begins to follow a candidate. If there are too many, the one that
// promises the least is dropped: little evidence, or a far next header.
func (h *hunt) add(c candidate) {
	if len(h.cands) < maxCandidates {
		h.cands = append(h.cands, c)
		return
	}
	least := &c
	for i := range h.cands {
		o := &h.cands[i]
		if o.score < least.score || o.score == least.score && o.next > least.next {
			least = o
		}
	}
	*least = c
}

// due is the next position where a chain needs a header.
func (h *hunt) due() uint64 {
	due := ^uint64(0)
	for i := range h.cands {
		due = min(due, h.cands[i].next)
	}
	return due
}

// advance takes the chains that need a header at pos one further, or drops
// them. Of several that meet there the best one stays. It tells whether one
// is left.
func (d *direction) advance(pos uint64, b []byte) bool {
	hd := parseHeader(b)
	reserved := b[5]&0x80 != 0
	kept := d.hunt.cands[:0]
	met := -1
	for _, c := range d.hunt.cands {
		if c.next == pos {
			if c.weak && (hd.Type != http2.FrameData || hd.StreamID != c.h.StreamID) {
				continue
			}
			if reserved || !c.continues(hd, d.longest(hd)) || !d.payloadPlausible(&c) {
				continue
			}
			c.score += payloadEvidence(c.h)
			c.follow(pos, hd)
			if met >= 0 {
				if m := &kept[met]; c.score > m.score {
					*m = c
				}
				continue
			}
			met = len(kept)
		}
		kept = append(kept, c)
	}
	d.hunt.cands = kept
	return met >= 0
}

// payloadPlausible judges the newest frame of a chain as far as the window holds
// it.
func (d *direction) payloadPlausible(c *candidate) bool {
	from := c.last + frameHeaderSize
	if c.last < d.win.base {
		return true
	}
	if c.next > d.win.end() {
		return plausibleStart(c.h, d.win.buf[min(from-d.win.base, uint64(len(d.win.buf))):])
	}
	return plausiblePayload(c.h, d.win.buf[from-d.win.base:c.next-d.win.base])
}

// best gives the candidate that has enough evidence and the most of it, or
// nil. last says that there will be no more.
func (d *direction) best(endCall, last bool) *candidate {
	var best *candidate
	most := 0
	end := d.win.end()
	for i := range d.hunt.cands {
		c := &d.hunt.cands[i]
		if c.start > end || c.weak {
			continue
		}
		score, exact := c.score, endCall && c.next == end
		if exact {
			score += payloadEvidence(c.h) + evidenceOfEnd
			if c.atCall {
				score += evidenceOfCall
			}
		}
		if exact && last && d.awaits(c) {
			score += evidenceOfStream
		}
		if score >= d.enough(c, exact, last) && score > most && d.payloadPlausible(c) {
			best, most = c, score
		}
	}
	return best
}

// awaits tells whether frames of the chain's newest stream were to be expected.
func (d *direction) awaits(c *candidate) bool {
	return c.stream != 0 && c.stream == d.conn.stream ||
		c.h.Type == http2.FrameData && slices.Contains(d.due[:], c.h.StreamID)
}

// enough is the score that a candidate needs. At the beginning of a call it
// needs less than at any other octet, of which there are many, and so it does
// where its chain ends with a call or, last, with the direction.
func (d *direction) enough(c *candidate, exact, last bool) int {
	http2 := d.conn.proto == HTTP2
	switch {
	case c.atCall && http2:
		return 9
	case http2 && exact && last:
		return 12
	case http2:
		return 23
	case c.atCall && exact:
		return 12
	case c.atCall:
		return 20
	}
	return 36
}

// longest is the longest payload that a frame with this header may have.
func (d *direction) longest(h FrameHeader) uint32 {
	if d.reverse().settingsKnown() {
		return d.maxFrame
	}
	return longestUnasked(h)
}
