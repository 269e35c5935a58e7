// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/bits"
)

// Block types and option codes of draft-ietf-opsawg-pcapng, section 4.
const (
	blockSection    = 0x0A0D0D0A // the same in both byte orders
	blockInterface  = 1
	blockOldPacket  = 2
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6

	byteOrderMagic = 0x1A2B3C4D

	optTimeResolution = 9  // if_tsresol
	optTimeOffset     = 14 // if_tsoffset
	optDropped        = 5  // isb_ifdrop
	optDroppedBySelf  = 7  // isb_osdrop
)

// maxInterfaces bounds the interfaces of a section. Files that h2sniff wrote
// have one for each connection.
const maxInterfaces = 1 << 20

// pcapng reads a pcapng file.
type pcapng struct {
	in         *input
	order      binary.ByteOrder
	interfaces []iface // of the section
	last       int64   // time of the latest packet
	dropped    uint64  // in earlier sections
}

// iface is an interface of a section.
type iface struct {
	link       uint32
	snap       uint32 // 0: no limit
	resolution byte   // if_tsresol
	offset     int64  // s
	dropped    uint64
}

// newPcapng reads the first section header.
func newPcapng(in *input) (*pcapng, error) {
	p := &pcapng{in: in}
	head, err := in.peek(12)
	if err != nil {
		return nil, err
	}
	if err := p.section(head); err != nil {
		return nil, ErrNotCapture
	}
	return p, nil
}

// section takes the first 12 octets of a section header block.
func (p *pcapng) section(head []byte) error {
	switch {
	case binary.LittleEndian.Uint32(head[8:]) == byteOrderMagic:
		p.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[8:]) == byteOrderMagic:
		p.order = binary.BigEndian
	default:
		return p.in.damaged("a section without a byte order")
	}
	p.dropped = p.drops()
	p.interfaces = p.interfaces[:0]
	return nil
}

func (p *pcapng) drops() uint64 {
	n := p.dropped
	for i := range p.interfaces {
		n += p.interfaces[i].dropped
	}
	return n
}

func (p *pcapng) next(r *record) error {
	for {
		done, err := p.block(r)
		if done || err != nil {
			return err
		}
	}
}

// block reads one block; done says that it is a packet.
func (p *pcapng) block(r *record) (done bool, err error) {
	head, err := p.in.peek(8)
	if err != nil {
		return false, err
	}
	if binary.LittleEndian.Uint32(head) == blockSection {
		if head, err = p.in.peek(12); err != nil {
			return false, truncated(err)
		}
		if err := p.section(head); err != nil {
			return false, err
		}
	}
	typ, length := p.order.Uint32(head), p.order.Uint32(head[4:])
	if length < 12 || length%4 != 0 {
		return false, p.in.damaged("a block of %d octets", length)
	}
	switch typ {
	case blockSection, blockInterface, blockOldPacket, blockSimple, blockStatistics, blockPacket:
	default:
		return false, p.in.skip(int64(length))
	}
	if length > maxRecord {
		if typ == blockSection || typ == blockStatistics {
			return false, p.in.skip(int64(length))
		}
		return false, p.in.damaged("a block of %d octets", length)
	}
	block, err := p.in.take(int(length))
	if err != nil {
		return false, truncated(err)
	}
	if p.order.Uint32(block[length-4:]) != length {
		return false, p.in.damaged("a block whose two lengths differ")
	}
	body := block[8 : length-4]
	switch typ {
	case blockInterface:
		return false, p.describe(body)
	case blockStatistics:
		p.statistics(body)
		return false, nil
	case blockSection:
		return false, nil
	}
	return true, p.packet(typ, body, r)
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}

func (p *pcapng) describe(body []byte) error {
	if len(body) < 8 {
		return p.in.damaged("a short interface description")
	}
	if len(p.interfaces) == maxInterfaces {
		return p.in.damaged("more than %d interfaces", maxInterfaces)
	}
	f := iface{link: uint32(p.order.Uint16(body)), snap: p.order.Uint32(body[4:]), resolution: 6}
	p.options(body[8:], func(code uint16, value []byte) {
		switch {
		case code == optTimeResolution && len(value) >= 1:
			f.resolution = value[0]
		case code == optTimeOffset && len(value) >= 8:
			f.offset = int64(p.order.Uint64(value))
		}
	})
	p.interfaces = append(p.interfaces, f)
	return nil
}

func (p *pcapng) statistics(body []byte) {
	if len(body) < 12 || uint64(p.order.Uint32(body)) >= uint64(len(p.interfaces)) {
		return
	}
	var dropped uint64
	p.options(body[12:], func(code uint16, value []byte) {
		if (code == optDropped || code == optDroppedBySelf) && len(value) >= 8 {
			dropped += p.order.Uint64(value)
		}
	})
	p.interfaces[p.order.Uint32(body)].dropped = dropped
}

// options calls f for each option.
func (p *pcapng) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		padded := (n + 3) &^ 3
		if code == 0 || padded > len(b)-4 {
			return
		}
		f(code, b[4:4+n])
		b = b[4+padded:]
	}
}

// packet takes any of the three kinds of packet block.
func (p *pcapng) packet(typ uint32, body []byte, r *record) error {
	var id, captured, length uint32
	var data []byte
	switch {
	case typ == blockSimple && len(body) >= 4:
		length, data = p.order.Uint32(body), body[4:]
		captured = min(length, uint32(len(data)))
		if len(p.interfaces) > 0 && p.interfaces[0].snap > 0 {
			captured = min(captured, p.interfaces[0].snap)
		}
	case typ != blockSimple && len(body) >= 20:
		captured, length, data = p.order.Uint32(body[12:]), p.order.Uint32(body[16:]), body[20:]
		id = p.order.Uint32(body)
		if typ == blockOldPacket {
			id = uint32(p.order.Uint16(body)) // the number of drops follows it
		}
	default:
		return p.in.damaged("a short packet block")
	}
	if uint64(captured) > uint64(len(data)) || uint64(id) >= uint64(len(p.interfaces)) {
		return p.in.damaged("a packet of no interface, or longer than its block")
	}
	f := &p.interfaces[id]
	if typ != blockSimple { // which has no time
		p.last = f.time(uint64(p.order.Uint32(body[4:]))<<32 | uint64(p.order.Uint32(body[8:])))
	}
	*r = record{time: p.last, link: f.link, data: data[:captured], length: int(max(min(length, maxRecord), captured))}
	return nil
}

// time gives Unix ns for a time in the interface's unit.
func (f *iface) time(t uint64) int64 {
	var ns uint64
	switch n := f.resolution & 0x7f; {
	case f.resolution == 9:
		ns = t
	case f.resolution == 6:
		ns = t * 1000
	case f.resolution&0x80 == 0 && n <= 9:
		ns = t * uint64(math.Pow10(9-int(n)))
	case f.resolution&0x80 == 0 && n < 28:
		ns = t / uint64(math.Pow10(int(n)-9))
	case f.resolution&0x80 != 0 && n < 64:
		hi, lo := bits.Mul64(t&(1<<n-1), 1e9)
		ns = (t>>n)*1e9 + (hi<<(64-n) | lo>>n)
	}
	return int64(ns) + f.offset*1e9
}
