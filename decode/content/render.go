// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"

	"h2sniff/decode/visible"
)

// AppendText appends a tree as lines of text, each with indent in front.
// Everything of the peer's in it passes visible.Append, so the lines are safe
// for a terminal.
func AppendText(dst []byte, indent string, p *Part) []byte {
	dst = append(dst, indent...)
	dst = append(dst, title(p)...)
	if p.Name != "" {
		dst = append(dst, ' ')
		dst = visible.Append(dst, p.Name)
	}
	if len(p.Attrs) > 0 {
		dst = append(dst, " ("...)
		for i, a := range p.Attrs {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = append(dst, a.Key...)
			dst = append(dst, '=')
			dst = visible.Append(dst, a.Value)
		}
		dst = append(dst, ')')
	}
	inner := indent + "  "
	switch {
	case p.Text == "":
		dst = append(dst, '\n')
	case strings.IndexByte(p.Text, '\n') < 0 && p.Kind != KindJSON && p.Kind != KindText:
		dst = append(dst, ": "...)
		dst = visible.Append(dst, p.Text)
		dst = append(dst, '\n')
	default:
		dst = append(dst, '\n')
		for line := range strings.Lines(p.Text) {
			dst = append(dst, inner...)
			dst = visible.Append(dst, strings.TrimRight(line, "\r\n"))
			dst = append(dst, '\n')
		}
	}
	dst = appendDump(dst, inner, p.Data)
	for _, problem := range p.Problems {
		dst = append(dst, inner...)
		dst = append(dst, "! "...)
		dst = append(dst, problem...)
		dst = append(dst, '\n')
	}
	for _, c := range p.Children {
		dst = AppendText(dst, inner, c)
	}
	return dst
}

// title is the beginning of a part's line.
func title(p *Part) string {
	switch p.Kind {
	case KindField:
		return p.Label
	case KindGRPC:
		return "gRPC"
	case KindGRPCMessage:
		return strings.TrimSpace("message " + p.Label)
	case KindGRPCStatus:
		return "gRPC status"
	case KindWebSocket:
		return "WebSocket"
	case KindJSON:
		return "JSON"
	case KindEventStream:
		return "event stream"
	}
	return strings.TrimSpace(string(p.Kind) + " " + p.Label)
}

// dumpRow is how many octets a row of a hex dump has.
const dumpRow = 16

// appendDump appends a hex dump. At most 64 rows: the octets are in the JSON
// lines for who needs them all.
func appendDump(dst []byte, indent string, data []byte) []byte {
	const rows = 64
	for at := 0; at < len(data); at += dumpRow {
		if at == rows*dumpRow {
			return fmt.Appendf(dst, "%s... %s more\n", indent, count(uint64(len(data)-at), "octet"))
		}
		row := data[at:min(at+dumpRow, len(data))]
		dst = fmt.Appendf(dst, "%s%08x  ", indent, at)
		for i := range dumpRow {
			if i < len(row) {
				dst = hex.AppendEncode(dst, row[i:i+1])
				dst = append(dst, ' ')
			} else {
				dst = append(dst, "   "...)
			}
		}
		dst = append(dst, ' ')
		dst = append(dst, bytes.Map(func(r rune) rune {
			if r < 0x20 || r > 0x7e {
				return '.'
			}
			return r
		}, ascii(row))...)
		dst = append(dst, '\n')
	}
	return dst
}

// ascii replaces octets beyond ASCII by dots, one each.
func ascii(row []byte) []byte {
	out := bytes.Clone(row)
	for i, c := range out {
		if c >= 0x80 {
			out[i] = '.'
		}
	}
	return out
}
