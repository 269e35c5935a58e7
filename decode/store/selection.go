// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Selection is the rows of a View that a Predicate accepts, in their order. A
// View that names it can be asked for like any other. It knows only those rows
// that Advance has examined; it takes a bit for each row of a segment with
// matches, and leaves with the segments.
//
// Its ordinals count the matches from 0 and stay the same as rows are appended
// and evicted. The exception is a Predicate with Findings: a finding that comes
// late moves those behind its row by one.
//
// All methods may be called at the same time.
type Selection struct {
	store *Store
	base  View
	pred  Predicate

	work  sync.Mutex // held while rows are examined
	scan  scan
	found bitRun

	mu       sync.RWMutex // taken after store.mu where both are
	parts    []selected   // by number, only segments with examined rows
	next     uint64       // Seq of the first row not examined
	total    uint64       // matches, evicted ones included
	examined uint64       // rows, evicted ones included
	unread   uint64       // of those
	took     time.Duration
	findNum  uint64 // store.findNum as of the last look at the findings
}

// selected is the matches in a segment.
type selected struct {
	num      uint32
	findings int // that the segment had
	n        int // rows examined
	count    int
	first    uint64   // Seq of the segment's first row
	before   uint64   // ordinal of the first match
	bits     []uint64 // by local index; nil where nothing matches
}

// Progress tells how far a Selection is.
type Progress struct {
	Matched  uint64        // rows that match, evicted ones included
	Examined uint64        // rows, evicted ones included
	Unread   uint64        // of those examined, rows that could not be read from the spill file
	Waiting  uint64        // rows that are held and were not examined yet
	End      uint64        // Seq behind the last row examined
	Took     time.Duration // spent in Advance
}

// Select begins a Selection among the rows of v, in which nothing has been
// examined yet.
func (s *Store) Select(v View, p Predicate) *Selection {
	v.Selection, p.Within.Selection = nil, nil
	x := &Selection{store: s, base: v, pred: p}
	x.scan = scan{store: s, memos: make([][]byte, p.Memos), none: make([]byte, p.Memos)}
	s.mu.RLock()
	defer s.mu.RUnlock()
	x.next = s.segs[0].first
	return x
}

// chunk is how many rows are examined between two looks at the clock.
const chunk = 4096

// Advance examines rows for about as long as slice, or until there are no more,
// or ctx ends. It reports whether all rows that were there have been examined.
func (x *Selection) Advance(ctx context.Context, slice time.Duration) (done bool) {
	x.work.Lock()
	defer x.work.Unlock()
	begin := time.Now()
	defer func() {
		x.mu.Lock()
		x.took += time.Since(begin)
		x.mu.Unlock()
	}()
	x.scan.forget()
	defer func() { x.scan.buf, x.scan.chain = nil, nil }() // they are large
	for {
		p, ok := x.take()
		if !ok {
			return true
		}
		done := x.examine(ctx, &p, begin.Add(slice))
		p.g.pins.Add(-1)
		if !done {
			return false
		}
	}
}

// piece is a run of rows to examine in a segment, which is pinned.
type piece struct {
	g        *segment
	block    []byte // nil: not in memory
	lo, hi   int
	findings []finding
	fields   []uint32

	// Where keyed, only rows in a chain can match: count rows from tail back.
	keyed  bool
	offset int
	tail   uint16
	count  int
}

// take finds the next rows to examine, and lets go of what has been evicted.
func (x *Selection) take() (piece, bool) {
	s := x.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.scan.start = s.firstTime
	gone := 0
	for gone < len(x.parts) && x.parts[gone].num < s.segs[0].num {
		gone++
	}
	x.parts = slices.Delete(x.parts, 0, gone)
	if g := x.diagnosed(); g != nil {
		return x.piece(g, 0, g.n), true
	}
	x.next = max(x.next, s.segs[0].first)
	if x.next > s.last {
		return piece{}, false
	}
	g := s.segs[s.segmentOf(x.next)]
	return x.piece(g, int(x.next-g.first), g.n), true
}

// diagnosed returns a segment that got findings after it was examined.
func (x *Selection) diagnosed() *segment {
	s := x.store
	if !x.pred.Findings || x.pred.Once || x.findNum == s.findNum {
		return nil
	}
	for i := range x.parts {
		g := s.segs[x.parts[i].num-s.segs[0].num]
		if x.parts[i].findings != len(g.findings) {
			return g
		}
	}
	x.findNum = s.findNum
	return nil
}

