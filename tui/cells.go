// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"
	"unicode/utf8"

	"h2sniff/decode/visible"

	"github.com/charmbracelet/x/ansi"
)

// maxCluster bounds the octets of one displayed character: a base letter with
// thousands of combining marks takes one cell but any number of octets.
const maxCluster = 32

// ellipsis ends a text that was cut.
const ellipsis = "…"

// peer makes text that a peer (or another process) controls safe to show, and
// cuts it early: no more than w cells of it will be shown.
func peer(s string, w int) string {
	if limit := maxCluster * (w + 1); len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return visible.String(s)
}

// next splits the first displayed character off s and gives its width in
// cells. Terminals disagree about clusters of several runes: the larger of the
// two ways of counting is taken, so that no line ever wraps.
func next(s string) (cluster string, size, w int) {
	if c := s[0]; c < utf8.RuneSelf && (len(s) == 1 || s[1] < utf8.RuneSelf) {
		return s[:1], 1, 1
	}
	cluster, w = ansi.FirstGraphemeCluster(s, ansi.GraphemeWidth)
	size = len(cluster)
	if size == 0 { // never seen; a loop that does not advance would hang the UI
		return "?", 1, 1
	}
	if size > maxCluster {
		return "\uFFFD", size, 1
	}
	return cluster, size, max(w, ansi.StringWidthWc(cluster))
}

// printable says whether s is printable ASCII only: as many cells as octets.
func printable(s string) bool {
	for i := range len(s) {
		if s[i]-0x20 > 0x5e {
			return false
		}
	}
	return true
}

// width is the number of cells that s takes.
func width(s string) int {
	if printable(s) {
		return len(s)
	}
	n := 0
	for len(s) > 0 {
		_, size, w := next(s)
		n += w
		s = s[size:]
	}
	return n
}

// appendCut appends at most w cells of s, the last of them an ellipsis where
// not all of s fits, and returns the cells used.
func appendCut(dst []byte, s string, w int) ([]byte, int) {
	if w <= 0 {
		return dst, 0
	}
	if len(s) <= w && printable(s) {
		return append(dst, s...), len(s)
	}
	used := 0
	fits, fitsUsed := len(dst), 0 // where an ellipsis still has room behind
	for len(s) > 0 {
		cluster, size, cw := next(s)
		if used+cw > w {
			return append(dst[:fits], ellipsis...), fitsUsed + 1
		}
		dst = append(dst, cluster...)
		used += cw
		s = s[size:]
		if used < w {
			fits, fitsUsed = len(dst), used
		}
	}
	return dst, used
}

// appendFit appends exactly w cells: s cut or filled with spaces.
func appendFit(dst []byte, s string, w int) []byte {
	dst, used := appendCut(dst, s, w)
	return appendSpaces(dst, w-used)
}

// appendRight is appendFit with the spaces before s.
func appendRight(dst []byte, s string, w int) []byte {
	n := width(s)
	if n >= w {
		return appendFit(dst, s, w)
	}
	return append(appendSpaces(dst, w-n), s...)
}

const blanks = "                                                                "

func appendSpaces(dst []byte, n int) []byte {
	for n > len(blanks) {
		dst = append(dst, blanks...)
		n -= len(blanks)
	}
	if n > 0 {
		dst = append(dst, blanks[:n]...)
	}
	return dst
}

func appendRepeat(dst []byte, s string, n int) []byte {
	for range n {
		dst = append(dst, s...)
	}
	return dst
}

// wrap splits s into lines of at most w cells.
func wrap(s string, w int) []string {
	w = max(w, 2) // so that a wide character has room
	var lines []string
	for len(s) > 0 {
		if n := min(w, len(s)); printable(s[:n]) && (n == len(s) || s[n] < utf8.RuneSelf) {
			lines = append(lines, s[:n])
			s = s[n:]
			continue
		}
		line, rest, used := make([]byte, 0, w), s, 0
		for len(rest) > 0 {
			cluster, size, cw := next(rest)
			if used+cw > w {
				break
			}
			line = append(line, cluster...)
			used += cw
			rest = rest[size:]
		}
		if len(rest) == len(s) { // one character wider than the line
			_, size, _ := next(rest)
			line, rest = append(line, ellipsis...), rest[size:]
		}
		lines = append(lines, string(line))
		s = rest
	}
	return lines
}

// commas writes n with its thousands apart.
func commas(n uint64) string {
	s := strconv.FormatUint(n, 10)
	if len(s) <= 3 {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/3)
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b = append(b, ',')
		}
		b = append(b, s[i])
	}
	return string(b)
}

// digits is the number of decimal digits of n.
func digits(n uint64) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}

// compact writes n in at most four characters: 999, 12k, 3.1M, 212G.
func compact(n uint64) string { return scaled(n, 1000, "kMGTPE") }

// octets writes n in at most four characters, in powers of 1,024.
func octets(n uint64) string { return scaled(n, 1024, "KMGTPE") }

func scaled(n, base uint64, units string) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10)
	}
	f := float64(n)
	for i := range len(units) {
		f /= float64(base)
		if f < 9.95 {
			return strconv.FormatFloat(f, 'f', 1, 64) + units[i:i+1]
		}
		if f < 999.5 {
			return strconv.FormatFloat(f, 'f', 0, 64) + units[i:i+1]
		}
	}
	return "∞"
}

// seconds writes a duration of ns nanoseconds as seconds with the given number
// of decimals.
func seconds(ns int64, decimals int) string {
	neg := ns < 0
	if neg {
		ns = -ns
	}
	if ns < 0 { // the one value that has no positive counterpart
		return "?"
	}
	frac := strconv.FormatInt(ns%1e9+1e9, 10)[1:]
	s := strconv.FormatInt(ns/1e9, 10) + "." + frac[:decimals]
	if neg {
		s = "-" + s
	}
	return s
}

// millis writes a duration of ns nanoseconds as milliseconds, with as many
// decimals, up to three, as w cells have room for.
func millis(ns int64, w int) string {
	s := ""
	for decimals := 3; decimals >= 0; decimals-- {
		if s = strconv.FormatFloat(float64(ns)/1e6, 'f', decimals, 64); len(s) <= w {
			break
		}
	}
	return s
}

// span writes a duration of ns nanoseconds in a few characters, rounded; at
// most six up to 10,000 hours.
func span(ns int64) string {
	rounded := func(unit int64) int64 { return ns/unit + (ns%unit+unit/2)/unit }
	whole := func(unit int64) string { return strconv.FormatInt(rounded(unit), 10) }
	tenths := func(unit float64) string { return strconv.FormatFloat(float64(ns)/unit, 'f', 1, 64) }
	sixtieths := func(n int64, unit, small string) string {
		return strconv.FormatInt(n/60, 10) + unit + strconv.FormatInt(100+n%60, 10)[1:] + small
	}
	// The limits are where the next unit is what it would be rounded to.
	switch {
	case ns < 0:
		return "?"
	case ns < 999_500:
		return whole(1e3) + "µs"
	case ns < 9_950_000:
		return tenths(1e6) + "ms"
	case ns < 999_500_000:
		return whole(1e6) + "ms"
	case ns < 99_950_000_000:
		return tenths(1e9) + "s"
	case rounded(1e9) < 100*60:
		return sixtieths(rounded(1e9), "m", "s")
	case rounded(60e9) < 100*60:
		return sixtieths(rounded(60e9), "h", "m")
	}
	return whole(3600e9) + "h"
}
