// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"hash/crc32"
	"time"

	"golang.org/x/sys/unix"

	"h2sniff/capture"
)

// shares are the parts of the memory at which something is done about it.
// Segments are written while there is still memory for them, so that a disk that
// is slow for a while holds up nobody: only segments that are in the file by then
// leave memory without loss.
type shares struct {
	spill   float64 // of all that is held: segments are written
	summary float64 // of summaries of streams: those of old streams leave
	index   float64 // of all but segments in memory: more of them leave memory, with the summaries of their streams, and at last the oldest leave the file
	rows    float64 // of segments in memory: they go on to leave it for that reason
}

var usualShares = shares{spill: 0.5, summary: 0.5, index: 0.75, rows: 0.06}

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
// the file, where a row may need as much room as several of them have; or the
// file needs so much memory that some of it should have been evicted.
func (s *Store) spillBehind() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.spillErr != nil || float64(s.used()) < 0.6*float64(s.limit) {
		return false
	}
	next := min(s.inFile+(len(s.segs)-s.inFile)/2, len(s.segs)-2)
	unwritten := next >= s.inFile && s.segs[next].stored == nil
	crowded := s.inFile > 0 && float64(s.indexBytes()) > (s.shares.index+0.05)*float64(s.limit)
	if !unwritten && !crowded {
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

// due is something that RunSpill has to do.
type due struct {
	leaving bool     // forget what is leaving
	move    bool     // take a segment out of memory
	evict   bool     // evict the oldest one
	archive *segment // take summaries of its streams out of memory; pinned
	all     bool     // of all of them
	write   *segment // write it into the file; pinned
}

// due finds what is.
func (s *Store) due() (d due, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	share := func(n int64) float64 { return float64(n) / float64(s.limit) }
	summaries := share(s.streams.bytes() + s.slab.bytes() + s.pool.bytes())
	index := share(s.indexBytes())
	scarce := index > 0.9*s.shares.index
	pinned := func(g *segment) *segment {
		g.pins.Add(1)
		return g
	}
	oldest := func(next uint32) *segment { return pinned(s.segs[max(next, s.segs[0].num)-s.segs[0].num]) }
	switch {
	case len(s.leaving) > 0:
		return due{leaving: true}, true
	case s.spillErr != nil:
	case summaries > s.shares.summary && s.unarchived(s.archiveEnded):
		return due{archive: oldest(s.archiveEnded)}, true
	case scarce && summaries > s.shares.summary/4 && s.unarchived(s.archiveAll):
		return due{archive: oldest(s.archiveAll), all: true}, true
	case index > s.shares.index && share(s.segHeld) > s.shares.rows &&
		s.inFile < len(s.segs)-1 && s.segs[s.inFile].stored != nil:
		return due{move: true}, true
	case index > s.shares.index && s.inFile > 0:
		return due{evict: true}, true
	case share(s.used()) > s.shares.spill:
		for _, g := range s.segs[s.inFile : len(s.segs)-1] {
			if g.stored == nil {
				return due{write: pinned(g)}, true
			}
		}
	}
	return due{}, false
}

// spillStep does one thing that is due, and reports whether there was one.
func (s *Store) spillStep(ctx context.Context) bool {
	d, ok := s.due()
	switch {
	case !ok:
		return false
	case d.leaving:
		s.forgetLeaving()
	case d.move:
		s.locked(func() { s.moveOut() })
	case d.evict:
		s.evictFile()
	case d.archive != nil:
		s.archive(d.archive, d.all)
		d.archive.pins.Add(-1)
	case d.write != nil:
		s.writeOut(ctx, d.write)
		d.write.pins.Add(-1)
	}
	select {
	case s.spillDone <- struct{}{}:
	default:
	}
	return true
}

// writeOut writes a segment into the file. It is sealed and pinned.
func (s *Store) writeOut(ctx context.Context, g *segment) {
	var block []byte
	var dir directory
	s.shared(func() { block, dir = g.block, g.dir })
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
		s.forgetLeaving()
		p.reclaim()
		if ctx.Err() != nil || s.spillErr != nil { // which only this goroutine sets
			return
		}
		at, ok := p.place(size)
		if !ok {
			switch gone := p.queue[0].g.gone.Load(); {
			case gone: // a reader has it, which takes a moment
				time.Sleep(100 * time.Microsecond)
			case !s.evictFile() && s.spillErr == nil && !p.queue[0].g.gone.Load():
				s.locked(func() { s.failSpill(errSmallSpill) })
			}
			continue
		}
		st.at = at
		err := s.writeParts(st, front, records, list)
		if err == nil {
			break
		}
		if !s.fileFull(err, at+size) {
			s.locked(func() { s.failSpill(err) })
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
	s.locked(func() { p.limit, s.spillFull = p.high, true })
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
	some := false
	s.locked(func() {
		if some = s.inFile > 0; some {
			s.dropOldest()
		}
	})
	s.forgetLeaving()
	return some
}

// unarchived tells whether a segment in the file is not older than next.
func (s *Store) unarchived(next uint32) bool {
	return s.inFile > 0 && next <= s.segs[s.inFile-1].num
}

// archive takes the summaries of streams out of memory whose last frame is in
// g, of all of them or of those that have ended: only their place in their views
// stays.
func (s *Store) archive(g *segment, all bool) {
	var entries []dirEntry
	if g.stored != nil {
		entries, _ = s.readDirectory(g)
	}
	for ; len(entries) > 0; entries = entries[min(len(entries), forgetSome):] {
		s.archiveSome(g, entries[:min(len(entries), forgetSome)], all)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.archiveEnded = max(s.archiveEnded, g.num+1)
	if all {
		s.archiveAll = g.num + 1
	}
	s.slab.shrink()
	s.generation++
}

func (s *Store) archiveSome(g *segment, entries []dirEntry, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.gone.Load() {
		return
	}
	var touched []*connState
	for i := range entries {
		e := &entries[i]
		n, ok := s.streams.get(e.key)
		if !ok || !e.ofStream() {
			continue
		}
		r := s.slab.at(uint32(n))
		c := s.conns[capture.ConnID(r.conn)]
		if r.id == 0 || r.lastSeg != g.num || c == nil || !all && !r.ended() && c.Closed == 0 {
			continue
		}
		s.streams.del(e.key)
		s.past.put(e.key, r.next, g.num)
		r.dead = true
		c.gone = max(c.gone, r.id+1)
		if c.dead++; c.dead == 1 {
			touched = append(touched, c)
		}
	}
	for _, c := range touched {
		s.leave(c, g.first+uint64(g.n)-1)
	}
	for s.used() > s.limit && (s.dropIdle() || s.moveOut()) {
	}
}

// moveOut takes the oldest segment out of memory if the file has it, and reports
// whether it did.
func (s *Store) moveOut() bool {
	if s.inFile == len(s.segs)-1 || s.segs[s.inFile].stored == nil {
		return false
	}
	return s.makeRoom()
}
