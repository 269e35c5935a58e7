// SPDX-License-Identifier: Apache-2.0

// Package diagnose finds what is wrong, or worth knowing, in a connection:
// frames that break a rule of RFC 9113, endpoints that wait, patterns of known
// attacks.
//
// A [Tracker] is fed the rows of one connection in order and hands out a
// [Diagnosis] for each finding, soon after the row that gives the evidence. The
// codes are stable; [Rules] lists them, limits.go holds every threshold.
//
// # What makes an error
//
// An error is reported only where the frames that were seen prove it. The order
// of rows is that of one end (or a point between), so a frame's sender knew at
// most the frames before it in the other direction: a rule that binds the
// sender from the moment when it learns of something is judged by its own
// frames (SETTINGS by its acknowledgement, a closed stream by its own END_STREAM
// or RST_STREAM), a rule that allows it more after it has learnt of something
// (windows, the limit on streams) by everything that it may have learnt. What is
// in flight when a stream is reset or a GOAWAY is sent is no error. After a late
// attach or a gap, what depends on frames not seen is not judged, and neither
// are the first frames behind a boundary that was found by its looks.
//
// A loss shows only with the next row of its direction. So what rests on
// something that was not seen in the other direction (a request, a WINDOW_UPDATE,
// SETTINGS, DATA, the end of a stream) is held back until that direction's next
// row, unless more of that direction came since the frame's header. If that row is
// a frame, the diagnosis comes out, on the row where it arose, which is not the
// last one then; if it tells of a loss, the diagnosis is dropped. What is still
// held when the connection ends, or when too much is held, comes out as a warning
// at most, and says so. A diagnosis is hence handed out in the order of
// its evidence, not of its Seq.
//
// A window that is used up for long is told of while it still is, where
// [Tracker.Now] is called; how long it was takes the place of that. Without such
// calls, as for a file, only the latter is told.
//
// A Tracker is used by one goroutine at a time. Its memory is bounded whatever
// the rows hold, and it neither fails nor panics.
package diagnose

import (
	"h2sniff/capture"
	"h2sniff/decode"
)

// Diagnosis is one finding.
type Diagnosis struct {
	Code      string // stable, kebab-case
	Severity  decode.Severity
	Conn      capture.ConnID
	Direction capture.Direction // of the row
	Stream    uint32            // 0 for the connection
	Seq       uint64            // of the row that it hangs on
	Time      int64             // of that row, Unix nanoseconds
	Text      string            // one sentence, harmless on a terminal
	Section   string            // as "RFC 9113, section 5.1"
	// Since and Till are set for a window that was used up: when that was and
	// when it had octets again, Unix nanoseconds. Where only Since is set it has
	// none so far.
	Since, Till int64
	// Again says that this takes the place of the diagnosis of the same code,
	// row and stream that was handed out while the window had none.
	Again bool
}

// rule describes a code.
type rule struct {
	Code     string
	Severity decode.Severity // the highest with which it is reported
	Section  string          // empty where it depends on the frame
	About    string          // one line
}

type ruleID uint8

const (
	malformedFrame ruleID = iota + 1
	connectionPreface
	frameTooLarge
	fieldBlockInvalid
	fieldBlockInterrupted
	frameOnIdleStream
	frameAfterEndStream
	frameAfterReset
	frameNotAllowed
	streamIDParity
	streamIDDecreasing
	streamIDReused
	tooManyStreams
	pushDisabled
	settingNotAllowed
	flowControlExceeded
	windowOverflow
	goAwayIncreased
	headerNameCase
	headerNameInvalid
	headerValueInvalid
	connectionSpecific
	pseudoHeaderOrder
	pseudoHeaderSet
	dataBeforeHeaders
	trailersWithoutEnd
	interimEnds
	contentLength
	streamAfterGoAway
	priorityOnItself
	settingsUnacknowledged
	settingsAckUnexpected
	pingUnacknowledged
	pingRoundTrip
	streamWindowExhausted
	connectionWindowExhausted
	rstStream
	goAway
	rapidReset
	continuationFlood
	settingsFlood
	pingFlood
	emptyDataFlood
	hpackBomb
	headerListTooLarge
	otherProtocol
	captureGap
	numRules
)

