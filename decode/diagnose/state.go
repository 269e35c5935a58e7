// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"encoding/binary"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"

	"golang.org/x/net/http2"
)

// malformed reports what is wrong with the frame by itself, as the decoder
// found.
func (t *Tracker) malformed(h *stream.Half, sd *side) {
	row := t.row
	hd := row.Header
	id := malformedFrame
	section := sectionOf(hd.Type)
	err := row.Err
	fieldBlock := hd.Type == http2.FrameHeaders || hd.Type == http2.FramePushPromise || hd.Type == http2.FrameContinuation
	switch err.Code {
	case http2.ErrCodeNo:
		return // not captured, or not sent, whole: nothing to blame
	case http2.ErrCodeEnhanceYourCalm:
		t.report(hpackBomb, hd.StreamID, "A limit of the decoder is exceeded: %s.", err.Reason)
		return
	case http2.ErrCodeCompression:
		id, section = fieldBlockInvalid, rules[fieldBlockInvalid].Section
	case http2.ErrCodeFrameSize:
		if hd.Length > 1<<14 && !fixedSize(hd.Type) {
			id, section = frameTooLarge, rules[frameTooLarge].Section
		}
	case http2.ErrCodeProtocol:
		switch {
		case sd.blockOpen && (hd.Type != http2.FrameContinuation || hd.StreamID != sd.blockStream),
			hd.Type == http2.FrameContinuation && hd.StreamID != 0 && !sd.blockOpen:
			id, section = fieldBlockInterrupted, rules[fieldBlockInterrupted].Section
		case h.Frames == 0 && h.Complete() && hd.Type != http2.FrameSettings:
			id, section = connectionPreface, rules[connectionPreface].Section
		case fieldBlock && hd.Type == http2.FramePushPromise && t.fromClient():
			id, section = frameNotAllowed, "RFC 9113, section 8.4"
		}
	}
	report := t.reportAs
	if id == frameTooLarge || id == fieldBlockInvalid && strings.Contains(err.Reason, "SETTINGS_HEADER_TABLE_SIZE") {
		report = t.holdAs // the peer's SETTINGS may allow it
	}
	report(id, decode.Error, section, hd.StreamID, "%s: %s.", decode.TypeName(hd.Type), err.Reason)
}

func fixedSize(t http2.FrameType) bool {
	switch t {
	case http2.FramePriority, http2.FrameRSTStream, http2.FramePing, http2.FrameWindowUpdate:
		return true
	}
	return false
}

// sectionOf is where the RFCs define a frame type.
func sectionOf(t http2.FrameType) string {
	switch t {
	case http2.FrameData:
		return "RFC 9113, section 6.1"
	case http2.FrameHeaders:
		return "RFC 9113, section 6.2"
	case http2.FramePriority:
		return "RFC 9113, section 6.3"
	case http2.FrameRSTStream:
		return "RFC 9113, section 6.4"
	case http2.FrameSettings:
		return "RFC 9113, section 6.5"
	case http2.FramePushPromise:
		return "RFC 9113, section 6.6"
	case http2.FramePing:
		return "RFC 9113, section 6.7"
	case http2.FrameGoAway:
		return "RFC 9113, section 6.8"
	case http2.FrameWindowUpdate:
		return "RFC 9113, section 6.9"
	case http2.FrameContinuation:
		return "RFC 9113, section 6.10"
	case decode.FrameAltSvc:
		return "RFC 7838, section 4"
	case decode.FrameOrigin:
		return "RFC 8336, section 2"
	case decode.FramePriorityUpdate:
		return "RFC 9218, section 7.1"
	}
	return "RFC 9113, section 4.1"
}

// fromClient tells whether the present frame is the client's.
func (t *Tracker) fromClient() bool {
	d, known := t.conn.ClientDirection()
	return known && d == t.row.Direction
}

