// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"strings"
)

// needle is what is looked for: text, without regard to the case of ASCII
// letters, or octets as they are. It is not empty.
type needle struct {
	b      []byte // of text: in lower case
	octets bool
}

func textNeedle(text string) needle { return needle{b: []byte(strings.ToLower(text))} }

// in says whether the needle is in b.
func (n needle) in(b []byte) bool { return n.index(b) >= 0 }

// index is where the needle is in b first; -1 where it is not.
func (n needle) index(b []byte) int {
	if n.octets {
		return bytes.Index(b, n.b)
	}
	return indexFold(b, n.b)
}

// inField says whether the needle is in the name or the value of a header field,
// as far as these are known (else nil), or goes from one to the other, as in
// "name: value".
func (n needle) inField(name, value []byte) bool {
	if name != nil && n.in(name) || value != nil && n.in(value) {
		return true
	}
	if n.octets || name == nil || value == nil {
		return false
	}
	// The name of a pseudo-header field begins with a colon.
	for at := 1; at < len(n.b); at++ {
		if n.b[at] != ':' {
			continue
		}
		before, after := n.b[:at], bytes.TrimLeft(n.b[at+1:], " ")
		if len(name) >= at && equalFold(name[len(name)-at:], before) &&
			len(value) >= len(after) && equalFold(value[:len(after)], after) {
			return true
		}
	}
	return false
}

// indexFold is where needle, in lower case, is in b first; -1 where it is not.
func indexFold(b, needle []byte) int {
	first := needle[0]
	upper := first
	if first >= 'a' && first <= 'z' {
		upper -= 'a' - 'A'
	}
	for at := 0; len(b) >= len(needle); {
		i := bytes.IndexByte(b, first)
		if upper != first {
			limit := b
			if i >= 0 {
				limit = b[:i]
			}
			if j := bytes.IndexByte(limit, upper); j >= 0 {
				i = j
			}
		}
		if i < 0 || len(b)-i < len(needle) {
			return -1
		}
		if equalFold(b[i:i+len(needle)], needle) {
			return at + i
		}
		b = b[i+1:]
		at += i + 1
	}
	return -1
}

func equalFold(b, lower []byte) bool {
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
