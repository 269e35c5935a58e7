// SPDX-License-Identifier: Apache-2.0

package recording

import "encoding/binary"

// Block types and option codes of draft-ietf-opsawg-pcapng, sections 4 and 3.5.
const (
	blockSection    = 0x0A0D0D0A
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1A2B3C4D

	optEnd     = 0
	optComment = 1

	optSectionApplication = 4 // shb_userappl

	optInterfaceName        = 2 // if_name
	optInterfaceDescription = 3 // if_description
	optInterfaceResolution  = 9 // if_tsresol

	optStatisticsReceived = 4 // isb_ifrecv
	optStatisticsDropped  = 5 // isb_ifdrop

	optPacketThread = 8 // epb_processid_threadid: two 32-bit numbers

	linkTypeRaw = 101 // LINKTYPE_RAW: the packet begins with the IP header

	maxOption = 1<<16 - 1 // octets in one option's value
)

var le = binary.LittleEndian

// beginBlock appends a block's type and a place for its length. The block's
// body is appended next; start is for endBlock.
func beginBlock(b []byte, typ uint32) (out []byte, start int) {
	start = len(b)
	b = le.AppendUint32(b, typ)
	return le.AppendUint32(b, 0), start
}

// endBlock pads the block and writes both of its lengths.
func endBlock(b []byte, start int) []byte {
	b = pad(b, start)
	n := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], n)
	return le.AppendUint32(b, n)
}

// pad appends zeroes up to a multiple of 4 octets after start.
func pad(b []byte, start int) []byte {
	for (len(b)-start)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// appendOption appends one option. The block begins at a multiple of 4 octets
// before len(b); value has at most maxOption octets.
func appendOption[T ~string | ~[]byte](b []byte, code uint16, value T) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	start := len(b)
	b = append(b, value...)
	return pad(b, start)
}

func appendOption64(b []byte, code uint16, v uint64) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, 8)
	return le.AppendUint64(b, v)
}

func appendEndOfOptions(b []byte) []byte { return le.AppendUint32(b, optEnd) }

// nextOption splits the first option off a block's options. ok is false at
// their end, or where what is left is not an option.
func nextOption(b []byte) (code uint16, value, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, nil, nil, false
	}
	code = le.Uint16(b)
	n := int(le.Uint16(b[2:]))
	padded := (n + 3) &^ 3
	if code == optEnd || padded > len(b)-4 {
		return 0, nil, nil, false
	}
	return code, b[4 : 4+n], b[4+padded:], true
}
