// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"encoding/binary"

	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// frameHead is the length of a frame header (RFC 9113, section 4.1).
const frameHead = 9

// octetPart is a run of a frame's octets, its header included, that means
// something.
type octetPart struct {
	partKey
	from, to int
	secret   bool // is not to be shown
}

// partKey names a part: of those of the same name, the n-th.
type partKey struct {
	name string
	n    int
}

// cutter takes a payload apart, front to back.
type cutter struct {
	parts []octetPart
	at    int // octets of the frame so far
	end   int // of what there is of the payload
}

// cut makes the next n octets a part, as far as they are there.
func (c *cutter) cut(n int, name string, i int) {
	to := min(c.at+n, c.end)
	if to > c.at {
		c.parts = append(c.parts, octetPart{partKey: partKey{name, i}, from: c.at, to: to})
		c.at = to
	}
}

// rest makes all that is left a part.
func (c *cutter) rest(name string) { c.cut(c.end-c.at, name, 0) }

// frameParts takes the octets of a frame apart. What of them is field lines is
// known from the field block; see blockOf.
func frameParts(e *store.Entry, b fieldBlock, secret func(*decode.Field) bool) []octetPart {
	if e.Kind != decode.RowFrame {
		return nil
	}
	p := e.Payload
	c := &cutter{end: frameHead}
	c.cut(3, "length", 0)
	c.cut(1, "type", 0)
	c.cut(1, "flags", 0)
	c.cut(4, "stream", 0)
	c.end = frameHead + min(len(p), int(e.Header.Length))
	if e.Missing > 0 {
		// Zeroes stand in place of octets: what is what cannot be told.
		c.rest("payload with octets missing")
		return c.parts
	}
	h := &e.Header
	padding := 0
	if isPadded(h) && len(p) > 0 {
		padding = int(p[0])
		c.cut(1, "padding", 0)
	}
	total := frameHead + int(h.Length)
	body := max(c.at, min(c.end, total-padding)) // where the padding begins
	all := c.end
	c.end = body
	switch h.Type {
	case http2.FrameData:
		c.rest("data")
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		if h.Type == http2.FrameHeaders && h.Flags.Has(http2.FlagHeadersPriority) {
			c.cut(4, "depends on", 0)
			c.cut(1, "weight", 0)
		}
		if h.Type == http2.FramePushPromise {
			c.cut(4, "promises", 0)
		}
		c.block(p, b, secret)
	case http2.FramePriority:
		c.cut(4, "depends on", 0)
		c.cut(1, "weight", 0)
	case http2.FrameRSTStream:
		c.cut(4, "error code", 0)
	case http2.FrameSettings:
		for i := range min((c.end-c.at)/6, maxItems) {
			c.cut(6, "setting", i)
		}
	case http2.FramePing:
		c.cut(8, "opaque data", 0)
	case http2.FrameGoAway:
		c.cut(4, "last stream", 0)
		c.cut(4, "error code", 0)
		c.rest("debug data")
	case http2.FrameWindowUpdate:
		c.cut(4, "increment", 0)
	case decode.FrameAltSvc:
		n := c.uint16(p)
		c.cut(2, "origin length", 0)
		c.cut(n, "origin", 0)
		c.rest("field value")
	case decode.FrameOrigin:
		for i := 0; i < maxItems && c.end-c.at >= 2; i++ {
			n := c.uint16(p)
			c.cut(2, "origin length", i)
			c.cut(n, "origin", i)
		}
	case decode.FramePriorityUpdate:
		c.cut(4, "prioritizes", 0)
		c.rest("field value")
	}
	c.rest("payload")
	c.end = all
	c.rest("padding octets")
	return c.parts
}

// uint16 reads a number where the next part begins.
func (c *cutter) uint16(payload []byte) int {
	if at := c.at - frameHead; at+2 <= len(payload) {
		return int(binary.BigEndian.Uint16(payload[at:]))
	}
	return 0
}

func isPadded(h *decode.FrameHeader) bool {
	switch h.Type {
	case http2.FrameData, http2.FrameHeaders, http2.FramePushPromise:
		return h.Flags.Has(http2.FlagDataPadded) // the same bit in all three
	}
	return false
}

