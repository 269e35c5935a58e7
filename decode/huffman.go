// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"encoding/binary"
	"slices"
)

// huffmanLengths holds the code length in bits of each octet in the Huffman
// code of RFC 7541, Appendix B. The code is canonical, so the lengths give the
// codes. EOS (30 bits, the last of them) is left out: it must not occur.
var huffmanLengths = [256]uint8{
	13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
	28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
	6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
	5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
	13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
	7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
	15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
	6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
	20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
	24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
	22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
	21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
	26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
	19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
	20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
	26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
}

const (
	huffmanFast = 10 // bits looked up at once
	huffmanMax  = 30 // longest code of an octet, bits
)

// huffmanTable decodes the code. It is built once and never changed.
type huffmanTable struct {
	// fast maps the next huffmanFast bits to octet<<4 | length, for codes
	// that are no longer than that, and to 0 for the others.
	fast [1 << huffmanFast]uint16
	// Of the codes of one length: the first one, how many there are, and
	// where in octets the first one's octet stands.
	first, count, start [huffmanMax + 1]uint32
	octets              [256]uint8 // by code
}

var huffman = newHuffmanTable()

func newHuffmanTable() *huffmanTable {
	t := new(huffmanTable)
	code, n := uint32(0), uint32(0)
	for length := 1; length <= huffmanMax; length++ {
		code <<= 1
		t.first[length], t.start[length] = code, n
		for octet, l := range huffmanLengths {
			if int(l) != length {
				continue
			}
			if length <= huffmanFast {
				pad := huffmanFast - length
				for i := range uint32(1) << pad {
					t.fast[code<<pad|i] = uint16(octet)<<4 | uint16(length)
				}
			}
			t.octets[n] = uint8(octet)
			code++
			n++
			t.count[length]++
		}
	}
	return t
}

// appendHuffman appends the octets that src encodes to dst. It returns false
// where src is no valid encoding (RFC 7541, section 5.2). What it appends is at
// most 8/5 of the length of src.
func appendHuffman(dst, src []byte) ([]byte, bool) {
	n := len(dst)
	dst = slices.Grow(dst, len(src)*8/5)
	dst = dst[:cap(dst)]
	var acc uint64 // the low bits octets of src that are not yet decoded
	var bits uint  // how many
	for {
		if bits <= 32 && len(src) >= 4 {
			acc = acc<<32 | uint64(binary.BigEndian.Uint32(src))
			src = src[4:]
			bits += 32
		}
		for bits <= 56 && len(src) > 0 && len(src) < 4 {
			acc = acc<<8 | uint64(src[0])
			src = src[1:]
			bits += 8
		}
		if bits < huffmanMax {
			break
		}
		for bits >= huffmanFast {
			e := huffman.fast[acc>>(bits-huffmanFast)&(1<<huffmanFast-1)]
			if e == 0 {
				break
			}
			dst[n] = byte(e >> 4)
			n++
			bits -= uint(e & 15)
		}
		if bits < huffmanMax {
			continue
		}
		octet, length, ok := huffman.long(acc, bits)
		if !ok {
			return dst[:n], false
		}
		dst[n] = octet
		n++
		bits -= length
	}
	// Fewer bits than the longest code are left: ones are taken to stand
	// behind them, as padding would.
	for bits > 0 && !isPadding(acc, bits) {
		e := huffman.fast[(acc<<huffmanFast|(1<<huffmanFast-1))>>bits&(1<<huffmanFast-1)]
		octet, length := byte(e>>4), uint(e&15)
		if e == 0 {
			var ok bool
			if octet, length, ok = huffman.long(acc<<huffmanMax|(1<<huffmanMax-1), bits+huffmanMax); !ok {
				break
			}
		}
		if length > bits {
			break
		}
		dst[n] = octet
		n++
		bits -= length
	}
	return dst[:n], isPadding(acc, bits)
}

// isPadding tells whether the low bits are padding: the beginning of EOS, all
// ones, and shorter than an octet. No code is like that.
func isPadding(acc uint64, bits uint) bool {
	mask := uint64(1)<<bits - 1
	return bits < 8 && acc&mask == mask
}

// long decodes one octet from the upper end of the low bits of acc, of which
// there are at least huffmanMax.
func (t *huffmanTable) long(acc uint64, bits uint) (octet byte, length uint, ok bool) {
	for length = 5; length <= huffmanMax; length++ {
		code := uint32(acc >> (bits - length) & (1<<length - 1))
		if code-t.first[length] < t.count[length] {
			return t.octets[t.start[length]+code-t.first[length]], length, true
		}
	}
	return 0, 0, false
}
