// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strconv"
	"strings"
)

// suggest is what may be meant by a word that stands where a field has to; empty
// where nothing comes to mind. Behind it stands next.
func suggest(text string, next token) string {
	if text[0] == '/' {
		return "path contains " + word(text)
	}
	if dot := strings.IndexByte(text, '.'); dot > 0 && dot+1 < len(text) {
		switch strings.ToLower(text[:dot]) {
		case "header", "headers":
			return headerNamed(text[dot+1:])
		}
	}
	operator := comparison(next)
	if !operator {
		if s := testOf(text); s != "" {
			return s
		}
	}
	if n := nearest(text); n != "" {
		return n
	}
	// No field of the language has a hyphen, and many of header fields have.
	if operator && strings.IndexByte(text, '-') > 0 {
		return headerNamed(text)
	}
	return ""
}

func headerNamed(name string) string { return "header[" + quote(strings.ToLower(name)) + "]" }

// comparison says whether a token compares what is before it.
func comparison(t token) bool {
	switch t.kind {
	case tokenOp:
		return strings.ContainsAny(t.text[:1], "=<>") || t.text == "!="
	case tokenWord:
		return strings.EqualFold(t.text, "contains") || strings.EqualFold(t.text, "matches") || strings.EqualFold(t.text, "in")
	}
	return false
}

// valuesAlone are the fields whose values are known by their names alone.
var valuesAlone = [...]string{"type", "error", "grpc.status", "flag", "dir", "kind"}

// testsLike are tests for values, and header fields, whose names begin like lower.
func testsLike(lower string, known Values) (items []Item) {
	like := func(name string) bool { return strings.HasPrefix(strings.ToLower(name), lower) }
	for _, field := range valuesAlone {
		f := fieldNamed(field)
		for _, n := range f.names {
			if like(n.name) {
				items = append(items, Item{field + " == " + n.name, f.About})
			}
		}
	}
	for _, n := range usualMethods {
		if like(n) {
			items = append(items, Item{"method == " + n, fieldNamed("method").About})
		}
	}
	for _, n := range headerNames(known) {
		if like(n) {
			items = append(items, Item{headerNamed(n), "a header field"})
		}
	}
	return items
}

// testOf is the test that a value alone may stand for.
func testOf(text string) string {
	if n, ok := strings.CutPrefix(text, "c"); ok {
		if _, err := strconv.ParseUint(n, 10, 32); err == nil {
			return "conn == " + text
		}
	}
	switch strings.ToUpper(text) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return "method == " + strings.ToUpper(text)
	}
	for _, field := range valuesAlone {
		for _, n := range fieldNamed(field).names {
			if strings.EqualFold(n.name, text) {
				return field + " == " + n.name
			}
		}
	}
	return ""
}

// nearest is the field whose name a mistyped one may mean.
func nearest(text string) string {
	text = strings.ToLower(text)
	switch text {
	case "sid", "streamid", "stream_id":
		return "stream"
	case "len", "size":
		return "length"
	case "flags":
		return "flag"
	case "direction":
		return "dir"
	case "name", "process":
		return "comm"
	case "host":
		return "authority"
	case "grpc-status", "grpc_status", "grpcstatus":
		return "grpc.status"
	}
	for i := range fields {
		if n := fields[i].Name; strings.HasPrefix(n, text) || strings.HasPrefix(text, n) || strings.HasSuffix(n, text) {
			return n
		}
	}
	return ""
}
