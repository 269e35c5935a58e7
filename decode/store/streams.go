// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// streamRec is what a StreamSummary is made of, without pointers.
type streamRec struct {
	first, last        int64
	frames, sent, recv uint64
	firstSeq, errors   uint64
	next               uint64 // ordinal of its next frame
	conn, id           uint32
	method, path       uint32 // in the string pool
	authority, status  uint32
	resetCode          uint32
	lastSeg            uint32 // the newest segment with a frame of it
	endSend, endRecv   bool
	reset, resetKnown  bool
	dead               bool // no rows left; waits to leave its connection's list
	requestTrust       uint8
	grpc               GRPCStatus
	grpcType           bool            // a content-type of it is that of gRPC
	worst              decode.Severity // of the findings about it
	phases             [2]phaseRec
}

const (
	streamRecSize = int64(unsafe.Sizeof(streamRec{}))
	slabChunk     = 256
)

// slab holds stream records in chunks. Those that begin one after the other, and
// so are likely to leave together, share a chunk: a new record goes where the one
// before went while there is room, then into a chunk that is at least half free. A
// chunk whose records have all left is given back, so that a flood of streams leaves
// nothing behind.
type slab struct {
	chunks []*[slabChunk]streamRec // a free record has no connection
	live   []int32                 // records in use, by chunk; -1: chunk given back
	holes  []int                   // chunks given back
	held   int64                   // chunks
	now    int                     // the chunk for new records
	next   int                     // the first in it that may be free
}

func (s *slab) bytes() int64 {
	return s.held*slabChunk*streamRecSize + int64(cap(s.chunks))*8 + int64(cap(s.live))*4 + int64(cap(s.holes))*8
}

func (s *slab) at(n uint32) *streamRec { return &s.chunks[n/slabChunk][n%slabChunk] }

// alloc returns a free record, which is in use as soon as it has a connection.
func (s *slab) alloc() uint32 {
	for s.now == len(s.chunks) || s.live[s.now] < 0 || !s.seek() {
		s.turn()
	}
	s.live[s.now]++
	s.next++
	return uint32(s.now*slabChunk + s.next - 1)
}

// seek goes to the next free record of the chunk.
func (s *slab) seek() bool {
	for c := s.chunks[s.now]; s.next < slabChunk; s.next++ {
		if c[s.next].conn == 0 {
			return true
		}
	}
	return false
}

// turn goes to another chunk.
func (s *slab) turn() {
	s.next = 0
	for i := range s.chunks {
		c := (s.now + 1 + i) % len(s.chunks)
		if n := s.live[c]; n >= 0 && n <= slabChunk/2 {
			s.now = c
			return
		}
	}
	s.now = len(s.chunks)
	if last := len(s.holes) - 1; last >= 0 {
		s.now = s.holes[last]
		s.holes = s.holes[:last]
	} else {
		s.chunks = append(s.chunks, nil)
		s.live = append(s.live, 0)
	}
	s.chunks[s.now] = new([slabChunk]streamRec)
	s.live[s.now] = 0
	s.held++
}

func (s *slab) release(n uint32) {
	*s.at(n) = streamRec{}
	s.live[n/slabChunk]--
}

// shrink gives back chunks without records, but for one for the next streams. It
// costs a pass over the list of chunks, so it is called once an eviction.
func (s *slab) shrink() {
	keep := false
	for c, n := range s.live {
		if n != 0 {
			continue
		}
		if !keep {
			keep = true
			continue
		}
		s.chunks[c], s.live[c] = nil, -1
		s.holes = append(s.holes, c)
		s.held--
	}
}

// addFrame takes a frame into the summary of its stream.
func (r *streamRec) addFrame(row *decode.Row) {
	if r.frames == 0 {
		r.first = row.Time
	}
	r.frames++
	r.last = max(r.last, row.Time, row.TimeEnd)
	if row.Err != nil {
		r.errors++
	}
	r.phases[row.Direction&1].add(r.first, row)
	h := &row.Header
	if h.Type == http2.FrameHeaders && pushedStream(r.id) {
		r.end(row.Direction.Reverse()) // RFC 9113, section 8.4.2
	}
	switch h.Type {
	case http2.FrameData:
		if row.Direction == capture.Send {
			r.sent += uint64(h.Length)
		} else {
			r.recv += uint64(h.Length)
		}
		fallthrough
	case http2.FrameHeaders:
		if h.Flags.Has(http2.FlagDataEndStream) { // the same bit in both types
			r.end(row.Direction)
		}
	case http2.FrameRSTStream:
		r.reset = true
		r.resetKnown = len(row.Payload) >= 4 && row.Missing == 0
		r.resetCode = 0
		if r.resetKnown {
			r.resetCode = binary.BigEndian.Uint32(row.Payload)
		}
	}
}

