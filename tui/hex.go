// SPDX-License-Identifier: Apache-2.0

package tui

const hexDigits = "0123456789abcdef"

// hexView lays a payload out as lines of hex and ASCII, each made when it is
// drawn: a payload of 16 MiB has a million of them.
type hexView struct {
	data    []byte
	perLine int
	digits  int // of an offset
}

// newHexView chooses the most octets a line that w cells have room for.
func newHexView(data []byte, w int) hexView {
	v := hexView{data: data, perLine: 1, digits: 4}
	if len(data) > 1<<16 {
		v.digits = 6
	}
	for _, n := range []int{32, 16, 8, 4, 2} {
		if v.digits+hexWidth(n) <= w {
			v.perLine = n
			break
		}
	}
	return v
}

// hexWidth is the cells of a line of n octets behind the offset: hex with a
// space more after each eighth, ASCII.
func hexWidth(n int) int { return 1 + 3*n + (n-1)/8 + 2 + n }

func (v hexView) lines() int {
	if v.perLine == 0 {
		return 0
	}
	return (len(v.data) + v.perLine - 1) / v.perLine
}

// appendLine appends line i, as printable ASCII.
func (v hexView) appendLine(dst []byte, i int) []byte {
	at := i * v.perLine
	if i < 0 || at >= len(v.data) {
		return dst
	}
	octets := v.data[at:min(at+v.perLine, len(v.data))]
	for shift := 4 * (v.digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[at>>shift&15])
	}
	dst = append(dst, ' ')
	for j := range v.perLine {
		if j > 0 && j%8 == 0 {
			dst = append(dst, ' ')
		}
		if j < len(octets) {
			dst = append(dst, ' ', hexDigits[octets[j]>>4], hexDigits[octets[j]&15])
		} else {
			dst = append(dst, "   "...)
		}
	}
	dst = append(dst, "  "...)
	for _, c := range octets {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		dst = append(dst, c)
	}
	return dst
}
