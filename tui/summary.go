// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// summary is what the info column says of a frame, in w cells or little more.
func (m *Model) summary(e *store.Entry, w int) cell {
	s := m.sty
	if e.Err != nil {
		return cell{"! " + frameError(e.Err, w), s.bad}
	}
	text, style := m.frameText(e, w)
	if e.Missing > 0 {
		text = "⋯ " + commas(uint64(e.Missing)) + " octets missing " + text
		style = s.warn
	}
	return cell{text, style}
}

// frameError says what is malformed about a frame, with its code; or, where there
// is none, why the frame is not whole or was not decoded.
func frameError(err *decode.FrameError, w int) string {
	switch {
	case err.Cut():
		return "cut: " + peer(strings.TrimSuffix(err.Reason, " before the frame did"), w)
	case err.Code == http2.ErrCodeNo:
		return peer(err.Reason, w)
	}
	return decode.ErrorName(uint32(err.Code)) + ": " + peer(err.Reason, w)
}

func (m *Model) frameText(e *store.Entry, w int) (string, sgr) {
	s := m.sty
	if e.HasFields {
		return m.fieldsText(e, w)
	}
	p, err := decode.ParsePayload(e.Header, e.Payload)
	if err != nil || e.Missing > 0 {
		return "", s.plain
	}
	switch e.Header.Type {
	case http2.FrameData:
		if p.HasPad {
			return "padding " + itoa(p.PadLength), s.dim
		}
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		if !e.Header.Flags.Has(http2.FlagHeadersEndHeaders) {
			return "… continued", s.dim
		}
	case http2.FramePriority:
		return priorityText(p.Priority), s.dim
	case http2.FrameRSTStream:
		return decode.ErrorName(uint32(p.ErrorCode)), s.warn
	case http2.FrameSettings:
		return settingsText(&e.Header, p.Settings), s.plain
	case http2.FramePing:
		return hex.EncodeToString(p.Ping[:]), s.dim
	case http2.FrameGoAway:
		text := decode.ErrorName(uint32(p.ErrorCode)) + " last " + itoa(p.LastStream)
		if len(p.DebugData) > 0 {
			text += " " + peer(clip(p.DebugData, w), w)
		}
		return text, s.warn
	case http2.FrameWindowUpdate:
		return "+" + itoa(p.Increment), s.dim
	case decode.FrameAltSvc:
		return peer(p.AltSvc.Origin, w) + " " + peer(p.AltSvc.Value, w), s.plain
	case decode.FrameOrigin:
		if len(p.Origins) == 0 {
			return "(none)", s.dim
		}
		return peer(strings.Join(p.Origins[:min(len(p.Origins), w+1)], " "), w), s.plain
	case decode.FramePriorityUpdate:
		return itoa(p.PrioritizedStream) + " " + peer(p.PriorityField, w), s.plain
	}
	return "", s.plain
}

// fieldsText is what a field section is about: the request, the status, or
// else its first fields.
func (m *Model) fieldsText(e *store.Entry, w int) (string, sgr) {
	s := m.sty
	var method, target, status, grpc *decode.Field
	for i := range e.Fields {
		f := &e.Fields[i]
		if !f.NameKnown {
			continue
		}
		switch f.Name {
		case ":method":
			method = f
		case ":path":
			target = f
		case ":authority":
			if target == nil { // CONNECT has no path
				target = f
			}
		case ":status":
			status = f
		case "grpc-status":
			grpc = f
		}
	}
	text := ""
	if e.Header.Type == http2.FramePushPromise {
		if p, _ := decode.ParsePayload(e.Header, e.Payload); p.PromisedStream != 0 {
			text = "promises " + itoa(p.PromisedStream) + " "
		}
	}
	switch {
	case method != nil || target != nil:
		text += fieldValue(method, w) + " "
		if target != nil && target.ValueKnown && target.Name == ":path" {
			return text + knownPath(target.Value, w-width(text)), s.plain
		}
		return text + fieldValue(target, w), s.plain
	case status != nil && grpc == nil:
		v := fieldValue(status, w)
		return text + ":status " + v, statusStyle(s, v)
	}
	b, style := []byte(text), s.plain
	short := false
	if grpc != nil { // what trailers are about
		v := fieldValue(grpc, w)
		style = grpcStyle(s, v)
		status := "grpc-status " + grpcStatus(v)
		if name := grpcName(v); name != "" && len(b)+width(status) > w { // the name tells more
			short = true
			if status = "grpc " + grpcStatus(v); len(b)+len(status) > w {
				status = name
			}
		}
		b = append(b, status...)
	}
	for i := range e.Fields {
		f := &e.Fields[i]
		if f == grpc || grpc != nil && f.NameKnown && f.ValueKnown && f.Value == "" {
			continue
		}
		if len(b) > maxCluster*w {
			break
		}
		if short && f.NameKnown && f.Name == "grpc-message" {
			b = append(b, ": "...)
			b = append(b, m.shownValue(f, w)...)
			continue
		}
		if len(b) > len(text) {
			b = append(b, ", "...)
		}
		b = append(b, fieldName(f, w)...)
		b = append(b, ": "...)
		b = append(b, m.shownValue(f, w)...)
	}
	return string(b), style
}