// pushedStream says that a stream is a server's: RFC 9113, section 5.1.1. Its
// client sends nothing on it but frames about it.
func pushedStream(id uint32) bool { return id != 0 && id&1 == 0 }

// end notes that nothing more is to come in a direction.
func (r *streamRec) end(d capture.Direction) {
	if d == capture.Send {
		r.endSend = true
	} else {
		r.endRecv = true
	}
}

// ends tells whether nothing more is to come in a direction.
func (r *streamRec) ends(d capture.Direction) bool {
	if d == capture.Send {
		return r.endSend
	}
	return r.endRecv
}

// addFields takes a field section into the summary: the first request, the last
// status that is not informational, and the last grpc-status. ends says that
// nothing follows in their direction. Trailers have no
// pseudo-fields.
func (r *streamRec) addFields(fields []decode.Field, ends bool, p *stringPool) {
	trust := decode.TrustExact
	worse := func(t decode.Trust) { trust = max(trust, t) }
	var method, path, authority, host, status string
	unnamed, request := decode.TrustExact, false
	var grpc *decode.Field
	for i := range fields {
		f := &fields[i]
		if !f.NameKnown {
			unnamed = max(unnamed, f.Trust)
			continue
		}
		if len(f.Name) == 0 || f.Name[0] != ':' && f.Name[0] != 'h' && f.Name[0] != 'g' && f.Name[0] != 'c' {
			continue
		}
		switch f.Name {
		case ":method":
			method, request = f.Value, true
			worse(f.Trust)
		case ":path":
			path, request = f.Value, true
			worse(f.Trust)
		case ":authority":
			authority, request = f.Value, true
		case "host":
			host = f.Value
		case ":status":
			status = f.Value
		case "grpc-status":
			grpc = f
		case "content-type":
			r.grpcType = r.grpcType || isGRPC(f.Value)
		}
	}
	switch answer := status != "" || r.status != 0 && !request; {
	case grpc != nil && !request:
		r.grpc = grpcStatus(grpc)
	case answer && ends && r.grpcType && unnamed != decode.TrustExact && r.grpc == 0:
		r.grpc = GRPCUnknown // it may be what is not known
	}
	if status != "" {
		informational := len(status) == 3 && status[0] == '1'
		if !informational || r.status == 0 {
			p.drop(r.status)
			r.status = p.hold(status)
		}
		return
	}
	if r.method != 0 || r.path != 0 || !request && unnamed == decode.TrustExact {
		return
	}
	if method == "" || path == "" {
		worse(unnamed) // one of them may be what is missing
	}
	if authority == "" && request {
		authority = host
	}
	p.drop(r.authority)
	r.method, r.path, r.authority = p.hold(method), p.hold(path), p.hold(authority)
	r.requestTrust = uint8(trust)
}

// ended tells whether no more is to be expected of the stream.
func (r *streamRec) ended() bool { return r.reset || r.endSend && r.endRecv }

func (r *streamRec) dropStrings(p *stringPool) {
	p.drop(r.method)
	p.drop(r.path)
	p.drop(r.authority)
	p.drop(r.status)
}

func (r *streamRec) summary(p *stringPool) StreamSummary {
	return StreamSummary{
		Conn:           capture.ConnID(r.conn),
		ID:             r.id,
		Method:         p.get(r.method),
		Path:           p.get(r.path),
		Authority:      p.get(r.authority),
		Status:         p.get(r.status),
		GRPCStatus:     r.grpc,
		GRPC:           r.grpcType,
		First:          r.first,
		Last:           r.last,
		Frames:         r.frames,
		SentB:          r.sent,
		RecvB:          r.recv,
		EndSend:        r.endSend,
		EndRecv:        r.endRecv,
		Reset:          r.reset,
		ResetCode:      r.resetCode,
		ResetCodeKnown: r.resetKnown,
		Errors:         r.errors,
		Worst:          r.worst,
		FirstSeq:       r.firstSeq,
		RequestTrust:   decode.Trust(r.requestTrust),
		Phases:         [2]Phase{r.phases[0].phase(r.first), r.phases[1].phase(r.first)},
	}
}
