// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"sync/atomic"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// maxRows is how many rows a segment can hold: chains are 16 bits wide and 0
// ends them.
const maxRows = 1<<16 - 1

// segment is a run of consecutive rows in one block of memory without
// pointers. Variable parts and interned fields grow from the front of the
// block, fixed records from its end, so that no mix of rows wastes room.
//
// What has been written is never changed. A reader that has learnt n and the
// tails under the store's lock, and taken block, may therefore read rows below n
// without it, as long as it holds a pin: only an unpinned block is used again.
type segment struct {
	num   uint32 // counts segments
	first uint64 // Seq of its first row
	n     int    // rows
	used  int    // octets at the front of block
	block []byte // nil: in the file, or lost
	dir   directory
	pins  atomic.Int32
	time  int64 // of its first row
	// fields are the places of all fields in the block, once it is sealed and as
	// long as it is in memory.
	fields []uint32

	// Where it lies in the file; nil: nowhere (yet). A segment without block
	// and stored is lost. Neither keys nor stored change while block is nil.
	stored *stored
	keys   []uint32    // hashes of the directory's keys, in order, once it is stored
	gone   atomic.Bool // evicted: its place in the file is free once no pin is held

	findings  []finding // in the order in which they came
	findBytes int64
}

// room is how many octets are free between the two ends.
func (g *segment) room() int { return len(g.block) - g.used - g.n*recSize }

func (g *segment) bytes() int64 {
	return int64(len(g.block)) + g.dir.bytes() + int64(cap(g.fields))*4
}

// The fixed record, little endian:
//
//	0  8  time of the first octet
//	8  4  place of the variable part in the block
//	12 4  connection
//	16 4  stream, and the direction in the highest bit
//	20 4  frame length (24 bits) and type (8 bits)
//	24 1  flags
//	25 1  row kind (3 bits), recHasFields, recOwnBlock, recHasErr
//	26 2  previous row of the connection, as local index + 1; 0: none
//	28 2  previous frame of the same connection and stream
//	30 2  previous frame of the same stream id
const recSize = 32

const (
	recKindMask  = 1<<3 - 1
	recHasFields = 1 << 3 // decode.Row.HasFields
	recOwnBlock  = 1 << 4 // the field block began with this frame too
	recHasErr    = 1 << 5 // decode.Row.Err is set

	chainConn   = 26
	chainStream = 28
	chainID     = 30
)

func record(block []byte, local int) []byte {
	end := len(block) - local*recSize
	return block[end-recSize : end : end]
}

func putRecord(rec []byte, row *decode.Row, place int, extra byte) {
	le := binary.LittleEndian
	stream := row.Header.StreamID &^ (1 << 31)
	if row.Direction == capture.Recv {
		stream |= 1 << 31
	}
	le.PutUint64(rec, uint64(row.Time))
	le.PutUint32(rec[8:], uint32(place))
	le.PutUint32(rec[12:], uint32(row.Conn))
	le.PutUint32(rec[16:], stream)
	le.PutUint32(rec[20:], row.Header.Length&(1<<24-1)|uint32(row.Header.Type)<<24)
	rec[24] = byte(row.Header.Flags)
	rec[25] = byte(row.Kind) | extra
}

func getRecord(rec []byte, e *Entry) (place int, extra byte) {
	le := binary.LittleEndian
	stream, lengthType := le.Uint32(rec[16:]), le.Uint32(rec[20:])
	e.Time = int64(le.Uint64(rec))
	e.Conn = capture.ConnID(le.Uint32(rec[12:]))
	e.Direction = capture.Direction(stream >> 31)
	e.Header = decode.FrameHeader{
		Length:   lengthType & (1<<24 - 1),
		Type:     http2.FrameType(lengthType >> 24),
		Flags:    http2.Flags(rec[24]),
		StreamID: stream &^ (1 << 31),
	}
	e.Kind = decode.RowKind(rec[25] & recKindMask)
	return int(le.Uint32(rec[8:])), rec[25] &^ recKindMask
}

// chain appends to dst the local indices of the rows lo to hi (exclusive) of a
// key's count rows, first to last, following the chain at offset from tail.
func chain(dst []uint16, block []byte, offset int, tail uint16, count, lo, hi int) []uint16 {
	at := len(dst)
	for range hi - lo {
		dst = append(dst, 0)
	}
	local := tail
	for k := count - 1; k >= lo; k-- {
		if k < hi {
			dst[at+k-lo] = local
		}
		local = binary.LittleEndian.Uint16(record(block, int(local))[offset:]) - 1
	}
	return dst
}

// chainFrom returns how many of a key's rows have a local index of at least
// local.
func chainFrom(block []byte, offset int, tail uint16, count int, local int) int {
	at := int(tail)
	for k := range count {
		if at < local {
			return k
		}
		at = int(binary.LittleEndian.Uint16(record(block, at)[offset:])) - 1
	}
	return count
}
