// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
	"h2sniff/decode/visible"
)

// indent stands before the lines under a frame, as in nghttp -v.
const indent = "          "

// text appends the lines of a row.
func (w *Writer) text(b []byte, e *store.Entry, c *store.ConnSummary) []byte {
	b = append(e.Conn.Append(b), ' ')
	switch e.Kind {
	case decode.RowFrame:
		b = append(w.frameLine(b, e), '\n')
		return w.textFrame(b, e)
	case decode.RowGap:
		return append(w.gapLine(b, e), '\n')
	case decode.RowPreface:
		b = w.clock(b, e)
		b = append(b, e.Direction.String()...)
		return append(b, " connection preface\n"...)
	case decode.RowOpen:
		b = w.clock(b, e)
		return textOpen(b, e, c)
	case decode.RowBind:
		b = w.clock(b, e)
		return textBind(b, e, c)
	case decode.RowProtocol:
		b = w.clock(b, e)
		if e.OneWay {
			b = append(append(b, e.Direction.String()...), ' ')
		}
		b = append(b, "protocol "...)
		b = append(b, e.Protocol.String()...)
		return append(b, ": it has no frames to show\n"...)
	}
	b = w.clock(b, e)
	b = append(b, e.Kind.String()...)
	return append(b, '\n')
}

func textOpen(b []byte, e *store.Entry, c *store.ConnSummary) []byte {
	info := e.Info
	if info == nil {
		info = &c.Info
	}
	b = append(b, "open <"...)
	process := info.PID != 0 || info.Comm != "" || info.Library != ""
	if process { // packets belong to none
		b = fmt.Appendf(b, "pid=%d, tid=%d, comm=", info.PID, info.TID)
		b = visible.Append(b, info.Comm)
		b = append(b, ", library="...)
		b = visible.Append(b, info.Library)
	}
	if r := role(e, c); r != capture.RoleUnknown {
		if process {
			b = append(b, ", "...)
		}
		b = append(b, "role="...)
		b = append(b, r.String()...)
	}
	b = append(b, ">\n"...)
	if !info.Fresh {
		b = append(b, indent+"(its beginning was not seen)\n"...)
	}
	return b
}

func textBind(b []byte, e *store.Entry, c *store.ConnSummary) []byte {
	b = append(b, "bind <"...)
	var bd capture.Binding
	if e.Binding != nil {
		bd = *e.Binding
	}
	if bd.Evidence != capture.Withdrawn {
		for _, a := range []struct {
			name string
			addr netip.AddrPort
		}{{"local=", bd.Local}, {"remote=", bd.Remote}} {
			if a.addr.IsValid() {
				b = append(b, a.name...)
				b = visible.Append(b, a.addr.String())
				b = append(b, ", "...)
			}
		}
	}
	b = append(b, "address="...)
	b = append(b, bd.Evidence.String()...)
	if c.Peer != 0 {
		b = append(b, ", peer="...)
		b = append(b, c.Peer.String()...)
	}
	return append(b, ">\n"...)
}

// role is the part of the traced process, as known with the row or since.
func role(e *store.Entry, c *store.ConnSummary) capture.Role {
	if e.Role != capture.RoleUnknown {
		return e.Role
	}
	return c.Role
}

// textFrame appends what is indented under a frame: the summary of its
// payload in the words of nghttp -v, its lists, its field section, its error.
func (w *Writer) textFrame(b []byte, e *store.Entry) []byte {
	c := parse(e)
	before := len(b)
	b = append(b, indent+"("...)
	empty := len(b)
	if b = textSummary(b, &c); len(b) > empty {
		b = append(b, ")\n"...)
	} else {
		b = b[:before]
	}
	for _, s := range c.Settings {
		b = append(append(b, indent+"["...), decode.SettingName(s.ID)...)
		b = append(appendHex(append(b, '('), uint32(s.ID)), "):"...)
		b = append(strconv.AppendUint(b, uint64(s.Value), 10), "]\n"...)
	}
	for _, o := range c.Origins {
		b = append(b, indent+"["...)
		b = visible.Append(b, o)
		b = append(b, "]\n"...)
	}
	for i := range e.Fields {
		b = textField(b, &e.Fields[i])
	}
	if w.o.Body {
		b = textDump(b, c.Data)
		b = textDump(b, c.Unknown)
	}
	if e.Missing > 0 {
		b = fmt.Appendf(b, indent+"! %d octets of the payload were not captured", e.Missing)
		if w.o.Body && c.has&(data|unknown) != 0 {
			b = append(b, "; zeroes stand in their places"...)
		}
		b = append(b, '\n')
	}
	if e.Err != nil {
		b = append(b, indent+"! "...)
		b = visible.Append(b, reason(e.Err))
		b = append(b, '\n')
	}
	return b
}