func (x *Selection) piece(g *segment, lo, hi int) piece {
	p := piece{g: g, block: g.block, lo: lo, hi: hi}
	if x.pred.Findings {
		p.findings = g.findings
	}
	if p.block != nil {
		x.narrow(&p, g.dir.rows)
		p.fields = g.fields
	}
	g.pins.Add(1)
	return p
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

// examine examines a piece, and puts down what was found. It reports whether
// it came to its end.
func (x *Selection) examine(ctx context.Context, p *piece, deadline time.Time) bool {
	again := p.lo < x.examinedOf(p.g)
	x.scan.turn(p.g)
	x.scan.findings = byRow(p.findings)
	x.found.begin(p.lo, p.hi)
	if p.block == nil && !x.fetch(p) {
		x.put(p, p.hi, again)
		return ctx.Err() == nil && time.Now().Before(deadline)
	}
	if p.keyed {
		x.matchChain(p)
		x.put(p, p.hi, again)
		return ctx.Err() == nil && time.Now().Before(deadline)
	}
	x.scan.fields = p.fields
	for lo := p.lo; lo < p.hi; {
		hi := min(p.hi, lo+chunk)
		x.match(p, lo, hi)
		lo = hi
		// A segment is examined again as a whole.
		if lo < p.hi && !again && (ctx.Err() != nil || time.Now().After(deadline)) {
			x.put(p, lo, again)
			return false
		}
	}
	x.put(p, p.hi, again)
	return ctx.Err() == nil && time.Now().Before(deadline)
}

// fetch reads the records of a segment that is not in memory, and reports
// whether there is anything to examine. What else the rows have is read when it
// is asked for.
func (x *Selection) fetch(p *piece) bool {
	s, st := x.store, p.g.stored
	if st == nil {
		x.scan.unread = true
		return false
	}
	x.narrow(p, func(key uint64) (dirEntry, bool) { return s.storedRows(p.g, key) })
	if p.keyed && p.count == 0 {
		return false
	}
	p.block = x.scan.buffer(int(st.front + st.records))
	if err := s.readPart(p.g, 1, p.block[st.front:]); err != nil {
		x.scan.unread = true
		return false
	}
	x.scan.behind = p.g
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
func (x *Selection) match(p *piece, lo, hi int) {
	g, block := p.g, p.block
	r := Record{block: block, scan: &x.scan}
	test := x.pred.Match
	end := len(block) - lo*recSize
	for local := lo; local < hi; local++ {
		r.rec = (*[recSize]byte)(block[end-recSize : end])
		end -= recSize
		r.seq = g.first + uint64(local)
		if test(&r) {
			x.found.set(local)
		}
	}
}

// matchChain is match for the rows of a chain.
func (x *Selection) matchChain(p *piece) {
	r := Record{block: p.block, scan: &x.scan}
	// It leads from the last row to the first, predicates want their order.
	chain, local := x.scan.chain[:0], int(p.tail)
	for range p.count {
		if local < p.lo {
			break
		}
		if local < p.hi {
			chain = append(chain, uint16(local))
		}
		local = int(binary.LittleEndian.Uint16(record(p.block, local)[p.offset:])) - 1
	}
	x.scan.chain = chain
	for _, local := range slices.Backward(chain) {
		r.rec = (*[recSize]byte)(record(p.block, int(local)))
		r.seq = p.g.first + uint64(local)
		if x.inBase(&r) && x.pred.Match(&r) {
			x.found.set(int(local))
		}
	}
}

func (x *Selection) inBase(r *Record) bool {
	v := &x.base
	return (v.Conn == 0 || r.Conn() == v.Conn) && (!v.HasStream || r.IsFrame() && r.StreamID() == v.Stream&^(1<<31))
}

func (x *Selection) examinedOf(g *segment) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if i, ok := x.partOf(g.num); ok {
		return x.parts[i].n
	}
	return 0
}

func (x *Selection) partOf(num uint32) (int, bool) {
	return slices.BinarySearchFunc(x.parts, num, func(p selected, num uint32) int { return int(p.num) - int(num) })
}

// put takes in what was found among the rows p.lo to hi; where they had been
// examined before, in place of what was found then.
func (x *Selection) put(p *piece, hi int, again bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, w := range x.found.words {
		n += bits.OnesCount64(w)
	}
	i, ok := x.partOf(p.g.num)
	if !ok {
		x.parts = append(x.parts, selected{num: p.g.num, first: p.g.first, before: x.total})
		i = len(x.parts) - 1
	}
	t := &x.parts[i]
	if again {
		moved := uint64(n) - uint64(t.count)
		for j := range x.parts[i+1:] {
			x.parts[i+1+j].before += moved
		}
		x.total += moved
		t.count, t.bits = n, nil
		hi = max(hi, t.n)
	} else {
		x.total += uint64(n)
		t.count += n
	}
	if n > 0 {
		if need := (hi + 63) / 64; len(t.bits) < need {
			grown := make([]uint64, min(max(need, 2*len(t.bits)), (maxRows+63)/64))
			copy(grown, t.bits)
			t.bits = grown
		}
		for j, w := range x.found.words {
			if w != 0 {
				t.bits[x.found.from>>6+j] |= w
			}
		}
	}
	x.examined += uint64(hi - t.n)
	if x.scan.unread && !again {
		x.unread += uint64(p.hi - p.lo)
	}
	t.n, t.findings = hi, len(p.findings)
	x.next = max(x.next, p.g.first+uint64(hi))
}

// Progress tells how far the Selection is.
func (x *Selection) Progress() Progress {
	s := x.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	return Progress{
		Matched: x.total, Examined: x.examined, Unread: x.unread, Took: x.took, End: x.next,
		Waiting: s.last + 1 - min(max(x.next, s.segs[0].first), s.last+1),
	}
}

// Has tells whether the row seq is selected; false also where it was not
// examined or is not held.
func (x *Selection) Has(seq uint64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := x.at(seq)
	if i < 0 {
		return false
	}
	p := &x.parts[i]
	local := seq - p.first
	return local < uint64(p.n) && local>>6 < uint64(len(p.bits)) && p.bits[local>>6]>>(local&63)&1 != 0
}

// at is the part in which seq would be; -1 where it is before all of them.
func (x *Selection) at(seq uint64) int {
	i, ok := slices.BinarySearchFunc(x.parts, seq, func(p selected, seq uint64) int { return cmp.Compare(p.first, seq) })
	if !ok {
		i--
	}
	return i
}

// held are the parts whose segments are held. Both locks are.
func (x *Selection) held() []selected {
	num := x.store.segs[0].num
	for i := range x.parts {
		if x.parts[i].num >= num {
			return x.parts[i:]
		}
	}
	return nil
}

func (x *Selection) span() (first, end uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if h := x.held(); len(h) > 0 {
		return h[0].before, x.total
	}
	return x.total, x.total
}

// find is Store.Find.
func (x *Selection) find(seq uint64) uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	h := x.held()
	if len(h) == 0 {
		return x.total
	}
	i := x.at(seq)
	if i < 0 || x.parts[i].num < h[0].num {
		return h[0].before
	}
	p := &x.parts[i]
	return p.before + uint64(p.rank(int(min(seq-p.first, maxRows))))
}

