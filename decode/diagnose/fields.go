// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"math"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"
)

// sectionSize judges how large a field section became.
func (t *Tracker) sectionSize(d capture.Direction, ch *stream.Change) {
	row := t.row
	if !row.HasFields {
		return
	}
	var size uint64
	for i := range row.Fields {
		size += uint64(len(row.Fields[i].Name)+len(row.Fields[i].Value)) + 32
	}
	if size >= bombSize && size >= bombRatio*uint64(ch.Wire) {
		t.report(hpackBomb, row.Header.StreamID, "A field block of %d octets becomes a field section of %d.", ch.Wire, size)
	}
	rev := t.conn.Half(d.Reverse())
	if limit := rev.Loosest.MaxHeaderListSize; limit != math.MaxUint32 && size > uint64(limit) && rev.SettingsSure() {
		t.hold(headerListTooLarge, row.Header.StreamID, "The field section has %d octets; SETTINGS_MAX_HEADER_LIST_SIZE is %d.", size, limit)
	}
}

// Pseudo-header fields, as bits.
const (
	pMethod = 1 << iota
	pScheme
	pAuthority
	pPath
	pProtocol
	pStatus
	pOther
)

func pseudoBit(name string) uint {
	switch name {
	case ":method":
		return pMethod
	case ":scheme":
		return pScheme
	case ":authority":
		return pAuthority
	case ":path":
		return pPath
	case ":protocol":
		return pProtocol
	case ":status":
		return pStatus
	}
	return pOther
}

// fields judges a field section (RFC 9113, sections 8.2 and 8.3).
func (t *Tracker) fields(d capture.Direction, ch *stream.Change) {
	row := t.row
	id := row.Header.StreamID
	var seen uint
	var method, path, status *decode.Field
	regular, unknown, misplaced := false, false, false
	for i := range row.Fields {
		f := &row.Fields[i]
		if f.ValueKnown {
			t.value(id, f)
		}
		if !f.NameKnown {
			unknown = true
			continue
		}
		if f.Name == "" || f.Name[0] != ':' {
			regular = true
			t.name(id, f)
			continue
		}
		if regular && !misplaced {
			misplaced = true
			t.report(pseudoHeaderOrder, id, "The pseudo-header field %s stands behind a regular field.", quote(f.Name))
		}
		bit := pseudoBit(f.Name)
		switch {
		case bit == pOther:
			t.report(pseudoHeaderSet, id, "There is no pseudo-header field %s.", quote(f.Name))
		case seen&bit != 0:
			t.report(pseudoHeaderSet, id, "The pseudo-header field %s occurs twice.", quote(f.Name))
		}
		seen |= bit
		switch bit {
		case pMethod:
			method = f
		case pPath:
			path = f
		case pStatus:
			status = f
		}
	}
	if row.Err != nil {
		return // what stands behind the fault was not decoded
	}
	seen &^= pOther
	switch ch.Section {
	case stream.Request, stream.Promise:
		t.requestSet(id, seen, unknown, method, path)
	case stream.Response:
		t.responseSet(d, id, seen, unknown, status)
	case stream.Trailers:
		if seen != 0 {
			t.reportAs(pseudoHeaderSet, decode.Error, "RFC 9113, section 8.1", id, "A pseudo-header field in trailers.")
		}
		if !t.sides[d].blockEnds && ch.Stream != nil && t.conn.Whole(ch.Stream, d) {
			t.report(trailersWithoutEnd, id, "A second field section of the message does not end the stream.")
		}
	}
}

