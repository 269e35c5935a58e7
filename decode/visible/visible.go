// SPDX-License-Identifier: Apache-2.0

// Package visible makes octets that a peer controls safe to write to a
// terminal. It is the only function of its kind in h2sniff: the terminal UI
// and the text lines both use it.
//
// What can act on a terminal or hide from the eye is replaced by something
// that can be seen:
//
//	C0 controls and DEL            U+2400..U+2421, the pictures for them (␛, ␊, ␉, ␡)
//	octets that are not UTF-8      \x9b
//	every other rune that is not
//	printable or has no shape      ‹U+202E›
//
// The last group holds C1 controls, bidirectional and other format controls,
// line and paragraph separators, spaces that are not U+0020, variation
// selectors, tags, fillers, private-use, unassigned and noncharacter code
// points, and combining marks that have no base or are stacked more than
// [maxMarks] high.
//
// The result is meant to be read, not parsed: a peer can send the replacement
// text itself. Letters of right-to-left scripts are left alone; on a terminal
// that reorders them they can change places with their neighbours.
package visible

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks may follow one base rune; scripts in
// use need three.
const maxMarks = 4

// String returns s with everything that could act on a terminal or hide made
// visible. It returns s itself, without allocating, where nothing had to be
// replaced. The result is valid UTF-8 and String leaves it as it is.
func String(s string) string {
	n := clean(s)
	if n == len(s) {
		return s
	}
	return string(appendFrom(make([]byte, 0, len(s)+32), s, n))
}

// Append appends what [String] returns for s to dst.
func Append(dst []byte, s string) []byte {
	return appendFrom(dst, s, clean(s))
}

// Rune reports whether [String] leaves r as it is. Of a combining mark it says
// that it does, since that depends on what stands before it.
func Rune(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 0x20 && r < 0x7f
	}
	k := classify(r, utf8.RuneLen(r))
	return k == plain || k == mark
}

// appendFrom appends s, of which the first n octets are known to be clean and
// to end before a base rune.
func appendFrom(dst []byte, s string, n int) []byte {
	dst = append(dst, s[:n]...)
	// At the beginning a mark has no base in s and would sit on whatever the
	// caller wrote before.
	marks := maxMarks
	for i := n; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			marks = 0
			i++
			switch {
			case c < 0x20:
				dst = utf8.AppendRune(dst, 0x2400+rune(c))
			case c == 0x7f:
				dst = append(dst, "␡"...)
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch kind := classify(r, size); {
		case kind == plain:
			marks = 0
			dst = utf8.AppendRune(dst, r)
		case kind == mark && marks < maxMarks:
			marks++
			dst = utf8.AppendRune(dst, r)
		case kind == mark:
			dst = appendCodePoint(dst, r)
		case kind == broken:
			marks = 0
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			marks = 0
			dst = appendCodePoint(dst, r)
		}
	}
	return dst
}

// clean returns the length of the longest prefix of s that needs no look at
// marks and no replacement; it ends before a base rune, or is all of s.
func clean(s string) int {
	base := 0
	marks := maxMarks
	for i := 0; i < len(s); {
		c := s[i]
		if c-0x20 < 0x7f-0x20 {
			base, marks = i, 0
			i++
			continue
		}
		if c < utf8.RuneSelf {
			return i
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch classify(r, size) {
		case plain:
			base, marks = i, 0
		case mark:
			if marks == maxMarks {
				return base
			}
			marks++
		default:
			return i
		}
		i += size
	}
	return len(s)
}

type class uint8

const (
	plain  class = iota
	mark         // combining, nonspacing or enclosing
	broken       // an octet that is not UTF-8
	hidden
)

func classify(r rune, size int) class {
	if r == utf8.RuneError && size == 1 {
		return broken
	}
	if !strconv.IsPrint(r) ||
		r == '\u2800' || // BRAILLE PATTERN BLANK has no dots
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r) {
		return hidden
	}
	if r >= 0x300 && unicode.In(r, unicode.Mn, unicode.Me) {
		return mark
	}
	return plain
}

const hex = "0123456789abcdef"

func appendCodePoint(dst []byte, r rune) []byte {
	dst = append(dst, "‹U+"...)
	for n := rune(0x1000); n > r && n > 1; n >>= 4 {
		dst = append(dst, '0')
	}
	h := strconv.AppendInt(nil, int64(r), 16)
	for _, c := range h {
		if c >= 'a' {
			c -= 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return append(dst, "›"...)
}
