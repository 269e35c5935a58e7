// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
)

// RecordKind says what a record of the ring buffer tells (enum record_kind).
type RecordKind uint8

const (
	RecordOpen RecordKind = iota + 1
	RecordBegin
	RecordData
	RecordNothing
	RecordTentative
	RecordCommit
	RecordAddress
	RecordClose
	RecordThread
	RecordProcess
	RecordUnsent
)

// Directions of a record (enum direction).
const (
	DirSend = 0
	DirRecv = 1
)

// RecordLast is set in Record.Flags of the record that ends a call.
const RecordLast = 1

// Record is struct record of event.h, which documents the fields, and what
// follows it. Data belongs to the buffer that ParseRecord was given.
type Record struct {
	Kind                RecordKind
	Dir, Flags, Depth   uint8
	PID, TID            uint32
	Thread, Handle, Gen uint64
	Time, Pos, Len      uint64
	Data                []byte
	Open                OpenRecord    // RecordOpen
	Address             AddressRecord // RecordAddress
}

// OpenRecord is the tail of struct open_record.
type OpenRecord struct {
	Comm    [16]byte // of the thread-group leader, NUL-terminated
	Library uint32   // the number given in the attach cookie
	Role    uint8    // 0 unknown, 1 client, 2 server
	Fresh   bool
}

// AddressRecord is the tail of struct address_record.
type AddressRecord struct {
	Cookie                uint64
	Local, Remote         [16]byte
	LocalPort, RemotePort uint16
	Family                uint16 // AF_INET or AF_INET6
	Nested                bool
}

// Sizes of the C structs; the C side asserts the same.
const (
	recordSize        = 64
	openRecordSize    = 88
	addressRecordSize = 120
)

// ParseRecord reads one record as it lies in the ring buffer. b may be longer
// than the record: records have size classes.
func ParseRecord(b []byte, r *Record) error {
	if len(b) < recordSize {
		return fmt.Errorf("ring buffer record of %d bytes is shorter than its header", len(b))
	}
	ne := binary.NativeEndian
	copied := ne.Uint32(b[4:])
	r.Kind, r.Dir, r.Flags, r.Depth = RecordKind(b[0]), b[1], b[2], b[3]
	r.PID, r.TID = ne.Uint32(b[8:]), ne.Uint32(b[12:])
	r.Thread, r.Handle, r.Gen = ne.Uint64(b[16:]), ne.Uint64(b[24:]), ne.Uint64(b[32:])
	r.Time, r.Pos, r.Len = ne.Uint64(b[40:]), ne.Uint64(b[48:]), ne.Uint64(b[56:])
	r.Data = nil
	switch r.Kind {
	case RecordOpen:
		if len(b) < openRecordSize {
			return fmt.Errorf("open record of %d bytes", len(b))
		}
		copy(r.Open.Comm[:], b[64:80])
		r.Open.Library = ne.Uint32(b[80:])
		r.Open.Role = b[84]
		r.Open.Fresh = b[85] != 0
	case RecordAddress:
		if len(b) < addressRecordSize {
			return fmt.Errorf("address record of %d bytes", len(b))
		}
		a := &r.Address
		a.Cookie = ne.Uint64(b[64:])
		copy(a.Local[:], b[72:88])
		copy(a.Remote[:], b[88:104])
		a.LocalPort, a.RemotePort, a.Family = ne.Uint16(b[104:]), ne.Uint16(b[106:]), ne.Uint16(b[108:])
		a.Nested = b[112] != 0
	default:
		if int(copied) > len(b)-recordSize {
			return fmt.Errorf("record says %d octets follow, %d do", copied, len(b)-recordSize)
		}
		r.Data = b[recordSize : recordSize+int(copied)]
	}
	return nil
}

// Op is the shape of a probed function (enum op of op.h, which documents
// them).
type Op uint8

const (
	OpWrite        Op = 1
	OpWriteEx      Op = 2
	OpWriteEx2     Op = 3
	OpGnuTLSSend   Op = 4
	OpGnuTLSSend2  Op = 5
	OpGnuTLSUncork Op = 6
	OpSendfile     Op = 7

	OpRead             Op = 16
	OpReadEx           Op = 17
	OpGnuTLSRecv       Op = 18
	OpGnuTLSRecvPacket Op = 19

	OpHandshake     Op = 32
	OpConnect       Op = 33
	OpAccept        Op = 34
	OpZeroHandshake Op = 35
	OpOther         Op = 36

	OpFree  Op = 48
	OpClear Op = 49

	OpConnectNext Op = 50
	OpAcceptNext  Op = 51

	OpNSPRWrite  Op = 56
	OpNSPRWritev Op = 57
	OpNSPRRead   Op = 58
	OpNSPRRecv   Op = 59
	OpNSSImport  Op = 60
	OpNSSReset   Op = 61

	OpGoWrite   Op = 64
	OpGoRead    Op = 65
	OpGoConnect Op = 66
	OpGoAccept  Op = 67
	OpGoClose   Op = 68
)

// CookieHomes is set in the cookie of a probe on a Go function whose arguments
// lie in its caller's frame until it returns.
const CookieHomes = 1 << 63

// CookieDeferred is set in the cookie of a probe on what a Go function defers,
// with the places of that function's first result and of the closure: in octets
// from its stack pointer, whole words, less than 16 KiB.
func CookieDeferred(result, closure uint64) uint64 {
	const word = 8
	return 1<<62 | result/word<<40 | closure/word<<51
}

// HasReturn says whether a function of this shape needs a probe where it returns.
func (op Op) HasReturn() bool {
	switch op {
	case OpFree, OpClear, OpConnectNext, OpAcceptNext, OpNSSReset, OpGoClose:
		return false
	}
	return true
}

// Cookie is the attach cookie of a probe on a function of the given shape in
// the library that h2sniff gave this number.
func Cookie(op Op, library uint32) uint64 { return uint64(op) | uint64(library)<<8 }

// NSSData is struct nss_data: addresses in a process, from Start up to End, and
// the number of the library whose data lie there.
type NSSData struct {
	Start, End uint64
	Library    uint32
	_          uint32
}

// Counter numbers the elements of the counters map (enum counter).
type Counter uint32

const (
	Dropped Counter = iota // records for which the ring had no room
	Unread                 // calls not followed: an argument or a result could not be read
	TooDeep                // calls nested too deep to follow
	NoState                // calls not followed: a state map was full, or their connection had ended
	numCounters
)

// ConnKey is struct conn_key.
type ConnKey struct {
	TGID   uint64 // initial pid namespace
	Handle uint64
}

// ConnState is struct conn.
type ConnState struct {
	Gen   uint64
	Pos   [2]uint64 // by direction
	Exact uint64    // socket cookie
	// Other is one more socket cookie of a C library, the kernel's own positions
	// at Pos 0 of cleartext, and the goroutines inside a call of Go.
	Other  [2]uint64
	Frames [2]Frames // by direction
}

// LostKey is struct lost_key.
type LostKey struct {
	ConnKey
	Gen uint64
}

// LostClose is struct lost_close.
type LostClose struct {
	Pos      [2]uint64 // by direction
	Time     uint64    // as Record.Time
	PID, TID uint32    // as those of a Record; 0 is not known
}

// Frames is struct frames: how far the kernel side has followed the frames of
// a direction.
type Frames struct {
	Left                            uint32
	State, Have, Data, Begun, Doubt uint8
	Header                          [19]uint8
}