func textSummary(b []byte, c *contents) []byte {
	start := len(b)
	item := func(p part, name string) bool {
		if c.has&p == 0 {
			return false
		}
		if len(b) > start {
			b = append(b, ", "...)
		}
		b = append(b, name...)
		return true
	}
	number := func(p part, name string, v uint64) {
		if item(p, name) {
			b = strconv.AppendUint(b, v, 10)
		}
	}
	number(padLength, "padlen=", uint64(c.PadLength))
	if p := c.Priority; p != nil {
		if len(b) > start {
			b = append(b, ", "...)
		}
		b = strconv.AppendUint(append(b, "dep_stream_id="...), uint64(p.StreamDep), 10)
		b = strconv.AppendUint(append(b, ", weight="...), uint64(p.Weight), 10)
		if p.Exclusive {
			b = append(b, ", exclusive=1"...)
		} else {
			b = append(b, ", exclusive=0"...)
		}
	}
	number(settings, "niv=", uint64(len(c.Settings)))
	number(promisedStream, "promised_stream_id=", uint64(c.PromisedStream))
	number(lastStream, "last_stream_id=", uint64(c.LastStream))
	if item(errorCode, "error_code=") {
		b = textError(b, c.ErrorCode)
	}
	if c.has&lastStream != 0 {
		b = fmt.Appendf(b, ", opaque_data(%d)=[", len(c.DebugData))
		b = visible.Append(b, string(c.DebugData))
		b = append(b, ']')
	}
	if item(ping, "opaque_data=") {
		b = hex.AppendEncode(b, c.Ping[:])
	}
	number(increment, "window_size_increment=", uint64(c.Increment))
	if item(altSvc, "origin=[") {
		b = visible.Append(b, c.AltSvc.Origin)
		b = append(b, "], altsvc_field_value=["...)
		b = visible.Append(b, c.AltSvc.Value)
		b = append(b, ']')
	}
	number(prioritizedStream, "prioritized_stream_id=", uint64(c.PrioritizedStream))
	if item(priorityField, "priority_field_value=[") {
		b = visible.Append(b, c.PriorityField)
		b = append(b, ']')
	}
	return b
}

func textError(b []byte, code http2.ErrCode) []byte {
	b = append(b, decode.ErrorName(uint32(code))...)
	return append(appendHex(append(b, '('), uint32(code)), ')')
}

// appendHex appends v in hexadecimal, with at least two digits.
func appendHex(b []byte, v uint32) []byte {
	b = append(b, "0x"...)
	if v < 0x10 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, uint64(v), 16)
}

// textField appends a field line. Where the name or the value is not known,
// what stands in its place says so and tells unknown entries apart.
func textField(b []byte, f *decode.Field) []byte {
	name, value := known(f)
	b = append(b, indent...)
	switch {
	case name:
		b = visible.Append(b, f.Name)
		b = append(b, ": "...)
		if value {
			b = visible.Append(b, f.Value)
		} else {
			b = textUnknown(b, f)
		}
	case value:
		b = textUnknown(b, f)
		b = append(b, ": "...)
		b = visible.Append(b, f.Value)
	default:
		b = textUnknown(b, f)
	}
	if f.Sensitive {
		b = append(b, "  (never indexed)"...)
	}
	return append(b, '\n')
}

// known tells which halves of a field are.
func known(f *decode.Field) (name, value bool) {
	exact := f.Trust == decode.TrustExact
	return exact || f.NameKnown, exact || f.ValueKnown
}

func textUnknown(b []byte, f *decode.Field) []byte {
	b = fmt.Appendf(b, "<%v, entry %d", f.Trust, f.Unknown)
	if f.Epoch != 0 {
		b = fmt.Appendf(b, " of epoch %d", f.Epoch)
	}
	return append(b, '>')
}

func textDump(b, content []byte) []byte {
	if len(content) == 0 {
		return b
	}
	for line := range bytes.Lines([]byte(hex.Dump(content))) {
		b = append(b, indent...)
		b = append(b, line...)
	}
	return b
}
