// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"math/bits"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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

	work      sync.Mutex // held while rows are examined
	examiners []*examiner

	mu       sync.RWMutex // taken after store.mu where both are
	parts    []selected   // by number, only segments with examined rows
	next     uint64       // Seq of the first row not examined
	total    uint64       // matches, evicted ones included
	examined uint64       // rows, evicted ones included
	unread   uint64       // of those
	took     time.Duration
	findNum  uint64 // store.findNum as of the last look at the findings
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
	n := 1
	if p.Stateless {
		n = min(runtime.GOMAXPROCS(0), maxExaminers)
	}
	for range n {
		x.examiners = append(x.examiners, &examiner{scan: scan{store: s, memos: make([]memo, p.Memos)}})
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	x.next = s.segs[0].first
	return x
}

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
	for _, e := range x.examiners {
		e.scan.forget()
		defer func() { e.scan.buf, e.scan.chain = nil, nil }() // they are large
	}
	for {
		n, ok := x.take()
		if !ok {
			return true
		}
		if !x.examine(ctx, begin.Add(slice), x.examiners[:n]) {
			return false
		}
	}
}

// maxExaminers is how many segments are examined at a time at most.
const maxExaminers = 4

// take gives each of the first n examiners rows to examine, and lets go of what
// has been evicted.
func (x *Selection) take() (n int, ok bool) {
	s := x.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	gone := 0
	for gone < len(x.parts) && x.parts[gone].num < s.segs[0].num {
		gone++
	}
	x.parts = slices.Delete(x.parts, 0, gone)
	if g := x.diagnosed(); g != nil {
		x.give(0, g, 0)
		return 1, true
	}
	x.next = max(x.next, s.segs[0].first)
	if x.next > s.last {
		return 0, false
	}
	i := s.segmentOf(x.next)
	x.give(0, s.segs[i], int(x.next-s.segs[i].first))
	// Only whole segments that are in memory are examined at a time, since they
	// take about equally long.
	n = 1
	for x.whole(s.segs[i]) && n < len(x.examiners) && i+n < len(s.segs) && x.whole(s.segs[i+n]) {
		x.give(n, s.segs[i+n], 0)
		n++
	}
	for _, e := range x.examiners[:n] {
		e.piece.entire = e.piece.entire || n > 1
	}
	return n, true
}

// whole tells whether a segment is sealed and in memory.
func (x *Selection) whole(g *segment) bool {
	return g.block != nil && g != x.store.segs[len(x.store.segs)-1]
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

// give gives an examiner the rows of g from lo on. The locks are held.
func (x *Selection) give(n int, g *segment, lo int) {
	e := x.examiners[n]
	e.scan.start = x.store.firstTime
	p := piece{g: g, block: g.block, lo: lo, hi: g.n}
	if i, ok := x.partOf(g.num); ok {
		p.again = lo < x.parts[i].n
	}
	p.entire = p.again
	if x.pred.Findings {
		p.findings = g.findings
	}
	if p.block != nil {
		x.narrow(&p, g.dir.rows)
		p.fields = g.fields
	}
	g.pins.Add(1)
	e.piece = p
}

// examine lets examiners examine their rows, at the same time, and takes in what
// they find. It reports whether that was all of them, and there is time for more.
func (x *Selection) examine(ctx context.Context, deadline time.Time, list []*examiner) bool {
	var others sync.WaitGroup
	var panicked atomic.Pointer[any]
	for _, e := range list[1:] {
		others.Go(func() {
			// A panic is the caller's, who may be able to do something about it.
			defer func() {
				if v := recover(); v != nil {
					panicked.Store(&v)
				}
			}()
			e.examine(ctx, x, deadline)
		})
	}
	list[0].examine(ctx, x, deadline)
	others.Wait()
	if v := panicked.Load(); v != nil {
		panic(*v)
	}
	for _, e := range list {
		x.put(e)
		e.piece.g.pins.Add(-1)
	}
	return list[0].hi == list[0].piece.hi && ctx.Err() == nil && time.Now().Before(deadline)
}

func (x *Selection) partOf(num uint32) (int, bool) {
	return slices.BinarySearchFunc(x.parts, num, func(p selected, num uint32) int { return int(p.num) - int(num) })
}

// put takes in what was found; where the rows had been examined before, in place
// of what was found then.
func (x *Selection) put(e *examiner) {
	p, hi, again := &e.piece, e.hi, e.piece.again
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for _, w := range e.found.words {
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
		for j, w := range e.found.words {
			if w != 0 {
				t.bits[e.found.from>>6+j] |= w
			}
		}
	}
	x.examined += uint64(hi - t.n)
	if e.scan.unread && !again {
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

// rows is Store.Rows.
func (x *Selection) rows(from uint64, n int) []Entry {
	type run struct {
		part
		locals []uint16
	}
	var runs []run
	total := 0
	s := x.store
	s.shared(func() {
		x.mu.RLock()
		defer x.mu.RUnlock()
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
	})
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
