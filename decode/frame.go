// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

var (
	errFirstFrame      = &FrameError{Code: http2.ErrCodeProtocol, Reason: "the first frame of the connection is not SETTINGS"}
	errBlockCut        = &FrameError{Code: http2.ErrCodeProtocol, Reason: "another frame stands between the frames of a field block"}
	errNoBlock         = &FrameError{Code: http2.ErrCodeProtocol, Reason: "CONTINUATION does not follow a field block to continue"}
	errBlockMissing    = &FrameError{Code: http2.ErrCodeNo, Reason: "octets of the field block are missing, so it was not decoded"}
	errBlockUnseen     = &FrameError{Code: http2.ErrCodeNo, Reason: "the beginning of the field block was not seen, so it was not decoded"}
	errBlockTruncated  = &FrameError{Code: http2.ErrCodeNo, Reason: "the field block is longer than is kept, so it was not decoded"}
	errConnectionEnded = &FrameError{Code: http2.ErrCodeNo, Reason: "the connection ended before the frame did", Unfinished: true}
	errCaptureEnded    = &FrameError{Code: http2.ErrCodeNo, Reason: "the capture ended before the frame did", Unfinished: true}
	errRejected        = &FrameError{Code: http2.ErrCodeNo, Reason: "the client began anew before the frame was whole: its early data was rejected"}
	errClientPromises  = &FrameError{Code: http2.ErrCodeProtocol, Reason: "a client sends PUSH_PROMISE"}
)

// Cut tells whether nothing is wrong with the frame but that it is not whole: the
// connection, or the capture, ended before it did.
func (e *FrameError) Cut() bool { return *e == *errConnectionEnded || *e == *errCaptureEnded }

// block is the state of the field block in progress (RFC 9113, section 4.3).
type block struct {
	open   bool
	stream uint32
	push   bool        // begun by PUSH_PROMISE
	failed *FrameError // why the rest of it is not decoded
	// unseen is set until the first frame after a boundary was found: a
	// CONTINUATION there belongs to a block that began before.
	unseen bool
}

// lost says that frames were missed.
func (b *block) lost() { *b = block{unseen: true} }

// frame ends the frame in progress, whose payload is given as far as it is
// kept, and emits its row.
func (d *direction) frame(payload []byte, end int64) {
	c := d.conn
	row := &c.row
	*row = Row{Kind: RowFrame, Direction: d.dir, Conn: c.id, TID: d.begun.tid, Time: d.begun.time, TimeEnd: end,
		Offset: d.at, Header: d.h, Payload: payload, Missing: d.missing, Overtaken: d.overtaken()}
	d.judge(row)
	c.out()
	d.next()
}

// overtaken tells whether octets came in the other direction since the header of
// the frame in progress, with none missing before them.
func (d *direction) overtaken() bool {
	rev := d.reverse()
	return rev.pos > d.revPos && rev.holes == d.revHoles && rev.state == dirFrames
}

// unfinished emits the frame in progress as it is, whose rest will not come. What
// came of it can be malformed all the same.
func (d *direction) unfinished(why *FrameError) {
	c := d.conn
	row := &c.row
	*row = Row{Kind: RowFrame, Direction: d.dir, Conn: c.id, TID: d.begun.tid, Time: d.begun.time, TimeEnd: d.last,
		Offset: d.at, Header: d.h, Payload: d.buf, Missing: d.missing, Overtaken: d.overtaken()}
	row.Err = why
	if err := d.malformed(row); err != nil {
		row.Err = &FrameError{Code: err.Code, Reason: err.Reason + ", and " + why.Reason, Unfinished: why.Unfinished}
	}
	c.out()
	d.next()
}

// next makes room for the next frame.
func (d *direction) next() {
	if d.h.StreamID != 0 {
		d.conn.stream = d.h.StreamID
	}
	d.headerN = 0
	d.frames++
	if d.guard > 0 {
		d.guard--
	}
	if cap(d.buf) > keepBuffer {
		d.buf = nil
	}
	d.buf = d.buf[:0]
}

// checkHeader finds what a frame header shows to be malformed here.
func (d *direction) checkHeader(h FrameHeader) *FrameError {
	if h.Length > d.maxFrame && d.reverse().settingsKnown() {
		return errFrameSize
	}
	return checkHeader(h)
}

// malformed finds what is malformed about a frame, its field block aside.
func (d *direction) malformed(row *Row) *FrameError {
	if err := d.checkHeader(row.Header); err != nil {
		return err
	}
	if row.Missing == 0 {
		if err := checkPayload(row.Header, row.Payload); err != nil {
			return err
		}
	}
	return d.checkPlace(row.Header)
}

