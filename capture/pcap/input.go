// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxRecord is the largest packet, with what a file says about it, that is
// read. libpcap's largest snap length is 256 KiB.
const maxRecord = 1 << 20

// input hands out the octets of a file. It never waits for more than it is
// asked for, so that a file that is still being written can be followed.
type input struct {
	src    io.Reader
	buf    []byte
	i, n   int   // unread octets are buf[i:n]
	offset int64 // of buf[i] in the file
}

func newInput(r io.Reader) *input { return &input{src: r, buf: make([]byte, maxRecord)} }

// peek waits until k octets (k <= maxRecord) are there and returns them. They
// are valid until the next call. The error is io.EOF where there is nothing
// more, ErrTruncated where less than k octets are left, or the source's.
func (in *input) peek(k int) ([]byte, error) {
	if in.n-in.i < k {
		if err := in.fill(k); err != nil {
			return nil, err
		}
	}
	return in.buf[in.i : in.i+k], nil
}

func (in *input) fill(k int) error {
	if len(in.buf)-in.i < k {
		in.n = copy(in.buf, in.buf[in.i:in.n])
		in.i = 0
	}
	for idle := 0; in.n-in.i < k; {
		m, err := in.src.Read(in.buf[in.n:])
		in.n += m
		if in.n-in.i >= k {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF) && in.n > in.i, errors.Is(err, io.ErrUnexpectedEOF):
			return ErrTruncated
		case err != nil:
			return err
		case m > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return io.ErrNoProgress
			}
		}
	}
	return nil
}

// take is peek, and goes on behind the octets.
func (in *input) take(k int) ([]byte, error) {
	b, err := in.peek(k)
	if err == nil {
		in.i += k
		in.offset += int64(k)
	}
	return b, err
}

// skip passes over k octets.
func (in *input) skip(k int64) error {
	for k > 0 {
		n := min(k, maxRecord)
		if _, err := in.take(int(n)); err != nil {
			if errors.Is(err, io.EOF) {
				err = ErrTruncated
			}
			return err
		}
		k -= n
	}
	return nil
}

func (in *input) damaged(format string, args ...any) error {
	return fmt.Errorf("%w before octet %d: %s; what came before was read", ErrDamaged, in.offset, fmt.Sprintf(format, args...))
}

// record is a packet as the file has it.
type record struct {
	time   int64 // Unix ns
	link   uint32
	data   []byte // as far as captured; valid until the next one is read
	length int    // octets on the wire, at least len(data)
}

// format reads the packets of a file. The errors are those of input.peek and
// ones that wrap ErrDamaged.
type format interface {
	next(*record) error
	// drops is the number of packets that the capturing program says it missed.
	drops() uint64
}

// newFormat finds out the form of a file.
func newFormat(r io.Reader) (format, error) {
	in := newInput(r)
	head, err := in.peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, ErrTruncated) {
			err = ErrNotCapture
		}
		return nil, err
	}
	if binary.LittleEndian.Uint32(head) == blockSection {
		return newPcapng(in)
	}
	return newClassic(in)
}
