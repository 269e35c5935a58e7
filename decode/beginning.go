// SPDX-License-Identifier: Apache-2.0

package decode

import "golang.org/x/net/http2"

const (
	// maxLead bounds how many frames of a chain are looked at for its beginning.
	maxLead = 64
	// nearStreams is how far apart the streams are, in their ids, that are
	// open at the same time.
	nearStreams = 200
)

// firstFrame gives where the frames of a chain begin that is good enough.
//
// The chain's evidence is that of all of it. Octets that only look like a
// header, and that lead to a frame by chance, have all of what follows speak for
// them. What looks like a header of DATA is found in nearly all content: such
// ones at the front, where no call begins, need something of their own.
func (d *direction) firstFrame(c *candidate) uint64 {
	if c.atCall {
		return c.start
	}
	var lead []FrameHeader
	for pos := c.start; pos >= d.win.base && pos+frameHeaderSize <= d.win.end() && len(lead) < maxLead; {
		h := parseHeader(d.win.buf[pos-d.win.base:])
		lead = append(lead, h)
		pos += frameHeaderSize + uint64(h.Length)
	}
	pos := c.start
	for i, h := range lead {
		if h.Type != http2.FrameData || h.StreamID == d.conn.stream || supported(h, lead[i+1:]) {
			return pos
		}
		pos += frameHeaderSize + uint64(h.Length)
	}
	return c.start // nothing says more for one than for another
}

// supported tells whether the frames behind one of DATA make it likely: others of
// its stream, or, where it ends the stream or has the length that senders fill,
// of streams that can be open at the same time.
func supported(h FrameHeader, behind []FrameHeader) bool {
	again, other := false, uint32(0) // the last other stream
	for _, f := range behind {
		switch f.StreamID {
		case 0:
		case h.StreamID:
			again = true
		default:
			other = f.StreamID
		}
	}
	if other == 0 || again && !doubtful(h) {
		return true
	}
	near := max(h.StreamID, other)-min(h.StreamID, other) <= nearStreams
	return near && (again || h.Flags.Has(http2.FlagDataEndStream) || h.Length == defaultMaxFrameSize)
}