var rules = [numRules]rule{
	malformedFrame:            {"malformed-frame", decode.Error, "", "a frame whose fields contradict its type or length"},
	connectionPreface:         {"connection-preface", decode.Error, "RFC 9113, section 3.4", "the first frame of a side is not SETTINGS"},
	frameTooLarge:             {"frame-too-large", decode.Error, "RFC 9113, section 4.2", "a frame longer than the peer's SETTINGS_MAX_FRAME_SIZE"},
	fieldBlockInvalid:         {"field-block-invalid", decode.Error, "RFC 9113, section 4.3", "a field block that cannot be decoded"},
	fieldBlockInterrupted:     {"field-block-interrupted", decode.Error, "RFC 9113, section 6.10", "another frame inside a field block, or CONTINUATION outside of one"},
	frameOnIdleStream:         {"frame-on-idle-stream", decode.Error, "RFC 9113, section 5.1", "a frame on a stream that was never begun"},
	frameAfterEndStream:       {"frame-after-end-stream", decode.Error, "RFC 9113, section 5.1", "DATA, HEADERS or PUSH_PROMISE after the sender's own END_STREAM"},
	frameAfterReset:           {"frame-after-reset", decode.Error, "RFC 9113, section 5.1", "a frame on a stream that its sender has reset"},
	frameNotAllowed:           {"frame-not-allowed", decode.Error, "RFC 9113, section 5.1", "a frame that this side may not send, or not in this state"},
	streamIDParity:            {"stream-id-parity", decode.Error, "RFC 9113, section 5.1.1", "a client begins a stream with an even id"},
	streamIDDecreasing:        {"stream-id-decreasing", decode.Error, "RFC 9113, section 5.1.1", "a stream begun with a lower id than one before"},
	streamIDReused:            {"stream-id-reused", decode.Error, "RFC 9113, section 5.1.1", "a second request on one stream id"},
	tooManyStreams:            {"too-many-streams", decode.Error, "RFC 9113, section 5.1.2", "more streams open than the peer's SETTINGS_MAX_CONCURRENT_STREAMS"},
	pushDisabled:              {"push-disabled", decode.Error, "RFC 9113, section 8.4", "PUSH_PROMISE after acknowledging SETTINGS_ENABLE_PUSH = 0"},
	settingNotAllowed:         {"setting-not-allowed", decode.Error, "RFC 9113, section 6.5.2", "a server sets SETTINGS_ENABLE_PUSH to 1"},
	flowControlExceeded:       {"flow-control-exceeded", decode.Error, "RFC 9113, section 6.9.1", "more DATA than the window allows"},
	windowOverflow:            {"window-overflow", decode.Error, "RFC 9113, section 6.9.1", "WINDOW_UPDATE makes a window larger than 2^31-1"},
	goAwayIncreased:           {"goaway-last-stream-increased", decode.Error, "RFC 9113, section 6.8", "a later GOAWAY names a higher last stream id"},
	headerNameCase:            {"header-name-case", decode.Error, "RFC 9113, section 8.2.1", "upper-case letters in a field name"},
	headerNameInvalid:         {"header-name-invalid", decode.Error, "RFC 9113, section 8.2.1", "a field name that is empty or has forbidden octets"},
	headerValueInvalid:        {"header-value-invalid", decode.Error, "RFC 9113, section 8.2.1", "NUL, CR or LF in a field value, or white space at its ends"},
	connectionSpecific:        {"connection-specific-header", decode.Error, "RFC 9113, section 8.2.2", "a connection-specific field"},
	pseudoHeaderOrder:         {"pseudo-header-order", decode.Error, "RFC 9113, section 8.3", "a pseudo-header field behind a regular one"},
	pseudoHeaderSet:           {"pseudo-header-set", decode.Error, "RFC 9113, section 8.3", "pseudo-header fields missing, repeated, unknown, or in the wrong place"},
	dataBeforeHeaders:         {"data-before-headers", decode.Error, "RFC 9113, section 8.1", "DATA before the field section that begins the message"},
	trailersWithoutEnd:        {"trailers-without-end-stream", decode.Error, "RFC 9113, section 8.1", "a second field section without END_STREAM"},
	interimEnds:               {"interim-response-ends-stream", decode.Error, "RFC 9113, section 8.1", "a 1xx response with END_STREAM"},
	contentLength:             {"content-length-mismatch", decode.Error, "RFC 9113, section 8.1.1", "the DATA of a message is not as long as its content-length"},
	streamAfterGoAway:         {"stream-after-goaway", decode.Warning, "RFC 9113, section 6.8", "a stream begun long after the peer's GOAWAY"},
	priorityOnItself:          {"priority-on-itself", decode.Warning, "RFC 7540, section 5.3.1", "a stream that depends on itself"},
	settingsUnacknowledged:    {"settings-unacknowledged", decode.Warning, "RFC 9113, section 6.5.3", "SETTINGS without an acknowledgement for long"},
	settingsAckUnexpected:     {"settings-ack-unexpected", decode.Warning, "RFC 9113, section 6.5.3", "an acknowledgement of SETTINGS that were not sent"},
	pingUnacknowledged:        {"ping-unacknowledged", decode.Warning, "RFC 9113, section 6.7", "PING without an acknowledgement for long"},
	pingRoundTrip:             {"ping-round-trip", decode.Note, "RFC 9113, section 6.7", "the time from PING to its acknowledgement"},
	streamWindowExhausted:     {"stream-window-exhausted", decode.Warning, "RFC 9113, section 6.9.1", "a stream that waited for WINDOW_UPDATE, and for how long"},
	connectionWindowExhausted: {"connection-window-exhausted", decode.Warning, "RFC 9113, section 6.9.1", "a connection that waited for WINDOW_UPDATE, and for how long"},
	rstStream:                 {"rst-stream", decode.Warning, "RFC 9113, section 6.4", "a stream was reset, and why"},
	goAway:                    {"goaway", decode.Warning, "RFC 9113, section 6.8", "a side ends the connection, and why"},
	rapidReset:                {"rapid-reset", decode.Warning, "RFC 9113, section 10.5", "a client begins and resets many streams in a short time"},
	continuationFlood:         {"continuation-flood", decode.Warning, "RFC 9113, section 10.5.1", "a field block of very many CONTINUATION frames"},
	settingsFlood:             {"settings-flood", decode.Warning, "RFC 9113, section 10.5", "very many SETTINGS in a short time"},
	pingFlood:                 {"ping-flood", decode.Warning, "RFC 9113, section 10.5", "more PINGs than messages in a short time"},
	emptyDataFlood:            {"empty-data-flood", decode.Warning, "RFC 9113, section 10.5", "very many empty DATA frames in a short time"},
	hpackBomb:                 {"hpack-bomb", decode.Warning, "RFC 7541, section 7.3", "a small field block that becomes a very large field section"},
	headerListTooLarge:        {"header-list-too-large", decode.Warning, "RFC 9113, section 10.5.1", "a field section larger than the peer's SETTINGS_MAX_HEADER_LIST_SIZE"},
	otherProtocol:             {"other-protocol", decode.Warning, "RFC 9113, section 3.4", "a side answers HTTP/2 with something else"},
	captureGap:                {"capture-gap", decode.Note, "", "octets were not captured: what depends on them is not judged"},
}
