// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"encoding/binary"
	"net/netip"

	"h2sniff/capture"
)

// TCP flags (RFC 9293, section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagPSH = 0x08
	flagACK = 0x10
)

const (
	tcpHeader  = 20
	ipv4Header = 20
	ipv6Header = 40
	protoTCP   = 6

	maxPacket = 1<<16 - 1 // octets, by IPv4's total length

	// window with the scale of synOptions is 1 GiB: no reader of the file
	// will believe that one was full.
	window = 1<<16 - 1
)

// synOptions are MSS 65495 (RFC 9293, section 3.2), NOP and window scale 14
// (RFC 7323, section 2.2).
var synOptions = []byte{2, 4, 0xff, 0xd7, 1, 3, 3, 14}

var be = binary.BigEndian

// A path holds a connection's ready-made IP and TCP headers. The index is a
// direction: of packets from local to remote, capture.Send.
type path struct {
	local, remote netip.AddrPort // both IPv4 or both IPv6
	header        [2][ipv6Header + tcpHeader]byte
	ipLen         int
	ipSum         uint64    // IPv4: sum over the header with no length
	pseudoSum     [2]uint64 // sum over the TCP pseudo-header with no length
}

func newPath(local, remote netip.AddrPort) *path {
	p := &path{local: local, remote: remote, ipLen: ipv4Header}
	if local.Addr().Is6() {
		p.ipLen = ipv6Header
	}
	for d := range p.header {
		src, dst := local, remote
		if capture.Direction(d) == capture.Recv {
			src, dst = remote, local
		}
		h := p.header[d][:]
		addresses := h[8:ipv6Header]
		if p.ipLen == ipv4Header {
			addresses = h[12:ipv4Header]
			h[0] = 0x45 // version, header length
			h[6] = 0x40 // don't fragment: RFC 6864 then lets every ID be 0
			h[8] = 64   // time to live
			h[9] = protoTCP
		} else {
			h[0] = 0x60
			h[6] = protoTCP
			h[7] = 64 // hop limit
		}
		n := copy(addresses, src.Addr().AsSlice())
		copy(addresses[n:], dst.Addr().AsSlice())
		tcp := h[p.ipLen:]
		be.PutUint16(tcp, src.Port())
		be.PutUint16(tcp[2:], dst.Port())
		be.PutUint16(tcp[14:], window)
		p.ipSum = checksumAdd(0, h[:ipv4Header])
		p.pseudoSum[d] = checksumAdd(protoTCP, addresses)
	}
	return p
}

// maxPayload is how much a packet can carry.
func (p *path) maxPayload() int { return maxPacket - p.ipLen - tcpHeader }

// segment is what differs between the packets of a path.
type segment struct {
	direction capture.Direction
	flags     byte
	seq, ack  uint32
	options   []byte // TCP options, a multiple of 4 octets
	payload   []byte
	missing   int // octets of payload that follow on the wire but were not captured
}

// size gives the octets that appendPacket appends for s, and the original
// length of the packet.
func (p *path) size(s *segment) (captured, original int) {
	captured = p.ipLen + tcpHeader + len(s.options) + len(s.payload)
	return captured, captured + s.missing
}

// appendPacket appends the packet; its original length must not exceed
// maxPacket.
func (p *path) appendPacket(b []byte, s *segment) []byte {
	_, original := p.size(s)
	start := len(b)
	b = append(b, p.header[s.direction][:p.ipLen+tcpHeader]...)
	b = append(b, s.options...)
	b = append(b, s.payload...)

	ip, tcp := b[start:start+p.ipLen], b[start+p.ipLen:]
	if p.ipLen == ipv4Header {
		be.PutUint16(ip[2:], uint16(original))
		be.PutUint16(ip[10:], ^checksumFold(p.ipSum+uint64(original)))
	} else {
		be.PutUint16(ip[4:], uint16(original-ipv6Header))
	}
	be.PutUint32(tcp[4:], s.seq)
	be.PutUint32(tcp[8:], s.ack)
	tcp[12] = byte((tcpHeader+len(s.options))/4) << 4
	tcp[13] = s.flags

	sum := p.pseudoSum[s.direction] + uint64(original-p.ipLen)
	if s.missing > 0 {
		be.PutUint16(tcp[16:], checksumFold(sum))
	} else {
		be.PutUint16(tcp[16:], ^checksumFold(checksumAdd(sum, tcp)))
	}
	return b
}

// checksumAdd adds b to a ones' complement sum (RFC 1071) that checksumFold
// will fold. It takes 32 bits at a time: 2^16 is 1 modulo 2^16-1.
func checksumAdd(sum uint64, b []byte) uint64 {
	for len(b) >= 16 {
		v, w := be.Uint64(b), be.Uint64(b[8:])
		sum += v>>32 + v&0xffffffff + w>>32 + w&0xffffffff
		b = b[16:]
	}
	for len(b) >= 2 {
		sum += uint64(be.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}

func checksumFold(sum uint64) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// packet is a packet of a recording, taken apart. Its slices are part of the
// octets it was parsed from.
type packet struct {
	v6      bool
	ends    []byte // source and destination address
	ports   []byte // source and destination port
	flags   byte
	seq     uint32
	payload []byte
}

// parsePacket takes apart a packet as appendPacket writes it: no IP options,
// no extension headers, no fragments.
func parsePacket(b []byte, p *packet) bool {
	var tcp []byte
	switch {
	case len(b) >= ipv4Header+tcpHeader && b[0] == 0x45 && b[9] == protoTCP:
		p.v6, p.ends, tcp = false, b[12:20], b[ipv4Header:]
	case len(b) >= ipv6Header+tcpHeader && b[0]>>4 == 6 && b[6] == protoTCP:
		p.v6, p.ends, tcp = true, b[8:40], b[ipv6Header:]
	default:
		return false
	}
	headerLen := int(tcp[12]>>4) * 4
	if headerLen < tcpHeader || headerLen > len(tcp) {
		return false
	}
	p.ports = tcp[:4]
	p.seq = be.Uint32(tcp[4:])
	p.flags = tcp[13]
	p.payload = tcp[headerLen:]
	return true
}

// from says whether the packet goes the way of a path's direction d.
func (p *packet) from(pa *path, d capture.Direction) bool {
	h := pa.header[d][:]
	if p.v6 {
		return pa.ipLen == ipv6Header && string(p.ends) == string(h[8:40]) && string(p.ports) == string(h[40:44])
	}
	return pa.ipLen == ipv4Header && string(p.ends) == string(h[12:20]) && string(p.ports) == string(h[20:24])
}
