// SPDX-License-Identifier: Apache-2.0

package lines

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"h2sniff/decode/visible"
)

// encoder appends JSON (RFC 8259) in the order in which it is called.
//
// Strings are escaped further than JSON asks: whatever visible.String would
// replace is a \u sequence, so that the lines are harmless on a terminal too.
type encoder struct {
	b      []byte
	second *second // for times
}

func (j *encoder) open(c byte)  { j.b = append(j.b, c) }
func (j *encoder) close(c byte) { j.b = append(j.b, c) }

// element begins the next element of an array or object.
func (j *encoder) element() {
	if c := j.b[len(j.b)-1]; c != '{' && c != '[' {
		j.b = append(j.b, ',')
	}
}

// key begins the next member of an object.
func (j *encoder) key(key string) {
	j.element()
	j.b = append(j.b, '"')
	j.b = append(j.b, key...)
	j.b = append(j.b, `":`...)
}

func (j *encoder) uint(key string, v uint64) {
	j.key(key)
	j.b = strconv.AppendUint(j.b, v, 10)
}

func (j *encoder) int(key string, v int64) {
	j.key(key)
	j.b = strconv.AppendInt(j.b, v, 10)
}

func (j *encoder) bool(key string, v bool) {
	j.key(key)
	j.b = strconv.AppendBool(j.b, v)
}

// seconds appends nanoseconds as seconds with nine decimals.
func (j *encoder) seconds(key string, ns int64) {
	j.key(key)
	u := uint64(ns)
	if ns < 0 {
		j.b = append(j.b, '-')
		u = -u
	}
	j.b = strconv.AppendUint(j.b, u/1e9, 10)
	j.b = appendNanos(append(j.b, '.'), u%1e9)
}

// appendNanos appends ns with nine digits.
func appendNanos(b []byte, ns uint64) []byte {
	at := len(b)
	b = strconv.AppendUint(b, ns+1e9, 10) // a 1 in front keeps the zeroes
	return append(b[:at], b[at+1:]...)
}

// string appends s, which is UTF-8.
func (j *encoder) string(key, s string) {
	j.key(key)
	j.quote(s)
}

// lossy appends s, and in place of octets that are not UTF-8 what
// visible.String shows for them.
func (j *encoder) lossy(key, s string) {
	if !utf8.ValidString(s) {
		s = visible.String(s)
	}
	j.string(key, s)
}

// text appends what a peer sent: as key where it is UTF-8, else in base64 as
// key_base64.
func (j *encoder) text(key, s string) {
	if utf8.ValidString(s) {
		j.string(key, s)
	} else {
		j.base64(key+"_base64", []byte(s))
	}
}

// texts appends a list, all of it in base64 where one element is not UTF-8.
func (j *encoder) texts(key string, list []string) {
	valid := true
	for _, s := range list {
		valid = valid && utf8.ValidString(s)
	}
	if !valid {
		key += "_base64"
	}
	j.key(key)
	j.open('[')
	for _, s := range list {
		j.element()
		if valid {
			j.quote(s)
		} else {
			j.quote64([]byte(s))
		}
	}
	j.close(']')
}

func (j *encoder) base64(key string, p []byte) {
	j.key(key)
	j.quote64(p)
}

func (j *encoder) quote64(p []byte) {
	j.b = append(j.b, '"')
	j.b = base64.StdEncoding.AppendEncode(j.b, p)
	j.b = append(j.b, '"')
}

func (j *encoder) quote(s string) {
	b := append(j.b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			if r, size = utf8.DecodeRuneInString(s[i:]); visible.Rune(r) {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		b = appendEscape(b, r)
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	j.b = append(b, '"')
}

func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\t':
		return append(b, `\t`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	}
	if r > 0xffff { // a surrogate pair
		r -= 0x10000
		return appendUnit(appendUnit(b, 0xd800+r>>10), 0xdc00+r&0x3ff)
	}
	return appendUnit(b, r)
}

func appendUnit(b []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
