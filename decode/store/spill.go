// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"hash/crc32"
	"time"

	"golang.org/x/sys/unix"
)

// shares are the parts of the memory at which something is done about it.
// Segments are written while there is still memory for them, so that a disk that
// is slow for a while holds up nobody: only segments that are in the file by then
// leave memory without loss.
type shares struct {
	spill   float64 // of all that is held: segments are written
	summary float64 // of summaries of streams: those of old streams leave
	index   float64 // of all but segments: the oldest in the file leave
}

var usualShares = shares{spill: 0.5, summary: 0.5, index: 0.75}

// RunSpill moves rows into the file until ctx ends or the file fails, which
// Snapshot tells. A store with Options.Spill needs it, in a goroutine of the
// caller.
func (s *Store) RunSpill(ctx context.Context) {
	for ctx.Err() == nil {
		if s.spillStep(ctx) {
			continue
		}
		select {
		case <-s.spillWake:
		case <-ctx.Done():
		}
	}
}

// AwaitSpill waits, where the memory is nearly full, until what is in it is in
// the file. It is for writers that may be held up: readers of recordings. It
// returns at once where nothing runs RunSpill any more.
func (s *Store) AwaitSpill(ctx context.Context) {
	if s.spill == nil {
		return
	}
	for ctx.Err() == nil && s.spillBehind() {
		select {
		case <-s.spillDone:
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// spillBehind tells whether too few of the next segments to leave memory are in
// the file: a row may need as much room as several of them have.
func (s *Store) spillBehind() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	next := min(s.inFile+(len(s.segs)-s.inFile)/2, len(s.segs)-2)
	if s.spillErr != nil || next < s.inFile || s.segs[next].stored != nil || float64(s.used()) < 0.6*float64(s.limit) {
		return false
	}
	s.wakeSpill()
	return true
}

func (s *Store) wakeSpill() {
	if s.spill == nil || float64(s.used()) < s.shares.spill*float64(s.limit) {
		return
	}
	select {
	case s.spillWake <- struct{}{}:
	default:
	}
}

// spillStep does one thing that is due, and reports whether there was one.
func (s *Store) spillStep(ctx context.Context) bool {
	s.mu.RLock()
	share := func(n int64) float64 { return float64(n) / float64(s.limit) }
	summaries := s.streams.bytes() + s.slab.bytes() + s.pool.bytes()
	index := s.used() - s.segHeld
	var old, write *segment
	evict, failed := false, s.spillErr != nil
	switch {
	case failed || s.inFile > 0 && share(index) > s.shares.index:
		evict = !failed
	case share(summaries) > s.shares.summary && s.inFile > 0 && s.archiveNext <= s.segs[s.inFile-1].num:
		old = s.segs[max(s.archiveNext, s.segs[0].num)-s.segs[0].num]
		old.pins.Add(1)
	case share(s.used()) > s.shares.spill:
		for _, g := range s.segs[s.inFile : len(s.segs)-1] {
			if g.stored == nil {
				write = g
				g.pins.Add(1)
				break
			}
		}
	}
	s.mu.RUnlock()
	switch {
	case evict:
		s.evictFile()
	case old != nil:
		s.archive(old)
		old.pins.Add(-1)
	case write != nil:
		s.writeOut(ctx, write)
		write.pins.Add(-1)
	default:
		return false
	}
	select {
	case s.spillDone <- struct{}{}:
	default:
	}
	return true
}

// writeOut writes a segment into the file. It is sealed and pinned.
func (s *Store) writeOut(ctx context.Context, g *segment) {
	s.mu.RLock()
	block, dir := g.block, g.dir
	s.mu.RUnlock()
	if block == nil {
		return // there was no more room for it
	}
	keys, list := packDirectory(&dir)
	front, records := block[:g.used], block[len(block)-g.n*recSize:]
	st := &stored{front: int64(g.used), records: int64(len(records)), list: int64(len(list))}
	for i, b := range [][]byte{front, records, list} {
		st.sums[i] = crc32.Checksum(b, castagnoli)
	}
	size := st.front + st.records + st.list
	p := s.spill
	for {
		p.reclaim(ctx)
		if ctx.Err() != nil {
			return
		}
		at, ok := p.place(size)
		if !ok {
			if !s.evictFile() && s.spillErr == nil && !p.queue[0].g.gone.Load() {
				s.mu.Lock()
				s.failSpill(errSmallSpill)
				s.mu.Unlock()
			}
			if s.spillErr != nil { // which only this goroutine sets
				return
			}
			continue
		}
		st.at = at
		err := s.writeParts(st, front, records, list)
		if err == nil {
			break
		}
		if !s.fileFull(err, at+size) {
			s.mu.Lock()
			s.failSpill(err)
			s.mu.Unlock()
			return
		}
	}
	p.push(extent{st.at, size, g})
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.block == nil || s.spillErr != nil {
		p.unpush() // it had to go in the meantime
		return
	}
	g.stored, g.keys = st, keys
	s.fileBytes += size
	s.fileHeld += g.fileCost()
	s.keepWithin()
}

// fileFull takes a full disk: what the file has is what it gets, unless that is
// too little to be of use. It reports whether to go on.
func (s *Store) fileFull(err error, end int64) bool {
	p := s.spill
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) || end <= p.high || p.high < s.limit {
		return false
	}
	p.file.Truncate(p.high) // gives back what the failed write took; it is no loss where that fails
	s.mu.Lock()
	p.limit, s.spillFull = p.high, true
	s.mu.Unlock()
	return true
}

func (s *Store) writeParts(st *stored, parts ...[]byte) error {
	at := st.at
	for _, b := range parts {
		if _, err := s.spill.file.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

// evictFile evicts the oldest segment for good, and reports whether it did.
func (s *Store) evictFile() bool {
	s.mu.RLock()
	g := s.segs[0]
	inFile := s.inFile
	s.mu.RUnlock()
	if inFile == 0 {
		return false
	}
	var entries []dirEntry
	var err error
	if g.stored != nil { // else it was forgotten when it was lost
		entries, err = s.readDirectory(g)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.inFile == 0 || s.segs[0] != g: // all was given up
		return false
	case err != nil:
		s.failSpill(err)
		return false
	}
	s.dropFront()
	s.forget(g.num, g.first+uint64(g.n)-1, entries)
	return true
}

// archive takes the summaries of streams out of memory whose last frame is in
// g, those first that have ended: of them only their place in their views stays.
func (s *Store) archive(g *segment) {
	var entries []dirEntry
	if g.stored != nil {
		entries, _ = s.readDirectory(g)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archiveNext = g.num + 1
	scarce := float64(s.used()-s.segHeld) > 0.9*s.shares.index*float64(s.limit)
	for i := range entries {
		e := &entries[i]
		if e.key&tagged != 0 {
			continue
		}
		val, ok := s.streams.get(e.key)
		if !ok || val&past != 0 {
			continue
		}
		r := s.slab.at(uint32(val))
		if r.id != 0 && r.lastSeg == g.num && (scarce || r.ended() || s.closed(r.conn)) {
			s.streams.put(e.key, pastVal(r.next, g.num))
			r.dead = true
		}
	}
	s.leaveAll(g.first+uint64(g.n)-1, entries)
	s.slab.shrink()
	s.generation++
}
