// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// texts tells whether a text is what the test asks for.
func (t *test) texts() func([]byte) bool {
	switch t.op {
	case opHas:
		return func([]byte) bool { return true }
	case opContains:
		part := []byte(t.values[0].text)
		return func(b []byte) bool { return bytes.Contains(b, part) }
	case opMatches:
		return t.re.Match
	}
	if len(t.values) == 1 {
		want := t.values[0].text
		return func(b []byte) bool { return string(b) == want }
	}
	want := make(map[string]bool)
	for _, v := range t.values {
		want[v.text] = true
	}
	return func(b []byte) bool { return want[string(b)] }
}

// headerNames are the names of the field lines that a field of the language
// stands for.
func (t *test) headerNames() []string {
	switch t.field.id {
	case fieldStatus:
		return []string{":status"}
	case fieldMethod:
		return []string{":method"}
	case fieldPath:
		return []string{":path"}
	case fieldAuthority:
		return []string{":authority", "host"}
	case fieldGRPCStatus:
		return []string{"grpc-status"}
	}
	return []string{t.header}
}

// headerField asks the field lines. Each is asked once a segment, however many
// rows have it.
func (t *test) headerField(c *compiler) compiled {
	memo := c.memos
	c.memos++
	accepts := t.accepts()
	return compiled{func(r *store.Record) bool { return r.AnyField(memo, accepts) }, costField}
}

func (t *test) accepts() func(*store.RawField) bool {
	names, has := t.headerNames(), t.op == opHas
	var value func([]byte) bool
	if t.field.kind == text {
		value = t.texts()
	} else {
		in := t.numbers()
		value = func(b []byte) bool {
			n, err := strconv.ParseUint(string(b), 10, 64)
			return err == nil && in(n)
		}
	}
	return func(f *store.RawField) bool {
		if !f.NameKnown || string(f.Name) != names[0] && (len(names) == 1 || string(f.Name) != names[1]) {
			return false
		}
		return has || f.ValueKnown && value(f.Value)
	}
}

// trust asks for the worst trust among the fields of a row that has some.
func (t *test) trust(c *compiler) compiled {
	memo := c.memos
	c.memos += 2
	in := t.table()
	is := func(want decode.Trust) func(*store.RawField) bool {
		return func(f *store.RawField) bool { return f.Trust == want }
	}
	attach, gap := is(decode.UnknownSinceAttach), is(decode.UnknownSinceGap)
	return compiled{func(r *store.Record) bool {
		switch {
		case !r.HasFields():
			return false
		case r.AnyField(memo, gap):
			return in[decode.UnknownSinceGap]
		case r.AnyField(memo+1, attach):
			return in[decode.UnknownSinceAttach]
		}
		return in[decode.TrustExact]
	}, costField}
}

// errorCode asks for the codes of RST_STREAM and GOAWAY (RFC 9113, sections 6.4
// and 6.8) and for that of a malformed frame.
func (t *test) errorCode() compiled {
	in := t.numbers()
	return compiled{func(r *store.Record) bool {
		if !r.IsFrame() {
			return false
		}
		if code, ok := r.Malformed(); ok && in(uint64(code)) {
			return true
		}
		at := 0
		switch r.Type() {
		case http2.FrameRSTStream:
		case http2.FrameGoAway:
			at = 4
		default:
			return false
		}
		p := r.Payload()
		return len(p) >= at+4 && r.Missing() == 0 && in(uint64(binary.BigEndian.Uint32(p[at:])))
	}, costPayload}
}

// diagnosis asks for findings by code or severity.
func (t *test) diagnosis(c *compiler) compiled {
	c.findings = true
	severity := t.numbers()
	accepts := func(f *store.Finding) bool {
		switch {
		case t.op == opHas:
			return true
		case t.op == opContains:
			return strings.Contains(f.Code, strings.ToLower(t.values[0].text))
		case t.op >= opLess && t.op <= opGreaterEqual:
			return severity(uint64(f.Severity))
		}
		for _, v := range t.values {
			if v.text == f.Code || v.text == "" && v.lo == uint64(f.Severity) {
				return true
			}
		}
		return false
	}
	return compiled{func(r *store.Record) bool {
		list := r.Findings()
		for i := range list {
			if accepts(&list[i]) {
				return true
			}
		}
		return false
	}, costProcess}
}
