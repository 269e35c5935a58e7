// SPDX-License-Identifier: Apache-2.0

package decode

import "golang.org/x/net/http2"

// candidate is a place where a frame may begin.
type candidate struct {
	start  uint64
	last   uint64 // where the newest header of the chain stands
	next   uint64 // where the chain's next header must stand
	h      FrameHeader
	score  int    // the chain's evidence, see evidence
	stream uint32 // of the last frame in the chain that had one
	weak   bool   // the chain is one DATA header, and needs a second of its stream
	open   uint32 // stream of a field block that the chain leaves open, or 0
	atCall bool   // a call begins at start
}

// follow adds a header to the chain.
func (c *candidate) follow(pos uint64, h FrameHeader) {
	c.weak = c.weak && c.next == 0
	c.score += evidence(h, c.stream)
	c.last, c.h = pos, h
	c.next = pos + frameHeaderSize + uint64(h.Length)
	if h.StreamID != 0 {
		c.stream = h.StreamID
	}
	switch h.Type {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		c.open = h.StreamID
		if h.Flags.Has(http2.FlagHeadersEndHeaders) { // the same bit in all three
			c.open = 0
		}
	}
}

// continues tells whether h can be the next frame of the chain.
func (c *candidate) continues(h FrameHeader, longest uint32) bool {
	if c.open != 0 {
		return h.Type == http2.FrameContinuation && h.StreamID == c.open && plausible(h, longest)
	}
	if !known(h.Type) {
		return h.Length <= longest
	}
	return plausible(h, longest) && h.Type != http2.FrameContinuation
}
