// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"encoding/binary"

	"golang.org/x/net/http2"

	"h2sniff/decode"
	"h2sniff/decode/store"
)

// contents is what the payload of a frame says for certain: of a payload that
// is cut short or has holes, fields are not shown as zero but not at all.
type contents struct {
	decode.Payload
	has part
}

// part is a set of parts of a payload.
type part uint16

const (
	padLength part = 1 << iota
	data
	errorCode
	lastStream // and DebugData
	settings
	promisedStream
	ping
	increment
	altSvc
	origins
	prioritizedStream
	priorityField
	unknown // the payload of an unknown frame type
)

// parse takes apart the payload of a frame.
func parse(e *store.Entry) contents {
	var c contents
	c.Payload, _ = decode.ParsePayload(e.Header, e.Payload) // e.Err has it
	n := len(e.Payload)
	whole := n == int(e.Header.Length)
	if e.Missing > 0 {
		// Zeroes stand somewhere among the octets, so no value is certain.
		// Content is only passed on, with the count of what is missing.
		p := c.Payload
		c.Payload = decode.Payload{}
		switch {
		case e.Header.Type == http2.FrameData && !p.HasPad:
			c.Data, c.has = p.Data, data
		case p.Unknown != nil:
			c.Unknown, c.has = p.Unknown, unknown
		}
		return c
	}
	add := func(p part, there bool) {
		if there {
			c.has |= p
		}
	}
	add(padLength, c.HasPad && n > 0)
	if c.HasPad {
		n--
	}
	switch e.Header.Type {
	case http2.FrameData:
		add(data, true)
	case http2.FrameRSTStream:
		add(errorCode, n >= 4)
	case http2.FrameSettings:
		add(settings, len(c.Settings) > 0 || !e.Header.Flags.Has(http2.FlagSettingsAck))
	case http2.FramePushPromise:
		add(promisedStream, n >= 4)
	case http2.FramePing:
		add(ping, n >= 8)
	case http2.FrameGoAway:
		add(errorCode|lastStream, n >= 8)
	case http2.FrameWindowUpdate:
		add(increment, n >= 4)
	case decode.FrameAltSvc:
		add(altSvc, whole && n >= 2 && int(binary.BigEndian.Uint16(e.Payload)) <= n-2)
	case decode.FrameOrigin:
		add(origins, true)
	case decode.FramePriorityUpdate:
		add(prioritizedStream, n >= 4)
		add(priorityField, n >= 4 && whole)
	case http2.FrameHeaders, http2.FramePriority, http2.FrameContinuation:
	default:
		add(unknown, true)
	}
	return c
}

// reason says what is malformed about a frame, or why it is not whole. The
// code NO_ERROR stands for the latter and is left out.
func reason(err *decode.FrameError) string {
	if err.Code == http2.ErrCodeNo {
		return err.Reason
	}
	return decode.ErrorName(uint32(err.Code)) + ": " + err.Reason
}
