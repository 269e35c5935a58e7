// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// known tells whether a frame type is one of those that have a name here.
func known(t http2.FrameType) bool {
	return t <= http2.FrameContinuation || t == FrameAltSvc || t == FrameOrigin || t == FramePriorityUpdate
}

// plausible tells whether octets that give this header are likely to be one.
// It is stricter than the RFC: what real programs do not send is refused, such
// as flags without a meaning, since octets that are no header rarely pass.
func plausible(h FrameHeader, longest uint32) bool {
	if h.Length > longest || checkHeader(h) != nil {
		return false
	}
	var flags http2.Flags
	switch h.Type {
	case http2.FrameData:
		flags = http2.FlagDataEndStream | http2.FlagDataPadded
		if h.Length == 0 && h.Flags != http2.FlagDataEndStream {
			return false // as in runs of zeroes
		}
	case http2.FrameHeaders:
		flags = http2.FlagHeadersEndStream | http2.FlagHeadersEndHeaders | http2.FlagHeadersPadded | http2.FlagHeadersPriority
		if h.Length == 0 {
			return false
		}
	case http2.FrameSettings:
		flags = http2.FlagSettingsAck
		if h.Length > 64*6 {
			return false
		}
	case http2.FramePing:
		flags = http2.FlagPingAck
	case http2.FramePushPromise:
		flags = http2.FlagPushPromiseEndHeaders | http2.FlagPushPromisePadded
		if h.StreamID&1 == 0 {
			return false // pushed in answer to a client's stream
		}
	case http2.FrameContinuation:
		flags = http2.FlagContinuationEndHeaders
		if h.Length == 0 {
			return false
		}
	case FrameOrigin:
		if h.StreamID != 0 {
			return false
		}
	case http2.FramePriority, http2.FrameRSTStream, http2.FrameGoAway, http2.FrameWindowUpdate,
		FrameAltSvc, FramePriorityUpdate:
	default:
		return false
	}
	return h.Flags&^flags == 0
}

// Evidence is counted in bits, roughly: how unlikely it is to find the same in
// the worst of what is no header, octets that are mostly zero and otherwise
// small numbers. In those anything passes for DATA.
const (
	evidenceOfEnd  = 4 // a frame ends where a call ends
	evidenceOfCall = 2 // and the chain began where one begins

	// The chain's newest stream is the connection's, or its content is due.
	// It counts at the end alone, where one frame can be all that there is:
	// elsewhere small stream ids are found too easily in what is no header.
	evidenceOfStream = 6
)

// evidence is that of a plausible header, behind frames of stream.
func evidence(h FrameHeader, stream uint32) int {
	bits := typeEvidence(h, stream)
	if h.StreamID != 0 && h.StreamID != stream && (h.StreamID&1 == 0 || h.StreamID >= 1<<20) {
		return min(bits, 4) // few servers push, few connections have so many streams
	}
	return bits
}

func typeEvidence(h FrameHeader, stream uint32) int {
	switch h.Type {
	case http2.FrameData:
		if doubtful(h) {
			return 0
		}
		bits := 2
		if h.StreamID == stream {
			bits += 5
		}
		if h.Length == defaultMaxFrameSize {
			bits += 4
		}
		return bits
	case http2.FrameHeaders:
		if h.Flags.Has(http2.FlagHeadersEndHeaders) {
			return 9
		}
		return 5
	case http2.FrameSettings:
		if h.Flags.Has(http2.FlagSettingsAck) {
			return 10
		}
		return 6
	case http2.FramePing, http2.FrameWindowUpdate, http2.FrameRSTStream, http2.FramePriority:
		return 10
	case http2.FrameGoAway, http2.FrameContinuation, http2.FramePushPromise, FrameAltSvc, FrameOrigin, FramePriorityUpdate:
		return 5
	}
	return 0
}

// doubtful tells whether zeroes and small numbers make a DATA header like h: of a
// stream that a server began, or of one that few connections reach.
func doubtful(h FrameHeader) bool { return h.StreamID&1 == 0 || h.StreamID >= 1<<16 }

// payloadEvidence is that of the whole payload, found plausible, of a frame.
func payloadEvidence(h FrameHeader) int {
	switch h.Type {
	case http2.FrameHeaders, http2.FramePushPromise:
		return int(min(h.Length, 8))
	case http2.FrameSettings:
		return int(min(h.Length, 12))
	}
	return 0
}

// plausiblePayload tells the same of a whole payload whose header is plausible.
func plausiblePayload(h FrameHeader, p []byte) bool {
	if checkPayload(h, p) != nil {
		return false
	}
	switch h.Type {
	case http2.FrameHeaders, http2.FramePushPromise:
		from, to, ok := FieldBlockFragment(h, p)
		return ok && plausibleBlock(p[from:to], h.Flags.Has(http2.FlagHeadersEndHeaders))
	case http2.FrameRSTStream:
		return binary.BigEndian.Uint32(p) <= uint32(http2.ErrCodeHTTP11Required)
	case http2.FrameGoAway:
		return binary.BigEndian.Uint32(p) <= maxInt31 && binary.BigEndian.Uint32(p[4:]) <= uint32(http2.ErrCodeHTTP11Required)
	case http2.FrameWindowUpdate:
		return binary.BigEndian.Uint32(p) <= maxInt31
	}
	return true
}

// plausibleStart tells the same of the first octets of one.
func plausibleStart(h FrameHeader, p []byte) bool {
	if len(p) == 0 || h.Type != http2.FrameHeaders && h.Type != http2.FramePushPromise {
		return true
	}
	if checkPayload(h, p) != nil {
		return false
	}
	if padded(h) && int(p[0]) > len(p) {
		return true // where the padding begins is not told apart
	}
	from, _, _ := FieldBlockFragment(h, p) // that of p alone does not end where it says
	return len(p) <= from || plausibleBlock(p[from:], false)
}

// plausibleBlock tells whether p, from the beginning of a field block, is a
// run of representations (RFC 7541, section 6), whole if whole is set.
func plausibleBlock(p []byte, whole bool) bool {
	var scratch []byte
	for len(p) > 0 {
		prefix, strings := uint(4), 1
		switch b := p[0]; {
		case b&0x80 != 0:
			prefix, strings = 7, 0
		case b&0x40 != 0:
			prefix = 6
		case b&0x20 != 0:
			prefix, strings = 5, 0
		}
		i, at, err := hpackInteger(p, prefix)
		if err != nil {
			return err == errIncompleteRep && !whole
		}
		if prefix == 7 && i == 0 {
			return false
		}
		if strings == 1 && i == 0 {
			strings = 2
		}
		for ; strings > 0; strings-- {
			s, huff, next, err := hpackString(p, at)
			if err != nil {
				return err == errIncompleteRep && !whole
			}
			if strings == 2 && len(s) == 0 {
				return false // no name
			}
			if huff {
				var ok bool
				if scratch, ok = appendHuffman(scratch[:0], s); !ok {
					return false
				}
			}
			at = next
		}
		p = p[at:]
	}
	return true
}

// longestData is the longest payload of DATA, in octets, where the limit is not
// known: seen of Go's client.
const longestData = 1 << 20

// longestUnasked is the longest payload of frames whose peer has not, as far as
// is known, allowed longer ones.
func longestUnasked(h FrameHeader) uint32 {
	if h.Type == http2.FrameData {
		return longestData
	}
	return defaultMaxFrameSize
}

// credible tells whether a header can be believed where the boundary was
// found by its looks only. It refuses what other octets than a header would
// nearly always give.
func credible(h FrameHeader) bool {
	return h.Length <= longestUnasked(h) && checkHeader(h) == nil
}
