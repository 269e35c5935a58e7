// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// naive evaluates expressions over rows decoded back to their full form, a
// test at a time: what the compiled form must agree with.
type naive struct {
	infos map[capture.ConnID]capture.ConnInfo
	start int64
}

func (x *naive) is(n node, e *store.Entry) bool {
	switch n := n.(type) {
	case *or:
		return slices.ContainsFunc(n.list, func(n node) bool { return x.is(n, e) })
	case *and:
		return !slices.ContainsFunc(n.list, func(n node) bool { return !x.is(n, e) })
	case *not:
		return !x.is(n.inner, e)
	}
	t := n.(*test)
	any := slices.ContainsFunc(x.values(t, e), func(v string) bool { return x.accepts(t, v) })
	if t.op == opNotEqual {
		return !any
	}
	return any
}

// values are those that a row has of a field, as texts; numbers in decimal.
func (x *naive) values(t *test, e *store.Entry) (out []string) {
	add := func(n uint64) { out = append(out, strconv.FormatUint(n, 10)) }
	header := func(names ...string) {
		for _, f := range e.Fields {
			switch {
			case !f.NameKnown || !slices.Contains(names, f.Name):
			case f.ValueKnown:
				out = append(out, f.Value)
			case t.op == opHas:
				out = append(out, "")
			}
		}
	}
	frame := e.Kind == decode.RowFrame
	switch t.field.Name {
	case "conn":
		add(uint64(e.Conn))
	case "kind":
		add(uint64(e.Kind))
	case "time":
		add(uint64(max(e.Time-x.start, 0)))
	case "pid":
		if pid := x.infos[e.Conn].PID; pid != 0 {
			add(uint64(pid))
		}
	case "comm":
		if comm := x.infos[e.Conn].Comm; comm != "" {
			out = append(out, comm)
		}
	case "role":
		if e.Role != capture.RoleUnknown {
			add(uint64(e.Role))
		}
	case "dir":
		if frame || e.Kind == decode.RowPreface || e.Kind == decode.RowGap {
			add(uint64(e.Direction))
		}
	case "stream":
		if frame {
			add(uint64(e.Header.StreamID))
		}
	case "type":
		if frame {
			add(uint64(e.Header.Type))
		}
	case "length":
		if frame {
			add(uint64(e.Header.Length))
		}
	case "flag":
		if frame && e.Header.Flags != 0 {
			out = append(decode.FlagNames(e.Header.Type, e.Header.Flags), fmt.Sprint(byte(e.Header.Flags)))
		}
	case "error":
		if frame && e.Err != nil {
			add(uint64(e.Err.Code))
		}
		if frame && e.Missing == 0 && e.Header.Type == http2.FrameRSTStream && len(e.Payload) >= 4 {
			add(uint64(binary.BigEndian.Uint32(e.Payload)))
		}
		if frame && e.Missing == 0 && e.Header.Type == http2.FrameGoAway && len(e.Payload) >= 8 {
			add(uint64(binary.BigEndian.Uint32(e.Payload[4:])))
		}
	case "trust":
		if e.HasFields {
			worst := decode.TrustExact
			for _, f := range e.Fields {
				worst = max(worst, f.Trust)
			}
			add(uint64(worst))
		}
	case "diag":
		for _, f := range e.Findings {
			out = append(out, f.Code+" "+strconv.Itoa(int(f.Severity)))
		}
	case "status":
		header(":status")
	case "method":
		header(":method")
	case "path":
		header(":path")
	case "authority":
		header(":authority", "host")
	case "grpc.status":
		header("grpc-status")
	case "header":
		header(t.header)
	}
	return out
}

func (x *naive) accepts(t *test, v string) bool {
	if t.op == opHas {
		return true
	}
	if t.field.Name == "diag" {
		code, severity, _ := strings.Cut(v, " ")
		if t.op == opContains {
			return strings.Contains(code, strings.ToLower(t.values[0].text))
		}
		if v = severity; slices.ContainsFunc(t.values, func(w value) bool { return w.text != "" && w.text == code }) {
			return true
		}
	}
	if t.field.Name == "flag" {
		return slices.ContainsFunc(t.values, func(w value) bool {
			if bits, err := strconv.ParseUint(v, 10, 8); err == nil {
				return w.lo < 256 && w.lo&bits == w.lo
			}
			return t.field.print(w, w.lo) == v
		})
	}
	if t.field.kind == text {
		switch t.op {
		case opContains:
			return strings.Contains(v, t.values[0].text)
		case opMatches:
			return t.re.MatchString(v)
		}
		return slices.ContainsFunc(t.values, func(w value) bool { return w.text == v })
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return false
	}
	first := t.values[0].lo
	switch t.op {
	case opLess:
		return n < first
	case opLessEqual:
		return n <= first
	case opGreater:
		return n > first
	case opGreaterEqual:
		return n >= first
	}
	return slices.ContainsFunc(t.values, func(w value) bool { return w.text == "" && n >= w.lo && n <= w.hi })
}
