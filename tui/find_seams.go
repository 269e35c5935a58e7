// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"sync"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// seams finds text, or octets, that begin in one DATA frame of a message and end
// in a later one, at the latter. It is one for one Selection, whose rows come in
// order.
type seams struct {
	needle needle
	tails  map[streamSide]tail
	most   int // tails
	// lost is the last row that says that octets are missing in a direction of
	// a connection.
	lost map[connSide]uint64
	buf  []byte

	mu sync.Mutex
	// found are rows that match; the first maxSeams of them.
	found map[uint64]struct{}
}

// tail is the last octets of a message so far, fewer than the needle has.
type tail struct {
	seq    uint64 // of the row that they end in
	octets []byte
}

type connSide struct {
	conn capture.ConnID
	dir  capture.Direction
}

type streamSide struct {
	connSide
	stream uint32
}

const (
	// maxTails bounds the octets of the messages in progress that are
	// remembered. Beyond it some of them are forgotten.
	maxTails = 4 << 20
	maxSeams = 1 << 16
)

func newSeams(n needle) *seams {
	return &seams{
		needle: n, most: min(maxTails/len(n.b), 1<<16),
		tails: make(map[streamSide]tail), lost: make(map[connSide]uint64), found: make(map[uint64]struct{}),
	}
}

// match says whether a needle that began in a row before ends in this one.
func (s *seams) match(r *store.Record) bool {
	side := connSide{r.Conn(), r.Direction()}
	switch r.Kind() {
	case decode.RowGap:
		s.lost[side] = r.Seq()
		return false
	case decode.RowClose:
		delete(s.lost, side)
		side.dir = side.dir.Reverse()
		delete(s.lost, side)
		return false
	case decode.RowFrame:
	default:
		return false
	}
	k := streamSide{side, r.StreamID()}
	switch r.Type() {
	case http2.FrameData:
		return s.data(r, k)
	case http2.FrameHeaders:
		if r.Flags().Has(http2.FlagHeadersEndStream) {
			delete(s.tails, k)
		}
	case http2.FrameRSTStream:
		delete(s.tails, k)
		k.dir = k.dir.Reverse()
		delete(s.tails, k)
	}
	return false
}

// data is match of a DATA frame.
func (s *seams) data(r *store.Record, k streamSide) (found bool) {
	payload := r.Payload()
	if r.Missing() > 0 || len(payload) < int(r.Length()) {
		delete(s.tails, k)
		return false
	}
	if r.Flags().Has(http2.FlagDataPadded) {
		h := decode.FrameHeader{Length: r.Length(), Type: r.Type(), Flags: r.Flags(), StreamID: r.StreamID()}
		p, _ := decode.ParsePayload(h, payload)
		payload = p.Data
	}
	t := s.tails[k]
	if t.seq < s.lost[k.connSide] {
		t.octets = t.octets[:0]
	}
	n := len(s.needle.b) - 1
	if len(t.octets) > 0 {
		s.buf = append(append(s.buf[:0], t.octets...), payload[:min(n, len(payload))]...)
		if found = s.needle.in(s.buf); found {
			s.keep(r.Seq())
		}
	}
	if r.Flags().Has(http2.FlagDataEndStream) {
		delete(s.tails, k)
		return found
	}
	if _, ok := s.tails[k]; !ok && len(s.tails) >= s.most {
		for other := range s.tails {
			delete(s.tails, other)
			break
		}
	}
	old := t.octets[max(0, min(len(t.octets), len(t.octets)+len(payload)-n)):]
	t.octets = append(append(t.octets[:0], old...), payload[max(0, len(payload)-n):]...)
	t.seq = r.Seq()
	s.tails[k] = t
	return found
}

func (s *seams) keep(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.found) < maxSeams {
		s.found[seq] = struct{}{}
	}
}

// at says whether a row is known to match. It may be called at any time.
func (s *seams) at(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.found[seq]
	return ok
}
