// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"net/netip"
)

// Link types (https://www.tcpdump.org/linktypes.html).
const (
	linkNull     = 0
	linkEthernet = 1
	linkRawBSD   = 12
	linkRawOpen  = 14
	linkRaw      = 101
	linkLoop     = 108
	linkCooked   = 113
	linkIPv4     = 228
	linkIPv6     = 229
	linkCooked2  = 276
)

// EtherTypes (IEEE 802 numbers).
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	etherQinQ1 = 0x9100
)

// TCP flags (RFC 9293, section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
	flagACK = 0x10
)

var be = binary.BigEndian

// end is an address and a port, 4in6 for IPv4.
type end [18]byte

func (e *end) set(addr, port []byte) {
	if len(addr) == 4 {
		e[10], e[11] = 0xff, 0xff
		copy(e[12:16], addr)
	} else {
		copy(e[:16], addr)
	}
	copy(e[16:], port)
}

func (e *end) port() uint16 { return be.Uint16(e[16:]) }

func (e *end) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(e[:16])).Unmap(), e.port())
}

// segment is a TCP segment (RFC 9293, section 3.1).
type segment struct {
	ends     [2]end // source, destination
	flags    byte
	seq, ack uint32
	payload  []byte // as far as captured
	length   int    // octets of payload on the wire
}

// parse takes a packet apart. ok is false for what is not a whole TCP header
// in an unfragmented IP packet; known, for a link type that is not known.
func (s *segment) parse(r *record) (known, ok bool) {
	b, known := network(r.link, r.data)
	if len(b) == 0 {
		return known, false
	}
	// wire is how much of b and of what follows there was.
	wire := r.length - (len(r.data) - len(b))
	switch b[0] >> 4 {
	case 4:
		return known, s.parseIPv4(b, wire)
	case 6:
		return known, s.parseIPv6(b, wire)
	}
	return known, false
}

// network gives the IP packet in a frame, nil where there is none.
func network(link uint32, b []byte) (packet []byte, known bool) {
	header, typeAt := 0, -1
	switch link {
	case linkRaw, linkRawBSD, linkRawOpen, linkIPv4, linkIPv6:
		return b, true
	case linkNull, linkLoop:
		// The address family in front has many values for IPv6; the version
		// of the IP header says the same.
		header = 4
	case linkEthernet:
		header, typeAt = 14, 12
	case linkCooked:
		header, typeAt = 16, 14
	case linkCooked2:
		header, typeAt = 20, 0
	default:
		return nil, false
	}
	if len(b) < header {
		return nil, true
	}
	typ := uint16(etherIPv4)
	if typeAt >= 0 {
		typ = be.Uint16(b[typeAt:])
	}
	b = b[header:]
	for typ == etherVLAN || typ == etherQinQ || typ == etherQinQ1 {
		if len(b) < 4 {
			return nil, true
		}
		typ = be.Uint16(b[2:])
		b = b[4:]
	}
	if typ != etherIPv4 && typ != etherIPv6 {
		return nil, true
	}
	return b, true
}

const protocolTCP = 6

func (s *segment) parseIPv4(b []byte, wire int) bool {
	if len(b) < 20 {
		return false
	}
	header, total := int(b[0]&0xf)*4, int(be.Uint16(b[2:]))
	const moreOrOffset = 0x3fff
	if header < 20 || len(b) < header || b[9] != protocolTCP || be.Uint16(b[6:])&moreOrOffset != 0 {
		return false
	}
	// What follows is padding. A total of 0 is that of a packet yet to be cut
	// by segmentation offload.
	if total != 0 {
		wire = min(wire, total)
	}
	return s.parseTCP(b[12:16], b[16:20], b[header:], wire-header)
}

// parseIPv6 passes over extension headers (RFC 8200, section 4).
func (s *segment) parseIPv6(b []byte, wire int) bool {
	const fixed = 40
	if len(b) < fixed {
		return false
	}
	if length := int(be.Uint16(b[4:])); length != 0 {
		wire = min(wire, fixed+length)
	}
	next, rest := b[6], b[fixed:]
	for range 8 {
		if next == protocolTCP {
			return s.parseTCP(b[8:24], b[24:40], rest, wire-(len(b)-len(rest)))
		}
		if len(rest) < 8 {
			return false
		}
		n := 8 + int(rest[1])*8
		switch next {
		case 0, 43, 60: // hop-by-hop, routing, destination options
		case 44: // fragment: this one may be the whole packet (RFC 6946)
			if be.Uint16(rest[2:])&^6 != 0 {
				return false
			}
			n = 8
		case 51: // authentication (RFC 4302) counts in 4 octets
			n = 8 + int(rest[1])*4
		default:
			return false
		}
		if len(rest) < n {
			return false
		}
		next, rest = rest[0], rest[n:]
	}
	return false
}

func (s *segment) parseTCP(src, dst, b []byte, wire int) bool {
	if len(b) < 20 {
		return false
	}
	header := int(b[12]>>4) * 4
	if header < 20 || header > wire {
		return false
	}
	s.ends = [2]end{}
	s.ends[0].set(src, b[:2])
	s.ends[1].set(dst, b[2:4])
	s.seq, s.ack, s.flags = be.Uint32(b[4:]), be.Uint32(b[8:]), b[13]
	s.length = wire - header
	s.payload = b[min(header, len(b)):min(len(b), wire)]
	if s.flags&flagSYN != 0 {
		s.seq++ // the SYN has a number of its own; payload follows it (RFC 7413)
	}
	return true
}
