// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"iter"
	"slices"
	"strconv"

	"golang.org/x/net/http2"
)

// Frame types that package http2 does not name.
const (
	FrameAltSvc         http2.FrameType = 0x0a // RFC 7838, section 4
	FrameOrigin         http2.FrameType = 0x0c // RFC 8336, section 2
	FramePriorityUpdate http2.FrameType = 0x10 // RFC 9218, section 7.1
)

// Settings, by the IANA registry "HTTP/2 Settings".
const (
	settingHeaderTableSize       = 0x1
	settingEnablePush            = 0x2
	settingMaxConcurrentStreams  = 0x3
	settingInitialWindowSize     = 0x4
	settingMaxFrameSize          = 0x5
	settingMaxHeaderListSize     = 0x6
	settingEnableConnectProtocol = 0x8 // RFC 8441, section 3
	settingNoRFC7540Priorities   = 0x9 // RFC 9218, section 2.1
)

// TypeName gives the name of a frame type as the RFCs write it, and
// UNKNOWN_0x2a for one that is in none.
func TypeName(t http2.FrameType) string {
	switch t {
	case http2.FrameData:
		return "DATA"
	case http2.FrameHeaders:
		return "HEADERS"
	case http2.FramePriority:
		return "PRIORITY"
	case http2.FrameRSTStream:
		return "RST_STREAM"
	case http2.FrameSettings:
		return "SETTINGS"
	case http2.FramePushPromise:
		return "PUSH_PROMISE"
	case http2.FramePing:
		return "PING"
	case http2.FrameGoAway:
		return "GOAWAY"
	case http2.FrameWindowUpdate:
		return "WINDOW_UPDATE"
	case http2.FrameContinuation:
		return "CONTINUATION"
	case FrameAltSvc:
		return "ALTSVC"
	case FrameOrigin:
		return "ORIGIN"
	case FramePriorityUpdate:
		return "PRIORITY_UPDATE"
	}
	return fmt.Sprintf("UNKNOWN_0x%02x", uint8(t))
}

// flagName is the name of one flag bit of a frame type, or "".
func flagName(t http2.FrameType, bit http2.Flags) string {
	switch t {
	case http2.FrameData:
		switch bit {
		case http2.FlagDataEndStream:
			return "END_STREAM"
		case http2.FlagDataPadded:
			return "PADDED"
		}
	case http2.FrameHeaders:
		switch bit {
		case http2.FlagHeadersEndStream:
			return "END_STREAM"
		case http2.FlagHeadersEndHeaders:
			return "END_HEADERS"
		case http2.FlagHeadersPadded:
			return "PADDED"
		case http2.FlagHeadersPriority:
			return "PRIORITY"
		}
	case http2.FramePushPromise:
		switch bit {
		case http2.FlagPushPromiseEndHeaders:
			return "END_HEADERS"
		case http2.FlagPushPromisePadded:
			return "PADDED"
		}
	case http2.FrameContinuation:
		if bit == http2.FlagContinuationEndHeaders {
			return "END_HEADERS"
		}
	case http2.FrameSettings, http2.FramePing:
		if bit == http2.FlagSettingsAck {
			return "ACK"
		}
	}
	return ""
}

// FlagNames names the flags set in f, in the order of their bits from 0x1 up.
// Bits without a meaning for the frame type are given as "0x40".
func FlagNames(t http2.FrameType, f http2.Flags) []string {
	return slices.Collect(EachFlag(t, f))
}

// EachFlag is FlagNames one by one.
func EachFlag(t http2.FrameType, f http2.Flags) iter.Seq[string] {
	return func(yield func(string) bool) {
		for bit := http2.Flags(1); bit != 0; bit <<= 1 {
			if f&bit == 0 {
				continue
			}
			name := flagName(t, bit)
			if name == "" {
				name = fmt.Sprintf("0x%x", uint8(bit))
			}
			if !yield(name) {
				return
			}
		}
	}
}

// SettingName names a setting as the RFCs write it, and UNKNOWN_0x2a for one
// that is in none.
func SettingName(id uint16) string {
	switch id {
	case settingHeaderTableSize:
		return "HEADER_TABLE_SIZE"
	case settingEnablePush:
		return "ENABLE_PUSH"
	case settingMaxConcurrentStreams:
		return "MAX_CONCURRENT_STREAMS"
	case settingInitialWindowSize:
		return "INITIAL_WINDOW_SIZE"
	case settingMaxFrameSize:
		return "MAX_FRAME_SIZE"
	case settingMaxHeaderListSize:
		return "MAX_HEADER_LIST_SIZE"
	case settingEnableConnectProtocol:
		return "ENABLE_CONNECT_PROTOCOL"
	case settingNoRFC7540Priorities:
		return "NO_RFC7540_PRIORITIES"
	}
	return fmt.Sprintf("UNKNOWN_0x%02x", id)
}

// ErrorName names an error code (RFC 9113, section 7), and gives UNKNOWN_0x2a
// for one that the RFC does not define.
func ErrorName(code uint32) string {
	switch http2.ErrCode(code) {
	case http2.ErrCodeNo:
		return "NO_ERROR"
	case http2.ErrCodeProtocol:
		return "PROTOCOL_ERROR"
	case http2.ErrCodeInternal:
		return "INTERNAL_ERROR"
	case http2.ErrCodeFlowControl:
		return "FLOW_CONTROL_ERROR"
	case http2.ErrCodeSettingsTimeout:
		return "SETTINGS_TIMEOUT"
	case http2.ErrCodeStreamClosed:
		return "STREAM_CLOSED"
	case http2.ErrCodeFrameSize:
		return "FRAME_SIZE_ERROR"
	case http2.ErrCodeRefusedStream:
		return "REFUSED_STREAM"
	case http2.ErrCodeCancel:
		return "CANCEL"
	case http2.ErrCodeCompression:
		return "COMPRESSION_ERROR"
	case http2.ErrCodeConnect:
		return "CONNECT_ERROR"
	case http2.ErrCodeEnhanceYourCalm:
		return "ENHANCE_YOUR_CALM"
	case http2.ErrCodeInadequateSecurity:
		return "INADEQUATE_SECURITY"
	case http2.ErrCodeHTTP11Required:
		return "HTTP_1_1_REQUIRED"
	}
	return "UNKNOWN_0x" + strconv.FormatUint(uint64(code), 16)
}

// GRPCStatusNames are the names of gRPC's status codes, by code (grpc/grpc,
// doc/statuscodes.md).
func GRPCStatusNames() []string {
	return []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
		"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
		"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}
}
