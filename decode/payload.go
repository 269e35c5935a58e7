// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

// Setting is one setting of a SETTINGS frame.
type Setting struct {
	ID    uint16
	Value uint32
}

// Priority is the deprecated priority signal of RFC 9113, section 5.3.2.
type Priority struct {
	Exclusive bool
	StreamDep uint32
	Weight    uint16 // 1 to 256: one more than the octet on the wire
}

// AltSvc is the payload of an ALTSVC frame (RFC 7838, section 4).
type AltSvc struct{ Origin, Value string }

// Payload is the payload of a frame, taken apart. Which fields are set
// follows from the type of the frame; the byte slices are parts of the payload
// that was parsed.
type Payload struct {
	HasPad    bool // the PADDED flag is set
	PadLength uint8

	Data              []byte        // DATA, without padding
	Fragment          []byte        // HEADERS, PUSH_PROMISE, CONTINUATION: the field block fragment
	Priority          *Priority     // HEADERS with the PRIORITY flag, PRIORITY
	ErrorCode         http2.ErrCode // RST_STREAM, GOAWAY
	LastStream        uint32        // GOAWAY
	DebugData         []byte        // GOAWAY
	Settings          []Setting     // SETTINGS, in order
	PromisedStream    uint32        // PUSH_PROMISE
	Ping              [8]byte       // PING
	Increment         uint32        // WINDOW_UPDATE, octets
	AltSvc            AltSvc        // ALTSVC
	Origins           []string      // ORIGIN, in order
	PrioritizedStream uint32        // PRIORITY_UPDATE
	PriorityField     string        // PRIORITY_UPDATE: the Priority Field Value
	Unknown           []byte        // the whole payload of a type that has no name here
}

// ParsePayload takes the payload of a frame apart. The error tells what is
// malformed in the frame by itself, and has the same value that Row.Err would
// have; what of the payload makes sense is returned all the same.
//
// payload may be shorter than h.Length (Row says when). The fields that are
// cut short are left zero then and the error has the code NO_ERROR, unless it
// is DATA, a field block or debug data, which are returned as far as they go.
// Where Row.Missing is not 0, zeroes stand in place of octets and the caller
// must not take them for values.
//
// Strings are copied, byte slices are not. It is safe for concurrent use.
func ParsePayload(h FrameHeader, payload []byte) (Payload, *FrameError) {
	var p Payload
	if uint32(len(payload)) > h.Length {
		payload = payload[:h.Length]
	}
	err := checkHeader(h)
	if err == nil {
		err = checkPayload(h, payload)
	}
	whole := uint32(len(payload)) == h.Length
	rest := payload
	if padded(h) {
		p.HasPad = true
		if len(rest) == 0 {
			return p, orIncomplete(err)
		}
		p.PadLength = rest[0]
		rest = rest[1:]
		if err == nil {
			// Of a payload cut short only that is padding which lies
			// beyond the padding's known beginning.
			rest = rest[:min(len(rest), int(h.Length)-1-int(p.PadLength))]
		}
	}
	ok := true
	switch h.Type {
	case http2.FrameData:
		p.Data = rest
	case http2.FrameHeaders:
		if h.Flags.Has(http2.FlagHeadersPriority) {
			if p.Priority, ok = parsePriority(rest); ok {
				rest = rest[5:]
			}
		}
		if ok {
			p.Fragment = rest
		}
	case http2.FrameContinuation:
		p.Fragment = rest
	case http2.FramePushPromise:
		if p.PromisedStream, rest, ok = parse31(rest); ok {
			p.Fragment = rest
		}
	case http2.FramePriority:
		p.Priority, ok = parsePriority(rest)
	case http2.FrameRSTStream:
		if ok = len(rest) >= 4; ok {
			p.ErrorCode = http2.ErrCode(binary.BigEndian.Uint32(rest))
		}
	case http2.FrameSettings:
		ok = whole
		if n := len(rest) / 6; n > 0 {
			p.Settings = make([]Setting, 0, n)
		}
		for ; len(rest) >= 6; rest = rest[6:] {
			p.Settings = append(p.Settings, Setting{binary.BigEndian.Uint16(rest), binary.BigEndian.Uint32(rest[2:])})
		}
	case http2.FramePing:
		ok = copy(p.Ping[:], rest) == 8
	case http2.FrameGoAway:
		if p.LastStream, rest, ok = parse31(rest); ok {
			if ok = len(rest) >= 4; ok {
				p.ErrorCode = http2.ErrCode(binary.BigEndian.Uint32(rest))
				p.DebugData = rest[4:]
			}
		}
	case http2.FrameWindowUpdate:
		p.Increment, _, ok = parse31(rest)
	case FrameAltSvc:
		if ok = len(rest) >= 2; ok {
			n := int(binary.BigEndian.Uint16(rest))
			rest = rest[2:]
			if ok = n <= len(rest); ok {
				p.AltSvc = AltSvc{Origin: string(rest[:n]), Value: string(rest[n:])}
				ok = whole
			}
		}
	case FrameOrigin:
		for len(rest) >= 2 {
			n := int(binary.BigEndian.Uint16(rest)) + 2
			if n > len(rest) {
				break
			}
			p.Origins = append(p.Origins, string(rest[2:n]))
			rest = rest[n:]
		}
		ok = whole
	case FramePriorityUpdate:
		if p.PrioritizedStream, rest, ok = parse31(rest); ok {
			p.PriorityField = string(rest)
			ok = whole
		}
	default:
		p.Unknown = rest
	}
	if !ok {
		err = orIncomplete(err)
	}
	return p, err
}

func orIncomplete(err *FrameError) *FrameError {
	if err == nil {
		return errIncomplete
	}
	return err
}

// padded tells whether the frame begins with a Pad Length field.
func padded(h FrameHeader) bool {
	switch h.Type {
	case http2.FrameData, http2.FrameHeaders, http2.FramePushPromise:
		return h.Flags.Has(http2.FlagDataPadded) // the same bit in all three
	}
	return false
}

func parsePriority(p []byte) (*Priority, bool) {
	if len(p) < 5 {
		return nil, false
	}
	dep := binary.BigEndian.Uint32(p)
	return &Priority{Exclusive: dep>>31 == 1, StreamDep: dep & maxInt31, Weight: uint16(p[4]) + 1}, true
}

// parse31 takes a 32-bit field whose first bit is reserved.
func parse31(p []byte) (v uint32, rest []byte, ok bool) {
	if len(p) < 4 {
		return 0, p, false
	}
	return binary.BigEndian.Uint32(p) & maxInt31, p[4:], true
}
