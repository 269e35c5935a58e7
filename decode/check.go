// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	defaultMaxFrameSize = 1 << 14   // RFC 9113, section 6.5.2
	largestFrameSize    = 1<<24 - 1 // RFC 9113, section 4.2
	maxInt31            = 1<<31 - 1
)

// What can be malformed about one frame. The values are shared by all rows
// and never changed.
var (
	errFrameSize        = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "the frame is longer than the peer's SETTINGS_MAX_FRAME_SIZE"}
	errFixedSize        = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "the length is not the one that frames of this type have"}
	errTooShort         = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "the payload is too short for its fields"}
	errPadding          = &FrameError{Code: http2.ErrCodeProtocol, Reason: "the padding is longer than the rest of the payload"}
	errNeedsStream      = &FrameError{Code: http2.ErrCodeProtocol, Reason: "frames of this type belong to a stream, but the stream id is 0"}
	errNeedsConnection  = &FrameError{Code: http2.ErrCodeProtocol, Reason: "frames of this type belong to the connection, but the stream id is not 0"}
	errSettingsAck      = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "a SETTINGS acknowledgement has a payload"}
	errSettingsSize     = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "the length of SETTINGS is not a multiple of 6"}
	errSettingBool      = &FrameError{Code: http2.ErrCodeProtocol, Reason: "a setting that is 0 or 1 has another value"}
	errSettingWindow    = &FrameError{Code: http2.ErrCodeFlowControl, Reason: "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1"}
	errSettingFrameSize = &FrameError{Code: http2.ErrCodeProtocol, Reason: "SETTINGS_MAX_FRAME_SIZE is not between 2^14 and 2^24-1"}
	errIncrement        = &FrameError{Code: http2.ErrCodeProtocol, Reason: "the window size increment is 0"}
	errPromised         = &FrameError{Code: http2.ErrCodeProtocol, Reason: "the promised stream id is not one that a server may use"}
	errPrioritized      = &FrameError{Code: http2.ErrCodeProtocol, Reason: "the prioritized stream id is 0"}
	errInnerLength      = &FrameError{Code: http2.ErrCodeFrameSize, Reason: "a length inside the payload goes beyond its end"}
	errIncomplete       = &FrameError{Code: http2.ErrCodeNo, Reason: "the payload is not there whole"}
)

// checkHeader finds what a frame header alone shows to be malformed
// (RFC 9113, section 6), or nil.
func checkHeader(h FrameHeader) *FrameError {
	switch h.Type {
	case http2.FrameData, http2.FrameHeaders, http2.FrameContinuation:
		if h.StreamID == 0 {
			return errNeedsStream
		}
	case http2.FramePushPromise:
		if h.StreamID == 0 {
			return errNeedsStream
		}
		if h.Length < 4 {
			return errTooShort
		}
	case http2.FramePriority:
		if h.StreamID == 0 {
			return errNeedsStream
		}
		if h.Length != 5 {
			return errFixedSize
		}
	case http2.FrameRSTStream:
		if h.StreamID == 0 {
			return errNeedsStream
		}
		if h.Length != 4 {
			return errFixedSize
		}
	case http2.FrameSettings:
		if h.StreamID != 0 {
			return errNeedsConnection
		}
		if h.Flags.Has(http2.FlagSettingsAck) && h.Length != 0 {
			return errSettingsAck
		}
		if h.Length%6 != 0 {
			return errSettingsSize
		}
	case http2.FramePing:
		if h.StreamID != 0 {
			return errNeedsConnection
		}
		if h.Length != 8 {
			return errFixedSize
		}
	case http2.FrameGoAway:
		if h.StreamID != 0 {
			return errNeedsConnection
		}
		if h.Length < 8 {
			return errTooShort
		}
	case http2.FrameWindowUpdate:
		if h.Length != 4 {
			return errFixedSize
		}
	case FramePriorityUpdate:
		if h.StreamID != 0 {
			return errNeedsConnection
		}
		if h.Length < 4 {
			return errTooShort
		}
	case FrameAltSvc:
		if h.Length < 2 {
			return errTooShort
		}
	}
	return nil
}