// rank is how many matches are before local.
func (p *selected) rank(local int) int {
	n := 0
	for i, w := range p.bits {
		if i == local>>6 {
			return n + bits.OnesCount64(w&(1<<(local&63)-1))
		}
		n += bits.OnesCount64(w)
	}
	return n
}

// locals appends the local indices of the matches from the lo-th on, up to n.
func (p *selected) locals(dst []uint16, lo, n int) []uint16 {
	for i, w := range p.bits {
		if c := bits.OnesCount64(w); lo >= c {
			lo -= c
			continue
		}
		for ; w != 0; w &= w - 1 {
			if lo > 0 {
				lo--
				continue
			}
			if n--; n < 0 {
				return dst
			}
			dst = append(dst, uint16(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// rows is Store.Rows.
func (x *Selection) rows(from uint64, n int) []Entry {
	type run struct {
		part
		locals []uint16
	}
	var runs []run
	total := 0
	s := x.store
	s.mu.RLock()
	x.mu.RLock()
	h := x.held()
	if len(h) > 0 {
		from = max(from, h[0].before)
	}
	i, ok := slices.BinarySearchFunc(h, from, func(p selected, from uint64) int {
		switch {
		case p.before+uint64(p.count) <= from:
			return -1
		case p.before > from:
			return 1
		}
		return 0
	})
	for ; ok && i < len(h) && total < n; i++ {
		p := &h[i]
		if p.count == 0 {
			continue
		}
		g := s.segs[p.num-s.segs[0].num]
		r := run{part: part{g: g, block: g.block, findings: g.findings}}
		r.locals = p.locals(nil, int(from-p.before), n-total)
		g.pins.Add(1)
		runs = append(runs, r)
		total += len(r.locals)
		from += uint64(len(r.locals))
	}
	x.mu.RUnlock()
	s.mu.RUnlock()
	rows := make([]Entry, 0, total)
	for _, r := range runs {
		at := len(rows)
		block, err := s.blockOf(r.g, r.block)
		for _, local := range r.locals {
			if err != nil {
				rows = append(rows, notKept(r.g, x.base.Conn, int(local)))
			} else {
				rows = append(rows, readRow(block, r.g.first, int(local)))
			}
		}
		if err == nil {
			give(rows[at:], r.g.first, r.findings)
		}
		r.g.pins.Add(-1)
	}
	return rows
}