// grpcStatus is a status with its name.
func grpcStatus(v string) string {
	if name := grpcName(v); name != "" {
		return v + " " + name
	}
	return v
}

// grpcName is the name of a status; empty where it has none.
func grpcName(v string) string {
	names := decode.GRPCStatusNames()
	if n, err := strconv.Atoi(v); err == nil && n >= 0 && n < len(names) {
		return names[n]
	}
	return ""
}

func grpcStyle(s *styles, v string) sgr {
	if v == "0" {
		return s.good
	}
	return s.warn
}

func fieldName(f *decode.Field, w int) string {
	if !f.NameKnown {
		return unknownValue
	}
	return peer(f.Name, w)
}

// shownValue is fieldValue, masked if it is to be.
func (m *Model) shownValue(f *decode.Field, w int) string {
	if m.masks(f) {
		return maskDots
	}
	return fieldValue(f, w)
}

func fieldValue(f *decode.Field, w int) string {
	if f == nil || !f.ValueKnown && f.Trust != decode.TrustExact {
		return unknownValue
	}
	return peer(f.Value, w)
}

func priorityText(p *decode.Priority) string {
	if p == nil {
		return ""
	}
	t := "depends on " + itoa(p.StreamDep) + " weight " + itoa(p.Weight)
	if p.Exclusive {
		t += " exclusive"
	}
	return t
}

// maxListed is how many settings the info column names at most.
const maxListed = 12

func settingsText(h *decode.FrameHeader, list []decode.Setting) string {
	if len(list) == 0 {
		if h.Flags.Has(http2.FlagSettingsAck) {
			return "ACK"
		}
		return "(none)"
	}
	var b strings.Builder
	for i, v := range list {
		if i == maxListed {
			b.WriteString(" …")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(decode.SettingName(v.ID) + "=" + itoa(v.Value))
	}
	return b.String()
}

// event is what the frames pane says of a row that is no frame.
func (m *Model) event(e *store.Entry, w int) cell {
	s := m.sty
	switch e.Kind {
	case decode.RowOpen:
		text := "● opened"
		if i := e.Info; i != nil {
			text = "● " + process(i, 30)
			if i.Role != capture.RoleUnknown {
				text += " " + i.Role.String()
			}
			if !i.Fresh {
				text += ", open before the capture began"
			}
			if i.Library != "" {
				text += "  " + peer(path.Base(i.Library), w)
			}
		}
		return cell{text, s.good}
	case decode.RowBind:
		return cell{"● " + bindingText(e.Binding), s.dim}
	case decode.RowPreface:
		c := arrow(s, e.Direction)
		return cell{c.text + "      connection preface", c.style}
	case decode.RowGap:
		style := s.warn
		if e.GapReason == decode.GapLost || e.GapReason == decode.GapNotSent {
			style = s.bad
		}
		if e.GapReason == decode.GapNotKept {
			return cell{"⋯ this row could not be kept in the file of the history", s.bad}
		}
		return cell{arrow(s, e.Direction).text + " ⋯ " + commas(e.GapBytes) + " octets " + e.GapReason.String(), style}
	case decode.RowProtocol:
		if e.OneWay {
			return cell{arrow(s, e.Direction).text + " ● " + e.Protocol.String() + ": no HTTP/2 frames will come", s.warn}
		}
		return cell{"● " + e.Protocol.String() + ": no HTTP/2 frames will come", s.warn}
	case decode.RowClose:
		return cell{"○ closed", s.dim}
	}
	return cell{e.Kind.String(), s.warn}
}

func bindingText(b *capture.Binding) string {
	if b == nil || b.Evidence == capture.Withdrawn {
		return "addresses withdrawn: the evidence contradicts itself"
	}
	return "local " + address(b.Local, 0) + "  remote " + address(b.Remote, 0) + "  (" + b.Evidence.String() + ")"
}

// hasStream says whether a row is part of a stream, the connection's stream 0
// among them.
func hasStream(e *store.Entry) bool { return e.Kind == decode.RowFrame }

func itoa[T uint8 | uint16 | uint32](n T) string { return strconv.FormatUint(uint64(n), 10) }

// clip is the beginning of b, enough for w cells.
func clip(b []byte, w int) string { return string(b[:min(len(b), maxCluster*(w+1))]) }
