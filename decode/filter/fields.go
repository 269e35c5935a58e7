// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

type fieldID uint8

const (
	fieldStream fieldID = iota
	fieldConn
	fieldPID
	fieldComm
	fieldRole
	fieldKind
	fieldDir
	fieldType
	fieldFlag
	fieldLength
	fieldTime
	fieldError
	fieldStatus
	fieldMethod
	fieldPath
	fieldAuthority
	fieldHeader
	fieldGRPCStatus
	fieldTrust
	fieldDiag
)

// valueKind is what a field is compared with.
type valueKind uint8

const (
	number   valueKind = iota // with < and ranges
	size                      // the same, also as 16KiB
	duration                  // the same, in seconds or as 18ms
	name                      // one of a list, or its number
	level                     // the same, with < and ranges
	text                      // with contains and matches
	code                      // of a diagnosis, or a severity
)

// Field is a field of the language.
type Field struct {
	Name  string
	About string // one line
	id    fieldID
	kind  valueKind
	max   uint64 // of a number
	names []named
}

// named is a value that has a name.
type named struct {
	name string
	n    uint64
}

// Values are the names that the field's values may have.
func (f *Field) Values() []string {
	out := make([]string, len(f.names))
	for i, n := range f.names {
		out[i] = n.name
	}
	return out
}

// fields are all that there are, in the order in which they are explained.
var fields = []Field{
	{Name: "stream", About: "stream id", id: fieldStream, kind: number, max: 1<<31 - 1},
	{Name: "conn", About: "connection, as c3 or 3", id: fieldConn, kind: number, max: 1<<32 - 1},
	{Name: "pid", About: "process id of the traced program", id: fieldPID, kind: number, max: 1<<32 - 1},
	{Name: "comm", About: "name of the traced program", id: fieldComm, kind: text},
	{Name: "role", About: "part that the traced program plays: client or server", id: fieldRole, kind: name, max: 2,
		names: []named{{"client", uint64(capture.Client)}, {"server", uint64(capture.Server)}}},
	{Name: "kind", About: "kind of row: frame, gap, open and others", id: fieldKind, kind: name, max: 7, names: kindNames()},
	{Name: "dir", About: "send or recv, seen from the traced program", id: fieldDir, kind: name, max: 1,
		names: []named{{"send", 0}, {"recv", 1}}},
	{Name: "type", About: "frame type, by name or number", id: fieldType, kind: name, max: 255, names: typeNames()},
	{Name: "flag", About: "a flag that is set, by name, or bits that all are", id: fieldFlag, kind: name, max: 255, names: flagNames()},
	{Name: "length", About: "octets of the payload", id: fieldLength, kind: size, max: 1<<24 - 1},
	{Name: "time", About: "since the start, in seconds or as 18ms", id: fieldTime, kind: duration, max: 1<<63 - 1},
	{Name: "error", About: "error code in RST_STREAM or GOAWAY, or of a malformed frame", id: fieldError, kind: name, max: 1<<32 - 1, names: errorNames()},
	{Name: "status", About: "of a response", id: fieldStatus, kind: number, max: 999},
	{Name: "method", About: "of a request", id: fieldMethod, kind: text},
	{Name: "path", About: "of a request", id: fieldPath, kind: text},
	{Name: "authority", About: "of a request, or its host", id: fieldAuthority, kind: text},
	{Name: "header", About: `a header field by its name, as header["user-agent"]`, id: fieldHeader, kind: text},
	{Name: "grpc.status", About: "by name or number", id: fieldGRPCStatus, kind: level, max: 1<<32 - 1, names: grpcNames()},
	{Name: "trust", About: "how far the fields are known: exact, attach, gap", id: fieldTrust, kind: name, max: 2,
		names: []named{{"exact", uint64(decode.TrustExact)}, {"attach", uint64(decode.UnknownSinceAttach)}, {"gap", uint64(decode.UnknownSinceGap)}}},
	{Name: "diag", About: "a diagnosis by code or severity: note, warning, error", id: fieldDiag, kind: code, max: 3,
		names: []named{{"note", 1}, {"warning", 2}, {"error", 3}}},
}

func fieldNamed(text string) *Field {
	for i := range fields {
		if strings.EqualFold(fields[i].Name, text) {
			return &fields[i]
		}
	}
	return nil
}

func kindNames() []named {
	var out []named
	for k := decode.RowOpen; k <= decode.RowProtocol; k++ {
		out = append(out, named{k.String(), uint64(k)})
	}
	return out
}

func typeNames() []named {
	var out []named
	for t := range 256 {
		if n := decode.TypeName(http2.FrameType(t)); !strings.HasPrefix(n, "UNKNOWN") {
			out = append(out, named{n, uint64(t)})
		}
	}
	return out
}

// flagNames are the names of flags. Their number is not the bit: see flagMasks.
func flagNames() []named {
	return []named{{"END_STREAM", flagNamed}, {"END_HEADERS", flagNamed + 1}, {"ACK", flagNamed + 2}, {"PADDED", flagNamed + 3}, {"PRIORITY", flagNamed + 4}}
}

// flagNamed is beyond all bits: flags with a name mean another bit, or none, in
// each frame type.
const flagNamed = 256

// flagMasks gives the bits, by frame type, that a value of flag stands for.
func flagMasks(v uint64) (masks [256]http2.Flags) {
	name := ""
	if v >= flagNamed {
		name = flagNames()[v-flagNamed].name
	}
	for t := range masks {
		if name == "" {
			masks[t] = http2.Flags(v)
			continue
		}
		for bit := http2.Flags(1); bit != 0; bit <<= 1 {
			if decode.FlagNames(http2.FrameType(t), bit)[0] == name {
				masks[t] |= bit
			}
		}
	}
	return masks
}

func errorNames() []named {
	var out []named
	for code := range uint32(32) {
		if n := decode.ErrorName(code); !strings.HasPrefix(n, "UNKNOWN") {
			out = append(out, named{n, uint64(code)})
		}
	}
	return out
}

func grpcNames() []named {
	var out []named
	for i, n := range decode.GRPCStatusNames() {
		out = append(out, named{n, uint64(i)})
	}
	return out
}
