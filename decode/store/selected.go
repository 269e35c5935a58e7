// SPDX-License-Identifier: Apache-2.0

package store

import "math/bits"

// selected is the matches in a segment.
type selected struct {
	num      uint32
	findings int // that the segment had
	n        int // rows examined
	count    int
	first    uint64   // Seq of the segment's first row
	before   uint64   // ordinal of the first match
	bits     []uint64 // by local index; nil where nothing matches
}

// rank is how many matches are before local.
func (p *selected) rank(local int) int {
	n := 0
	for i, w := range p.bits {
		if i == local>>6 {
			return n + bits.OnesCount64(w&(1<<(local&63)-1))
		}
		n += bits.OnesCount64(w)
	}
	return n
}

// locals appends the local indices of the matches from the lo-th on, up to n.
func (p *selected) locals(dst []uint16, lo, n int) []uint16 {
	for i, w := range p.bits {
		if c := bits.OnesCount64(w); lo >= c {
			lo -= c
			continue
		}
		for ; w != 0; w &= w - 1 {
			if lo > 0 {
				lo--
				continue
			}
			if n--; n < 0 {
				return dst
			}
			dst = append(dst, uint16(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}