// fieldBlock is a field block (RFC 9113, section 4.3), of which a frame may
// carry a part.
type fieldBlock struct {
	octets []byte         // of the frames up to and with the one asked for, or more
	before int            // of them, those in earlier frames
	fields []decode.Field // that it holds; nil where they are not known
}

// maxBlockRows is how many rows are looked at for the other frames of a field
// block.
const maxBlockRows = 64

// blockOf finds the field block that a frame carries a part of.
func blockOf(st *store.Store, e *store.Entry) (b fieldBlock) {
	switch e.Header.Type {
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
	default:
		return b
	}
	own := fragment(e)
	if e.Missing > 0 || e.HasFields && e.BlockSeq == e.Seq {
		return fieldBlock{octets: own, fields: e.Fields}
	}
	from := e.Seq
	v := store.View{Conn: e.Conn, Stream: e.Header.StreamID, HasStream: true}
	fields, began := e.Fields, e.BlockSeq
	if !e.HasFields {
		fields = nil
		for _, r := range st.Rows(v, st.Find(v, from), maxBlockRows) {
			if r.HasFields && r.Direction == e.Direction {
				fields, began = r.Fields, r.BlockSeq
				break
			}
		}
	}
	if fields == nil || began == 0 || began > e.Seq {
		return fieldBlock{octets: own}
	}
	for _, r := range st.Rows(v, st.Find(v, began), maxBlockRows) {
		if r.Direction != e.Direction {
			continue
		}
		if r.Missing > 0 {
			break
		}
		if r.Seq == e.Seq {
			b.before = len(b.octets)
			b.octets = append(b.octets, own...)
			b.fields = fields
			return b
		}
		b.octets = append(b.octets, fragment(&r)...)
	}
	return fieldBlock{octets: own}
}

// fragment is the field block fragment of a frame.
func fragment(e *store.Entry) []byte {
	p, _ := decode.ParsePayload(e.Header, e.Payload)
	return p.Fragment
}

// block makes parts of the field lines in a frame. Where one begins follows
// from the lengths of those before it; as long as each begins with the octet
// that its representation has, they are where they are taken to be.
func (c *cutter) block(payload []byte, b fieldBlock, secret func(*decode.Field) bool) {
	start := c.at
	place := func(from, to int, name string, n int, hide bool) {
		from, to = start+max(from-b.before, 0), min(start+to-b.before, c.end)
		if from < to {
			c.parts = append(c.parts, octetPart{partKey{name, n}, from, to, hide})
			c.at = to
		}
	}
	hideRest := b.fields == nil
	at := 0
	for i := range b.fields[:min(len(b.fields), maxItems)] {
		f := &b.fields[i]
		for at < len(b.octets) && b.octets[at]&0xe0 == 0x20 {
			n := prefixed(b.octets[at:], 5)
			place(at, at+n, "table size update", 0, false)
			at += n
		}
		hide := secret(f)
		if at >= len(b.octets) || form(b.octets[at]) != f.Encoding.Form() || f.Encoding.Octets() == 0 {
			break
		}
		n := f.Encoding.Octets()
		place(at, at+n, "field", i, hide && f.Encoding.Form() != decode.FormIndexed)
		at += n
	}
	// What is left has no known meaning, so it could be anything.
	for i := range b.fields {
		hideRest = hideRest || secret(&b.fields[i])
	}
	if c.at < c.end {
		c.parts = append(c.parts, octetPart{partKey{"field block", 0}, c.at, c.end, hideRest && secret(&decode.Field{Sensitive: true, Value: "x"})})
		c.at = c.end
	}
}

// form is the representation that an octet begins (RFC 7541, section 6).
func form(c byte) decode.Form {
	switch {
	case c&0x80 != 0:
		return decode.FormIndexed
	case c&0xc0 == 0x40:
		return decode.FormIncremental
	case c&0xf0 == 0x10:
		return decode.FormNever
	case c&0xf0 == 0:
		return decode.FormLiteral
	}
	return decode.FormUnknown
}

// prefixed is how many octets an integer with a prefix of the given bits takes
// (RFC 7541, section 5.1).
func prefixed(b []byte, bits int) int {
	mask := byte(1<<bits - 1)
	if len(b) == 0 || b[0]&mask != mask {
		return 1
	}
	for i := 1; i < len(b) && i < 8; i++ {
		if b[i]&0x80 == 0 {
			return i + 1
		}
	}
	return min(len(b), 8)
}
