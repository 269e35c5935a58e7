// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

const (
	frameHeaderSize = 9
	// maxHeld bounds the octets that are held of a direction, maxPieces the
	// events that they are of.
	maxHeld   = 2 << 20
	maxPieces = 4096
	// maxSettings is the largest SETTINGS payload that is shown though it is
	// malformed, octets.
	maxSettings = 64 * 6
	// apartFrames is for how many frames after octets that are in none each
	// frame begins an event, which is what a decoder finds its beginning by.
	apartFrames = 16
)

// direction is one direction of a connection.
type direction struct {
	conn  *conn
	held  held
	block []blockFrame // frames of the field block in progress
	end   uint64       // of the newest frame
	apart int          // frames that are still to begin an event
	// scratch and value are for the field block that is rewritten.
	scratch, value []byte
}

// blockFrame is a frame of a field block that is held.
type blockFrame struct {
	offset uint64
	header decode.FrameHeader
	// The fragment, once it was gathered: position and octets.
	from uint64
	n    int
}

// endOf is the position behind a frame.
func endOf(offset uint64, h decode.FrameHeader) uint64 {
	return offset + frameHeaderSize + uint64(h.Length)
}

// preface shows the client connection preface.
func (d *direction) preface(r *decode.Row) {
	d.reach(r.Offset)
	d.end = r.Offset + uint64(len(http2.ClientPreface))
	d.held.release(d.end, true, true)
}

// frame takes in a frame that is whole, or as whole as it will get.
func (d *direction) frame(r *decode.Row) {
	if r.Header.Type == http2.FrameContinuation && len(d.block) > 0 && r.Header.StreamID == d.block[0].header.StreamID {
		d.block = append(d.block, blockFrame{offset: r.Offset, header: r.Header})
		if r.Header.Flags.Has(http2.FlagContinuationEndHeaders) {
			d.endBlock(r)
		}
		return
	}
	d.dropBlock()
	switch r.Header.Type {
	case http2.FrameHeaders, http2.FramePushPromise:
		d.block = append(d.block, blockFrame{offset: r.Offset, header: r.Header})
		if r.Header.Flags.Has(http2.FlagHeadersEndHeaders) { // the same bit in both
			d.endBlock(r)
		}
	case http2.FrameData:
		d.data(r.Offset, r.Header)
	default:
		d.pass(r.Offset, r.Header, harmless(r))
	}
}

// harmless tells whether the payload of a frame that has no field block and no
// content can be shown: it is what its type says, or so short that it tells
// nothing.
func harmless(r *decode.Row) bool {
	switch r.Header.Type {
	case http2.FramePriority, http2.FrameRSTStream, http2.FramePing, http2.FrameWindowUpdate:
		return r.Header.Length <= 8
	case http2.FrameSettings:
		return r.Err == nil || r.Header.Length%6 == 0 && r.Header.Length <= maxSettings
	case http2.FrameGoAway, decode.FrameAltSvc, decode.FrameOrigin, decode.FramePriorityUpdate:
		return r.Err == nil
	}
	return false
}

// reach hides what is held before a frame, or preface, which is in none.
func (d *direction) reach(offset uint64) {
	if offset > d.end {
		d.apart = apartFrames
	}
	d.held.release(offset, false, false)
}

// head shows the first n octets of a frame, unless they were released.
func (d *direction) head(offset, n uint64) {
	apart := d.apart > 0 && d.held.base <= offset
	if apart {
		d.apart--
	}
	d.held.release(offset+n, true, apart)
}

// pass releases a frame, its payload only if show is set.
func (d *direction) pass(offset uint64, h decode.FrameHeader, show bool) {
	d.reach(offset)
	d.head(offset, frameHeaderSize)
	d.held.release(endOf(offset, h), show, false)
	d.end = endOf(offset, h)
}

// data releases a DATA frame, as far as it has come: what tells of padding is
// shown in any case.
func (d *direction) data(offset uint64, h decode.FrameHeader) {
	if h.Flags.Has(http2.FlagDataPadded) && h.Length > 0 {
		d.reach(offset)
		d.head(offset, frameHeaderSize+1)
	}
	d.pass(offset, h, d.conn.s.opts.KeepData)
}

// endBlock ends the field block in progress with its last frame, r.
func (d *direction) endBlock(r *decode.Row) {
	show := d.rewrite(r)
	for _, f := range d.block {
		d.pass(f.offset, f.header, show)
	}
	d.block = d.block[:0]
}

// dropBlock releases the frames of a field block that does not end as it should.
func (d *direction) dropBlock() {
	for _, f := range d.block {
		d.pass(f.offset, f.header, false)
	}
	d.block = d.block[:0]
}

// afterEvent releases what needs not be held after an event that has been
// decoded.
func (d *direction) afterEvent() {
	h, offset, ok := d.conn.dec.InFrame(d.held.dir)
	if ok && h.Type == http2.FrameData {
		d.dropBlock()
		d.data(offset, h)
		return
	}
	if d.held.size <= maxHeld && len(d.held.pieces) <= maxPieces {
		return
	}
	d.dropBlock()
	if ok {
		d.showHeader()
	}
	d.held.hideAll()
}

// showHeader shows the header of a frame in progress, and no more of it.
func (d *direction) showHeader() {
	d.dropBlock()
	if _, offset, ok := d.conn.dec.InFrame(d.held.dir); ok {
		d.reach(offset)
		d.head(offset, frameHeaderSize)
	}
}
