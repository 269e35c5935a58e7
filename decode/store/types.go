// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"net/netip"

	"h2sniff/capture"
	"h2sniff/decode"
)

// ErrEvicted is returned for a row that was there once and has been evicted.
var ErrEvicted = errors.New("row was evicted from the history")

// ErrNotYet is returned for a row that has not been appended yet.
var ErrNotYet = errors.New("no such row yet")

// View selects rows. The zero View is every row.
type View struct {
	Conn      capture.ConnID // 0: of every connection
	Stream    uint32
	HasStream bool // only frames of Stream (0 is a stream id too)
	// Selection, where set, is what the View is; Conn, Stream and HasStream
	// count for nothing then (see [Store.Select]).
	Selection *Selection
}

// Entry is one stored row, decoded back to its full form. It is a copy; its
// owner may keep it.
type Entry struct {
	Seq uint64 // counts every row from 1
	decode.Row
	// BlockSeq is the Seq of the HEADERS or PUSH_PROMISE frame that began the
	// field block which ends with this frame; 0 where there is none (or it
	// was not seen).
	BlockSeq uint64
	// Findings are those known at the time of the read, in the order in which
	// they came.
	Findings []Finding
}

// ConnSummary is what the connection list shows. It is a copy.
type ConnSummary struct {
	ID                      capture.ConnID
	Info                    capture.ConnInfo
	Role                    capture.Role
	Protocol                decode.Protocol
	Local, Remote           netip.AddrPort   // the zero AddrPort while unknown
	Evidence                capture.Evidence // 0 while unknown
	Peer                    capture.ConnID   // the other end of the TCP connection, see Ends; 0 while unknown
	Opened                  int64            // Unix nanoseconds
	Closed                  int64            // 0 while open
	Last                    int64            // time of the last row
	Frames, SentB, RecvB    uint64           // frames; octets of frames in each direction
	Streams                 int              // seen, stream 0 left out
	Errors, Gaps, LostBytes uint64
	Findings                FindingCounts
	// NoWindow is since when the window of the connection is used up that limits
	// what a direction carries, by capture.Direction, in Unix nanoseconds; 0
	// where it is not, or where no finding has told of it yet.
	NoWindow [2]int64
}

// StreamSummary is what the stream list shows. It is a copy.
type StreamSummary struct {
	Conn         capture.ConnID
	ID           uint32
	Method, Path string // unsanitised; empty while unknown
	Authority    string
	Status       string
	GRPCStatus   GRPCStatus
	GRPC         bool  // a content-type of the request or the response is that of gRPC
	First, Last  int64 // Unix nanoseconds
	Frames       uint64
	SentB, RecvB uint64 // octets of DATA payload
	// EndSend and EndRecv say that END_STREAM was sent and received, or that
	// nothing is due that way, as of a pushed stream with HEADERS from its client.
	EndSend, EndRecv bool
	Reset            bool // an RST_STREAM went either way
	ResetCode        uint32
	// ResetCodeKnown is false where the octets of the code were not captured.
	ResetCodeKnown bool
	Errors         uint64
	Worst          decode.Severity // of the findings about it; 0: none
	FirstSeq       uint64
	RequestTrust   decode.Trust // of Method and Path
	Phases         [2]Phase     // by capture.Direction
}

// Snapshot is the state of the store at one moment.
type Snapshot struct {
	Generation   uint64 // changes with every append, SetConn and Diagnose
	Rows         uint64 // appended ever: the last Seq
	Frames       uint64 // appended ever
	Bytes        uint64 // octets of frames, headers included
	Conns        int    // ever seen
	Evicted      uint64 // rows evicted
	LostBytes    uint64 // octets in gaps with reason lost
	Last         int64  // time of the newest moment that a row tells of, Unix nanoseconds; 0: no row yet
	HistoryUsed  int64  // bytes
	HistoryLimit int64  // bytes
	Errors       uint64 // frames with an error
	Findings     FindingCounts

	NotKept    uint64 // rows ever of which nothing but that could be kept: the file was too slow
	SpillUsed  int64  // octets in the spill file
	SpillLimit int64  // 0: there is none
	SpillFull  bool   // SpillLimit is what the disk had room for
	SpillErr   error  // why rows are not kept in the file any more, or the first failed read
}
