// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"errors"
	"io"
)

// Magic numbers of pcap files (draft-ietf-opsawg-pcap, section 4; the modified
// form is described in libpcap's pcap-int.h as that of Alexey Kuznetzov).
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

// classic reads a pcap file.
type classic struct {
	in     *input
	order  binary.ByteOrder
	unit   int64 // ns in the fraction of a second's unit
	header int   // octets before each packet
	link   uint32
}

func newClassic(in *input) (*classic, error) {
	head, err := in.take(24)
	if err != nil {
		if !errors.Is(err, ErrTruncated) {
			return nil, err
		}
		// Whatever it is, four octets of it tell whether it could be pcap.
		if head, err = in.peek(4); err != nil {
			return nil, ErrNotCapture
		}
		if c := new(classic); !c.magic(head) {
			return nil, ErrNotCapture
		}
		return nil, ErrTruncated
	}
	c := &classic{in: in}
	if !c.magic(head) {
		return nil, ErrNotCapture
	}
	c.link = c.order.Uint32(head[20:]) & 0xffff // the rest tells of a frame check sequence
	return c, nil
}

func (c *classic) magic(head []byte) bool {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		c.order, c.unit, c.header = order, 1000, 16
		switch order.Uint32(head) {
		case magicMicro:
			return true
		case magicNano:
			c.unit = 1
			return true
		case magicModified:
			c.header = 24
			return true
		}
	}
	return false
}

func (c *classic) next(r *record) error {
	head, err := c.in.take(c.header)
	if err != nil {
		return err
	}
	captured, length := c.order.Uint32(head[8:]), c.order.Uint32(head[12:])
	if captured > maxRecord {
		return c.in.damaged("a packet of %d octets", captured)
	}
	r.time = int64(c.order.Uint32(head))*1e9 + int64(c.order.Uint32(head[4:]))*c.unit
	r.link = c.link
	r.length = int(max(min(length, maxRecord), captured))
	if r.data, err = c.in.take(int(captured)); errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}

func (c *classic) drops() uint64 { return 0 }