// state judges a frame on a stream by the state before it.
func (t *Tracker) state(d capture.Direction, h *stream.Half, s *stream.Stream) {
	hd := t.row.Header
	switch hd.Type {
	case http2.FrameData, http2.FrameHeaders, http2.FramePushPromise, http2.FrameRSTStream, http2.FrameWindowUpdate:
	default:
		return // PRIORITY is allowed in every state, others are to be ignored, CONTINUATION has a rule of its own
	}
	client, known := t.conn.ClientDirection()
	fromClient := known && client == d
	if fromClient && hd.Type == http2.FrameHeaders && hd.StreamID&1 == 0 {
		t.report(streamIDParity, hd.StreamID, "The client sends HEADERS on the even stream id %d.", hd.StreamID)
		return
	}
	if s == nil {
		t.unrecorded(d, h, fromClient, known)
		return
	}
	own := s.Side(d)
	name := decode.TypeName(hd.Type)
	switch {
	case own.Reset:
		switch hd.Type {
		case http2.FrameRSTStream: // may be sent again
		case http2.FrameWindowUpdate:
			t.reportAs(frameAfterReset, decode.Warning, rules[frameAfterReset].Section, hd.StreamID, "WINDOW_UPDATE on a stream that its sender has reset.")
		default:
			t.report(frameAfterReset, hd.StreamID, "%s on a stream that its sender has reset.", name)
		}
	case hd.Type == http2.FrameRSTStream:
	case hd.Type == http2.FrameWindowUpdate:
		if s.State() == stream.ReservedRemote && d == capture.Recv || s.State() == stream.ReservedLocal && d == capture.Send {
			t.report(frameNotAllowed, hd.StreamID, "WINDOW_UPDATE from the side that promised the stream, before its HEADERS.")
		}
	case own.EndStream:
		if hd.Type == http2.FrameHeaders && fromClient && hasMethod(t.row.Fields) {
			t.report(streamIDReused, hd.StreamID, "A second request on a stream whose request has ended.")
			return
		}
		t.report(frameAfterEndStream, hd.StreamID, "%s after the sender ended the stream with END_STREAM.", name)
	case s.Pushed && fromClient:
		t.report(frameNotAllowed, hd.StreamID, "%s from the client on a stream that the server promised.", name)
	case hd.Type == http2.FrameData && !own.Headers && t.conn.Whole(s, d):
		t.report(dataBeforeHeaders, hd.StreamID, "DATA before the HEADERS of the message.")
	case hd.Type == http2.FramePushPromise && s.Pushed:
		t.report(frameNotAllowed, hd.StreamID, "PUSH_PROMISE on a stream that was itself pushed.")
	}
}

// unrecorded judges a frame on a stream that has no record.
func (t *Tracker) unrecorded(d capture.Direction, h *stream.Half, fromClient, known bool) {
	hd := t.row.Header
	if !known {
		return
	}
	if !fromClient || hd.Type != http2.FrameHeaders {
		if !t.conn.Idle(hd.StreamID) {
			return
		}
		sev := decode.Error
		// The frame that begins the stream may be on its way still, in part.
		if hd.Type == http2.FrameRSTStream && fromClient == (hd.StreamID&1 == 0) {
			sev = decode.Warning
		}
		report := t.reportAs
		if fromClient == (hd.StreamID&1 == 0) {
			report = t.holdAs // the other side would have begun it
		}
		report(frameOnIdleStream, sev, rules[frameOnIdleStream].Section, hd.StreamID,
			"%s on stream %d, which was never begun.", decode.TypeName(hd.Type), hd.StreamID)
		return
	}
	switch {
	case hd.StreamID > h.Highest:
		t.begins(d, h)
	case hasMethod(t.row.Fields), h.Complete() && !t.conn.Forgotten():
		t.report(streamIDDecreasing, hd.StreamID, "A stream is begun with id %d after one with id %d.", hd.StreamID, h.Highest)
	}
}

// begins judges a HEADERS frame of the client that begins a stream.
func (t *Tracker) begins(d capture.Direction, h *stream.Half) {
	id := t.row.Header.StreamID
	rev := t.conn.Half(d.Reverse())
	if limit := rev.Loosest.MaxConcurrentStreams; rev.SettingsSure() && h.Complete() && !t.conn.Overflowed() &&
		uint64(t.conn.NumOpen(true)) >= uint64(limit) {
		t.hold(tooManyStreams, id, "Stream %d is begun while %d are open; SETTINGS_MAX_CONCURRENT_STREAMS is %d.", id, t.conn.NumOpen(true), limit)
	}
	if at := t.sides[d.Reverse()].goAwayAt; at != 0 && t.row.Time-at > goAwayPatience && h.Complete() {
		t.report(streamAfterGoAway, id, "Stream %d is begun %s after the server's GOAWAY.", id, duration(t.row.Time-at))
	}
}

// push judges whether a server may promise at all.
func (t *Tracker) push(d capture.Direction) {
	client, known := t.conn.ClientDirection()
	rev := t.conn.Half(d.Reverse())
	if known && client != d && rev.SettingsSure() && rev.Loosest.EnablePush == 0 {
		t.hold(pushDisabled, t.row.Header.StreamID, "PUSH_PROMISE, though the server has acknowledged SETTINGS_ENABLE_PUSH = 0.")
	}
}

func hasMethod(fields []decode.Field) bool {
	for i := range fields {
		if f := &fields[i]; f.NameKnown && f.Name == ":method" {
			return true
		}
	}
	return false
}

// priority judges the priority fields of a PRIORITY or HEADERS frame.
func (t *Tracker) priority() {
	row := t.row
	hd, p := row.Header, row.Payload
	if hd.Type == http2.FrameHeaders {
		if !hd.Flags.Has(http2.FlagHeadersPriority) {
			return
		}
		if hd.Flags.Has(http2.FlagHeadersPadded) && len(p) > 0 {
			p = p[1:]
		}
	} else if hd.Length != 5 {
		return
	}
	if row.Missing == 0 && len(p) >= 5 && hd.StreamID != 0 && binary.BigEndian.Uint32(p)&(1<<31-1) == hd.StreamID {
		t.report(priorityOnItself, hd.StreamID, "%s makes the stream depend on itself.", decode.TypeName(hd.Type))
	}
}
