// SPDX-License-Identifier: Apache-2.0

package redact

import "golang.org/x/net/http2/hpack"

// mask stands in for an octet of a secret.
const mask = '*'

// stand are octets to stand in for others in Huffman-coded strings, one for each
// length that codes have, in bits. Where there is a printable one it is one.
var stand = func() (octets [31]byte) {
	preferred := "o-x*!'#$^<\\"
	for i := range 256 {
		octets[codeLength(byte(i))] = byte(i)
	}
	for i := range len(preferred) {
		octets[codeLength(preferred[i])] = preferred[i]
	}
	return octets
}()

// lengths are those that codes have, in bits, growing.
var lengths = func() (all []int) {
	have := make(map[int]bool)
	for i := range 256 {
		have[codeLength(byte(i))] = true
	}
	for l := range 31 {
		if have[l] {
			all = append(all, l)
		}
	}
	return all
}()

// codeLength is how many bits the Huffman code of an octet has (RFC 7541,
// appendix B).
func codeLength(octet byte) int {
	// Of eight in a row the length in octets is that of one in bits.
	var s [8]byte
	for i := range s {
		s[i] = octet
	}
	return int(hpack.HuffmanEncodeLength(string(s[:])))
}

// rewriteValue appends to dst the string literal (without its length) that
// stands in for encoded, which is value as it is on the wire. The parts of it
// that are secrets become others, such that neither the string nor its encoding
// change in length; the new one tells nothing else of the secrets. It returns
// false where there is none.
func rewriteValue(dst []byte, value string, secrets []span, encoded []byte, huffman bool) ([]byte, bool) {
	v := []byte(value)
	if !huffman {
		for _, s := range secrets {
			for i := s.from; i < s.to; i++ {
				v[i] = mask
			}
		}
		return append(dst, v...), len(v) == len(encoded)
	}
	// The bits that there are for the secrets: those of the whole encoding,
	// which may be padded by up to seven, without those of what stays.
	bits, left := 8*len(encoded), 0
	for _, s := range secrets {
		left += s.to - s.from
	}
	next := 0
	for i := range v {
		if next < len(secrets) && i >= secrets[next].to {
			next++
		}
		if next == len(secrets) || i < secrets[next].from {
			bits -= codeLength(v[i])
		}
	}
	for _, s := range secrets {
		for i := s.from; i < s.to; i++ {
			l := longestCode(bits / left)
			if l == 0 {
				return dst, false
			}
			v[i] = stand[l]
			bits -= l
			left--
		}
	}
	at := len(dst)
	dst = hpack.AppendHuffmanString(dst, string(v))
	return dst, len(dst)-at == len(encoded)
}

// longestCode is the longest length of a code that is at most bits, or 0.
func longestCode(bits int) int {
	for i := len(lengths) - 1; i >= 0; i-- {
		if lengths[i] <= bits {
			return lengths[i]
		}
	}
	return 0
}
