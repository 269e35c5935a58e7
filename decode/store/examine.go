// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"time"
)

// chunk is how many rows are examined between two looks at the clock.
const chunk = 4096

// piece is a run of rows to examine in a segment, which is pinned.
type piece struct {
	g        *segment
	block    []byte // nil: not in memory
	lo, hi   int
	findings []finding
	fields   []uint32
	again    bool // rows of it were examined before
	entire   bool // is not to be left in the middle

	// Where keyed, only rows in a chain can match: count rows from tail back.
	keyed  bool
	offset int
	tail   uint16
	count  int
}

// narrow finds the shortest chain that all matches in the segment are in.
func (x *Selection) narrow(p *piece, rows func(key uint64) (dirEntry, bool)) {
	for _, v := range [...]View{x.base, x.pred.Within} {
		key, offset, all := v.key()
		if all {
			continue
		}
		e, _ := rows(key)
		if !p.keyed || int(e.count) < p.count {
			p.keyed, p.offset, p.tail, p.count = true, offset, e.tail, int(e.count)
		}
	}
}

// examiner examines one piece at a time.
type examiner struct {
	scan  scan
	piece piece
	hi    int // of the piece, rows before it have been examined
	found bitRun
}

// examine examines the piece, to its end or until there is no more time.
func (e *examiner) examine(ctx context.Context, x *Selection, deadline time.Time) {
	p := &e.piece
	e.scan.turn(p.g)
	e.scan.findings = byRow(p.findings)
	e.found.begin(p.lo, p.hi)
	e.hi = p.hi
	if p.block == nil && !e.fetch(x) {
		return
	}
	if p.keyed {
		e.matchChain(x)
		return
	}
	e.scan.fields = p.fields
	for lo := p.lo; lo < p.hi; {
		hi := min(p.hi, lo+chunk)
		e.match(x.pred.Match, lo, hi)
		lo = hi
		if !p.entire && (ctx.Err() != nil || time.Now().After(deadline)) {
			e.hi = hi
			return
		}
		runtime.Gosched() // keys and frames come first
	}
}

// fetch reads the records of a segment that is not in memory, and reports
// whether there is anything to examine. What else the rows have is read when it
// is asked for.
func (e *examiner) fetch(x *Selection) bool {
	p := &e.piece
	s, st := x.store, p.g.stored
	if st == nil {
		e.scan.unread = true
		return false
	}
	x.narrow(p, func(key uint64) (dirEntry, bool) { return s.storedRows(p.g, key) })
	if p.keyed && p.count == 0 {
		return false
	}
	p.block = e.scan.buffer(int(st.front + st.records))
	if err := s.readPart(p.g, 1, p.block[st.front:]); err != nil {
		e.scan.unread = true
		return false
	}
	e.scan.behind = p.g
	return true
}

// bitRun is bits of local indices, of which those before from are not there.
type bitRun struct {
	from  int // a multiple of 64
	words []uint64
}

// begin makes it one for lo to hi, with no bit set.
func (b *bitRun) begin(lo, hi int) {
	b.from = lo &^ 63
	need := (hi - b.from + 63) / 64
	if cap(b.words) < need {
		b.words = make([]uint64, need, (maxRows+63)/64)
	}
	b.words = b.words[:need]
	clear(b.words)
}

func (b *bitRun) set(local int) { b.words[(local-b.from)>>6] |= 1 << (local & 63) }

func byRow(list []finding) map[uint16][]Finding {
	if len(list) == 0 {
		return nil
	}
	m := make(map[uint16][]Finding)
	for i := range list {
		m[list[i].local] = append(m[list[i].local], list[i].Finding)
	}
	return m
}

// match sets the bits of the rows lo to hi that are selected.
func (e *examiner) match(test func(*Record) bool, lo, hi int) {
	g, block := e.piece.g, e.piece.block
	r := Record{block: block, scan: &e.scan}
	end := len(block) - lo*recSize
	for local := lo; local < hi; local++ {
		r.rec = (*[recSize]byte)(block[end-recSize : end])
		end -= recSize
		r.seq = g.first + uint64(local)
		if test(&r) {
			e.found.set(local)
		}
	}
}

// matchChain is match for the rows of a chain.
func (e *examiner) matchChain(x *Selection) {
	p := &e.piece
	r := Record{block: p.block, scan: &e.scan}
	// It leads from the last row to the first, predicates want their order.
	chain, local := e.scan.chain[:0], int(p.tail)
	for range p.count {
		if local < p.lo {
			break
		}
		if local < p.hi {
			chain = append(chain, uint16(local))
		}
		local = int(binary.LittleEndian.Uint16(record(p.block, local)[p.offset:])) - 1
	}
	e.scan.chain = chain
	for _, local := range slices.Backward(chain) {
		r.rec = (*[recSize]byte)(record(p.block, int(local)))
		r.seq = p.g.first + uint64(local)
		if x.inBase(&r) && x.pred.Match(&r) {
			e.found.set(int(local))
		}
	}
}

func (x *Selection) inBase(r *Record) bool {
	v := &x.base
	return (v.Conn == 0 || r.Conn() == v.Conn) && (!v.HasStream || r.IsFrame() && r.StreamID() == v.Stream&^(1<<31))
}