// requestSet judges the set of pseudo-header fields of a request.
func (t *Tracker) requestSet(id uint32, seen uint, unknown bool, method, path *decode.Field) {
	const section = "RFC 9113, section 8.3.1"
	if seen&pStatus != 0 {
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A request has the pseudo-header field “:status”.")
	}
	if method == nil && !unknown {
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A request lacks the pseudo-header field “:method”.")
	}
	connect := method != nil && method.ValueKnown && method.Value == "CONNECT"
	switch {
	case connect && seen&pProtocol == 0 && !unknown:
		if seen&(pScheme|pPath) != 0 {
			t.reportAs(pseudoHeaderSet, decode.Error, "RFC 9113, section 8.5", id, "A CONNECT request has “:scheme” or “:path”.")
		}
	case unknown || method != nil && !method.ValueKnown:
	default:
		if seen&pScheme == 0 {
			t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A request lacks the pseudo-header field “:scheme”.")
		}
		if seen&pPath == 0 {
			t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A request lacks the pseudo-header field “:path”.")
		}
	}
	if path != nil && path.ValueKnown && path.Value == "" {
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "The pseudo-header field “:path” is empty.")
	}
}

// responseSet judges the set of pseudo-header fields of a response.
func (t *Tracker) responseSet(d capture.Direction, id uint32, seen uint, unknown bool, status *decode.Field) {
	const section = "RFC 9113, section 8.3.2"
	if seen&^pStatus != 0 {
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A response has a pseudo-header field of requests.")
	}
	switch {
	case status == nil && !unknown:
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "A response lacks the pseudo-header field “:status”.")
	case status == nil || !status.ValueKnown:
	case !isStatus(status.Value):
		t.reportAs(pseudoHeaderSet, decode.Error, section, id, "The “:status” %s is not three digits.", quote(status.Value))
	case status.Value == "101":
		t.reportAs(pseudoHeaderSet, decode.Error, "RFC 9113, section 8.6", id, "The status 101 is not for HTTP/2.")
	case status.Value[0] == '1' && t.sides[d].blockEnds:
		t.report(interimEnds, id, "The interim response %s ends the stream.", status.Value)
	}
}

func isStatus(s string) bool {
	if len(s) != 3 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Classes of octets in field names and values.
const (
	upperCase  = 1 << iota // A to Z
	notInName              // RFC 9113, section 8.2.1: up to 0x20, from 0x7f, the colon
	notInValue             // NUL, CR, LF
)

var octetClass = func() (c [256]uint8) {
	for i := range c {
		switch {
		case i >= 'A' && i <= 'Z':
			c[i] |= upperCase
		case i <= 0x20 || i >= 0x7f || i == ':':
			c[i] |= notInName
		}
	}
	c[0] |= notInValue
	c['\r'] |= notInValue
	c['\n'] |= notInValue
	return c
}()

// name judges the name of a regular field.
func (t *Tracker) name(id uint32, f *decode.Field) {
	var class uint8
	for i := range len(f.Name) {
		class |= octetClass[f.Name[i]]
	}
	switch {
	case f.Name == "":
		t.report(headerNameInvalid, id, "A field name is empty.")
	case class&upperCase != 0:
		t.report(headerNameCase, id, "The field name %s has upper-case letters.", quote(f.Name))
	case class&notInName != 0:
		t.report(headerNameInvalid, id, "The field name %s has forbidden octets.", quote(f.Name))
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		t.report(connectionSpecific, id, "The field %s is specific to connections of HTTP/1.", f.Name)
	case "te":
		if f.ValueKnown && f.Value != "trailers" {
			t.report(connectionSpecific, id, "The field te has the value %s, where only “trailers” may be.", quote(f.Value))
		}
	}
}

// value judges the value of a field.
func (t *Tracker) value(id uint32, f *decode.Field) {
	v := f.Value
	if v == "" {
		return
	}
	var class uint8
	for i := range len(v) {
		class |= octetClass[v[i]]
	}
	if class&notInValue != 0 {
		t.report(headerValueInvalid, id, "A field value has NUL, CR or LF: %s.", quote(v))
		return
	}
	if first, last := v[0], v[len(v)-1]; first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		t.report(headerValueInvalid, id, "A field value begins or ends with white space: %s.", quote(v))
	}
}