// checkPayload finds what is malformed about a payload of h.Length octets
// whose header passed checkHeader. payload may lack octets at its end; what
// depends on them is not judged.
func checkPayload(h FrameHeader, payload []byte) *FrameError {
	switch h.Type {
	case http2.FrameData:
		if h.Flags.Has(http2.FlagDataPadded) {
			return checkPadding(h, payload, 0)
		}
	case http2.FrameHeaders:
		fixed := uint32(0)
		if h.Flags.Has(http2.FlagHeadersPriority) {
			fixed = 5
		}
		if h.Flags.Has(http2.FlagHeadersPadded) {
			return checkPadding(h, payload, fixed)
		}
		if h.Length < fixed {
			return errTooShort
		}
	case http2.FramePushPromise:
		at := 0
		if h.Flags.Has(http2.FlagPushPromisePadded) {
			if err := checkPadding(h, payload, 4); err != nil {
				return err
			}
			at = 1
		}
		if len(payload) >= at+4 {
			if id := binary.BigEndian.Uint32(payload[at:]) & maxInt31; id == 0 || id&1 == 1 {
				return errPromised
			}
		}
	case http2.FrameSettings:
		for p := payload; len(p) >= 6; p = p[6:] {
			if err := checkSetting(binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])); err != nil {
				return err
			}
		}
	case http2.FrameWindowUpdate:
		if len(payload) >= 4 && binary.BigEndian.Uint32(payload)&maxInt31 == 0 {
			return errIncrement
		}
	case FramePriorityUpdate:
		if len(payload) >= 4 && binary.BigEndian.Uint32(payload)&maxInt31 == 0 {
			return errPrioritized
		}
	case FrameAltSvc:
		if len(payload) >= 2 && uint32(binary.BigEndian.Uint16(payload)) > h.Length-2 {
			return errInnerLength
		}
	case FrameOrigin:
		for p, left := payload, h.Length; left > 0; {
			if left < 2 {
				return errInnerLength
			}
			if len(p) < 2 {
				break
			}
			n := uint32(binary.BigEndian.Uint16(p)) + 2
			if n > left {
				return errInnerLength
			}
			left -= n
			p = p[min(int(n), len(p)):]
		}
	}
	return nil
}

// checkPadding judges the Pad Length field of a padded frame that has fixed
// octets of other fields after it.
func checkPadding(h FrameHeader, payload []byte, fixed uint32) *FrameError {
	if h.Length < 1+fixed {
		return errTooShort
	}
	if len(payload) > 0 && uint32(payload[0]) > h.Length-1-fixed {
		return errPadding
	}
	return nil
}

// checkSetting judges one setting (RFC 9113, section 6.5.2).
func checkSetting(id uint16, value uint32) *FrameError {
	switch id {
	case settingEnablePush, settingEnableConnectProtocol, settingNoRFC7540Priorities:
		if value > 1 {
			return errSettingBool
		}
	case settingInitialWindowSize:
		if value > maxInt31 {
			return errSettingWindow
		}
	case settingMaxFrameSize:
		if value < defaultMaxFrameSize || value > largestFrameSize {
			return errSettingFrameSize
		}
	}
	return nil
}

// FieldBlockFragment finds the field block fragment in the whole payload of a
// HEADERS, PUSH_PROMISE or CONTINUATION frame: it is payload[from:to]. It
// returns false where padding and fixed fields leave no telling where it is.
func FieldBlockFragment(h FrameHeader, payload []byte) (from, to int, ok bool) {
	to = len(payload)
	if h.Type == http2.FrameContinuation {
		return 0, to, true
	}
	if h.Flags.Has(http2.FlagHeadersPadded) { // the same bit in both types
		if len(payload) < 1 {
			return 0, 0, false
		}
		from = 1
		to -= int(payload[0])
	}
	switch {
	case h.Type == http2.FramePushPromise:
		from += 4
	case h.Flags.Has(http2.FlagHeadersPriority):
		from += 5
	}
	return from, to, from <= to
}