// checkPlace finds what is wrong with a frame behind those before it.
func (d *direction) checkPlace(h FrameHeader) *FrameError {
	switch continues := h.Type == http2.FrameContinuation && d.block.open && h.StreamID == d.block.stream; {
	case d.frames == 0 && d.fromStart && !d.damaged && (h.Type != http2.FrameSettings || h.Flags.Has(http2.FlagSettingsAck)):
		return errFirstFrame
	case d.block.open && !continues:
		return errBlockCut
	case h.Type == http2.FrameContinuation && !continues && !d.block.unseen:
		return errNoBlock
	case h.Type == http2.FramePushPromise && d.conn.proven == rolePreface && d.conn.role == sender(d.dir):
		return errClientPromises
	}
	return nil
}

// judge finds what is malformed, decodes the field block and follows the
// settings.
func (d *direction) judge(row *Row) {
	h := row.Header
	rev := d.reverse()
	if d.fields.gaveUp() {
		row.Table = d.fields.end()
	}
	row.Err = d.malformed(row)
	switch h.Type {
	case http2.FrameHeaders, http2.FramePushPromise:
		if d.block.open {
			d.fields.abort() // its rest will not come
			row.Table = d.fields.end()
		}
		if h.Type == http2.FrameHeaders && !h.Flags.Has(http2.FlagHeadersEndStream) {
			d.due[d.dueN%uint8(len(d.due))] = h.StreamID
			d.dueN++
		}
		d.block = block{open: true, stream: h.StreamID, push: h.Type == http2.FramePushPromise}
		d.fields.begin()
		d.fields.limitKnown = rev.settingsKnown()
		d.fragment(row)
	case http2.FrameContinuation:
		switch {
		case d.block.open && h.StreamID == d.block.stream:
			d.fragment(row)
		case d.block.unseen:
			if row.Err == nil {
				row.Err = errBlockUnseen
			}
			if h.Flags.Has(http2.FlagContinuationEndHeaders) {
				d.block.unseen = false
			}
		default:
			// It may have changed the encoder's table all the same.
			d.block = block{}
			d.fields.abort()
			row.Table = d.fields.end()
		}
	case http2.FrameSettings:
		d.block.unseen = false
		d.settings(row)
	default:
		d.block.unseen = false
	}
}

// fragment decodes the field block fragment of a frame that belongs to the
// block in progress.
func (d *direction) fragment(row *Row) {
	b := &d.block
	if b.failed == nil {
		b.failed = d.decodeFragment(row)
		if b.failed != nil && b.failed != errSectionLarge {
			d.fields.abort()
			row.Table = d.fields.end()
		}
	}
	if b.failed != nil && row.Err == nil {
		row.Err = b.failed
	}
	if !row.Header.Flags.Has(http2.FlagHeadersEndHeaders) {
		return
	}
	// Of a malformed block, what stands before the fault was decoded; of one
	// with missing octets, nothing is given.
	if b.failed == nil || b.failed.Code != http2.ErrCodeNo {
		row.Fields, row.HasFields = d.fields.fields, true
		d.tellRole(row.Fields)
	}
	row.Table = d.fields.end()
	d.block = block{}
}

func (d *direction) decodeFragment(row *Row) *FrameError {
	if row.Missing > 0 {
		return errBlockMissing
	}
	if uint32(len(row.Payload)) < row.Header.Length {
		return errBlockTruncated
	}
	from, to, ok := FieldBlockFragment(row.Header, row.Payload)
	if !ok {
		return row.Err // the padding or the length, found before
	}
	return d.fields.write(row.Payload[from:to], row.Header.Flags.Has(http2.FlagHeadersEndHeaders))
}

// tellRole learns from a field section who is the client.
func (d *direction) tellRole(fields []Field) {
	if d.conn.proven != roleTold {
		return
	}
	for i := range fields {
		switch f := &fields[i]; {
		case !f.NameKnown:
			continue
		case len(f.Name) == 0 || f.Name[0] != ':':
			return
		case f.Name == ":status" || d.block.push:
			d.conn.setRole(sender(d.dir.Reverse()), roleFields)
			return
		case f.Name == ":method":
			d.conn.setRole(sender(d.dir), roleFields)
			return
		}
	}
}

// settingsKnown tells whether every setting that this direction carried was
// seen.
func (d *direction) settingsKnown() bool { return d.fromStart && !d.damaged }

// settings follows those settings that bound what the other direction may
// send. Until they are acknowledged the values before them hold too, so the
// largest ever given is what counts.
func (d *direction) settings(row *Row) {
	if row.Missing > 0 || uint32(len(row.Payload)) < row.Header.Length {
		d.damaged = true
		return
	}
	if row.Header.StreamID != 0 || row.Header.Flags.Has(http2.FlagSettingsAck) {
		return
	}
	rev := d.reverse()
	for p := row.Payload; len(p) >= 6; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case settingHeaderTableSize:
			rev.fields.sizeLimit = max(rev.fields.sizeLimit, uint64(v))
		case settingMaxFrameSize:
			rev.maxFrame = max(rev.maxFrame, v)
		}
	}
}
