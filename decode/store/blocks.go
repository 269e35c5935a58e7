// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"

	"golang.org/x/net/http2"

	"h2sniff/decode"
)

// Blocks follows the field blocks of one connection. The zero value is for one
// that begins.
type Blocks struct{ dirs [2]openBlock }

// openBlock is a field block that began in one direction and has not ended.
type openBlock struct {
	seq      uint64 // of its HEADERS or PUSH_PROMISE; 0: none
	stream   uint32
	promised uint32 // PUSH_PROMISE: the stream that the fields are of
}

// Row takes in the next row of the connection. It returns the Seq of the frame
// that began the block which row ends, as Entry.BlockSeq has it, and the stream
// that a promise in it promises; 0 where there is none.
func (o *Blocks) Row(row *decode.Row, seq uint64) (began uint64, promised uint32) {
	b := &o.dirs[row.Direction&1]
	if row.Kind == decode.RowGap {
		*b = openBlock{}
		return 0, 0
	}
	if row.Kind != decode.RowFrame {
		return 0, 0
	}
	switch row.Header.Type {
	case http2.FrameHeaders:
		*b = openBlock{seq: seq, stream: row.Header.StreamID}
	case http2.FramePushPromise:
		*b = openBlock{seq: seq, stream: row.Header.StreamID, promised: promisedStream(row)}
	case http2.FrameContinuation:
		if b.stream != row.Header.StreamID {
			*b = openBlock{}
		}
	default:
		// Nothing may come within a block (RFC 9113, section 6.10).
		*b = openBlock{}
		return 0, 0
	}
	if !row.HasFields && !row.Header.Flags.Has(http2.FlagHeadersEndHeaders) {
		return 0, 0
	}
	began, promised = b.seq, b.promised
	*b = openBlock{}
	return began, promised
}

// promisedStream reads the Promised Stream ID of a PUSH_PROMISE frame
// (RFC 9113, section 6.6); 0 where it is not there.
func promisedStream(row *decode.Row) uint32 {
	p := row.Payload
	if row.Missing != 0 {
		return 0
	}
	if row.Header.Flags.Has(http2.FlagPushPromisePadded) && len(p) > 0 {
		p = p[1:]
	}
	if len(p) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(p) &^ (1 << 31)
}
