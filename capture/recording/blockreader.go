// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"errors"
	"fmt"
	"io"
)

// maxBlock is the largest block that is read: a packet of 64 KiB with two full
// options is well below it, and it bounds what a hostile length can cost.
const maxBlock = 256 << 10

// A blockReader cuts an octet stream into pcapng blocks. It never waits for
// more than the block it is to return, so that a stream that is still being
// written can be followed.
type blockReader struct {
	src    io.Reader
	buf    []byte
	i, n   int   // unread octets are buf[i:n]
	offset int64 // of buf[i] in the stream
	begin  int64 // of the latest block in the stream
}

func newBlockReader(r io.Reader) *blockReader {
	return &blockReader{src: r, buf: make([]byte, maxBlock)}
}

// fill waits until k octets are unread (k <= maxBlock). It returns io.EOF or
// the source's error if they do not come; what came is in buf[i:n].
func (r *blockReader) fill(k int) error {
	if r.n-r.i >= k {
		return nil
	}
	if r.i > 0 && len(r.buf)-r.i < k {
		r.n = copy(r.buf, r.buf[r.i:r.n])
		r.i = 0
	}
	for idle := 0; r.n-r.i < k; {
		m, err := r.src.Read(r.buf[r.n:])
		r.n += m
		if r.n-r.i >= k {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) { // of a decompressor
			return ErrTruncated
		}
		if err != nil {
			return err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// next returns the next block's type and body (without type and lengths),
// which is valid until the following call. The error is io.EOF at the end,
// ErrTruncated inside a block, one that wraps ErrDamaged, or the source's.
func (r *blockReader) next() (typ uint32, body []byte, err error) {
	r.begin = r.offset
	if err := r.fill(8); err != nil {
		if errors.Is(err, io.EOF) && r.n > r.i {
			err = ErrTruncated
		}
		return 0, nil, err
	}
	typ = le.Uint32(r.buf[r.i:])
	length := le.Uint32(r.buf[r.i+4:])
	if length < 12 || length%4 != 0 || length > maxBlock {
		return 0, nil, r.damaged("a block of %d octets", length)
	}
	if err := r.fill(int(length)); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrTruncated
		}
		return 0, nil, err
	}
	block := r.buf[r.i : r.i+int(length)]
	if le.Uint32(block[length-4:]) != length {
		return 0, nil, r.damaged("a block whose two lengths differ")
	}
	r.i += int(length)
	r.offset += int64(length)
	return typ, block[8 : length-4], nil
}

// damaged is an ErrDamaged about the latest block.
func (r *blockReader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w at octet %d: %s; everything before was read", ErrDamaged, r.begin, fmt.Sprintf(format, args...))
}
