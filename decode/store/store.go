// SPDX-License-Identifier: Apache-2.0

// Package store is the ordered frame store: it keeps the newest rows of all
// connections within a bound of memory and answers for any window of any view
// of them without scanning.
//
// One goroutine writes ([Store.Append], [Store.SetConn], [Store.Diagnose]); any number of others
// read at the same time. Readers pull copies and cannot hold up the writer for
// longer than it takes to look up a few segments: rows are decoded outside the
// lock.
//
// # Inside
//
// Rows are encoded into segments, blocks of memory without pointers, which the
// garbage collector does not look into. Field lines are written once a segment
// and referred to by 4 octets. Each segment has a directory of the
// connections, the streams and the stream ids that have rows in it, and the
// rows of each are chained; so the indices are bounded and evicted together
// with the rows, a segment at a time. Connections and streams have summaries,
// which leave after their last row: a few with each row that comes.
//
// With a [Spill], segments are written into a file by [Store.RunSpill] while
// there is still memory for them. What leaves memory then is the block and the
// directory; hashes of the directory's keys stay, and readers fetch the rest from
// the file, which they check, without any lock. The writer never waits for the
// file: a segment that is not in it when its memory is needed is lost, which is
// counted, and its rows are told as not kept. The oldest segments are evicted from
// the file when that is full, or when what is beside the rows in memory (hashes,
// ordinals) is too much; summaries of old streams leave before.
package store

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"

	"h2sniff/capture"
	"h2sniff/decode"
)

const (
	// DefaultHistory is the bound on memory where Options gives none.
	DefaultHistory = 256 << 20
	// MinHistory is the smallest bound; a lower one is raised to it.
	MinHistory = 1 << 20
)

var noAddr netip.AddrPort

var errSmallSpill = errors.New("there is no room for a file that is larger than the memory for the history")

// Options of a Store.
type Options struct {
	// History bounds the memory of all that the store holds, in bytes: rows,
	// indices, summaries. 0 means DefaultHistory. Only when the newest row
	// alone needs more is it exceeded, by that row's decoded fields.
	History int64
	// Spill, where set, takes rows for which there is no memory; the caller runs
	// RunSpill, and closes it when no one reads any more.
	Spill *Spill
}

// Store is the ordered frame store. Use New.
type Store struct {
	limit    int64
	segBytes int // of an ordinary block
	changed  chan struct{}

	mu       sync.RWMutex
	segs     []*segment // oldest first; the last is open. Never empty.
	idle     idle       // to be used again
	leaving  []*departure
	segHeld  int64  // bytes of all segments but the open one, of idle, and of what leaving holds
	last     uint64 // Seq of the newest row
	h        hasher
	fields   fieldIndex // of the open segment
	places   []uint32   // scratch
	conns    map[capture.ConnID]*connState
	ends     *Ends
	connList []*connState // by id
	lastConn *connState
	goneConn capture.ConnID // the highest that has left

	connBytes int64
	connsEver int
	streams   table // stream key → place in slab
	slab      slab
	pool      stringPool
	ids       table    // stream id → the newest segment with a frame of it, if that is in memory
	past      ordinals // by stream key: streams in the file that have no summary
	pastIDs   ordinals // by stream id: those whose newest segment is in the file
	goneID    uint32   // the highest stream id of which nothing is known any more
	idsGone   bool     // there is one

	frames, octets, lost, errors uint64
	generation                   uint64

	spill        *Spill
	shares       shares
	inFile       int // segs[:inFile] are not in memory
	spillWake    chan struct{}
	spillDone    chan struct{}
	spillErr     error  // why the file is not used any more
	spillFull    bool   // the disk gave no more
	archiveEnded uint32 // the first segment whose streams that have ended were not archived
	archiveAll   uint32 // the first segment of which not all streams were archived
	notKept      uint64 // rows of lost segments, ever
	fileBytes    int64  // of segments in the file
	fileHeld     int64  // what they cost in memory
	images       imageCache
	readErr      atomic.Pointer[error]

	findings  FindingCounts
	findBytes int64  // of those kept
	findNum   uint64 // kept ever

	firstTime int64 // of the first row ever
	lastTime  int64 // the greatest of any row ever
}

// New returns an empty store.
func New(o Options) *Store {
	if o.History == 0 {
		o.History = DefaultHistory
	}
	s := &Store{
		limit:   max(o.History, MinHistory),
		changed: make(chan struct{}, 1),
		h:       newHasher(),
		conns:   make(map[capture.ConnID]*connState),
	}
	s.ends = NewEnds(func(id, peer capture.ConnID) {
		if c := s.conns[id]; c != nil {
			c.Peer = peer
		}
	})
	// Small enough that what one keeps alive is a small part of all.
	s.segBytes = int(min(max(s.limit/256, 32<<10), 4<<20))
	s.streams.h, s.ids.h = s.h, s.h
	s.past.setHasher(s.h)
	s.pastIDs.setHasher(s.h)
	s.fields.seed = maphash.MakeSeed()
	if o.Spill != nil {
		s.spill, s.shares = o.Spill, usualShares
		s.spillWake, s.spillDone = make(chan struct{}, 1), make(chan struct{}, 1)
		s.images.limit = max(s.limit/32, int64(2*s.segBytes))
		if s.spill.limit < s.limit {
			s.spillErr = errSmallSpill
		}
	}
	s.open(s.segBytes)
	return s
}

// Changed returns a channel that receives after something was appended or
// changed since the last receive. It says only that there is more; one reader
// may use it.
func (s *Store) Changed() <-chan struct{} { return s.changed }

func (s *Store) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// locked runs f with the lock held, shared the same for f that only reads. Everything
// that takes the lock gives it back where it panics: the goroutines beside it must be
// able to end.
func (s *Store) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *Store) shared(f func()) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f()
}

// Append stores a copy of row as the newest one and returns its Seq. Only the
// writer may call it. Of a payload too large for the history the end is left
// out, as Row.Payload allows.
func (s *Store) Append(row *decode.Row) (seq uint64) {
	s.locked(func() { seq = s.append(row) })
	s.notify()
	return seq
}

// SetConn says what a connection speaks and which part the process plays in
// it, when that became known or changed. Only the writer may call it.
func (s *Store) SetConn(id capture.ConnID, p decode.Protocol, r capture.Role) {
	s.locked(func() {
		c := s.conn(id)
		c.Protocol, c.Role = p, r
		s.generation++
	})
	s.notify()
}

func (s *Store) append(row *decode.Row) uint64 {
	if limit := int(s.limit / 4); len(row.Payload) > limit {
		cut := *row
		cut.Payload = row.Payload[:limit]
		row = &cut
	}
	need := bound(row)
	g := s.segs[len(s.segs)-1]
	if need > g.room() || g.n == maxRows || len(g.dir.entries)*dirEntrySize > s.segBytes {
		g = s.roll(row, need)
	}
	if s.last == 0 {
		s.firstTime = row.Time
	}
	s.lastTime = max(s.lastTime, row.Time, row.TimeEnd)
	if g.n == 0 {
		g.time = row.Time
	}
	s.last++
	seq := s.last
	local := g.n

	c := s.conn(row.Conn)
	began, promised := c.blocks.Row(row, seq)
	before := g.used
	s.write(g, row, local, seq, began)
	s.count(c, row, seq)
	s.index(g, c, row, local, seq, promised)
	g.n++

	s.generation++
	s.goOn(g.used - before + recSize)
	s.keepWithin()
	return seq
}

// write puts the row into g's block, which has room.
func (s *Store) write(g *segment, row *decode.Row, local int, seq, began uint64) {
	var extra byte
	if row.HasFields {
		extra |= recHasFields
	}
	if row.Err != nil {
		extra |= recHasErr
	}
	var back uint64
	switch began {
	case 0:
	case seq:
		extra |= recOwnBlock
	default:
		back = seq - began
	}
	places := s.places[:0]
	for i := range row.Fields {
		places = append(places, s.fields.place(g, &row.Fields[i]))
	}
	if cap(places) <= 4096 {
		s.places = places
	}
	at := g.used
	g.used = len(encode(g.block[:at], row, places, back))
	putRecord(record(g.block, local), row, at, extra)
}

// count takes the row into the counters of the store and its connection.
func (s *Store) count(c *connState, row *decode.Row, seq uint64) {
	if row.Kind == decode.RowOpen {
		s.connBytes -= c.bytes()
	}
	c.addRow(row)
	switch row.Kind {
	case decode.RowOpen:
		s.connBytes += c.bytes()
	case decode.RowBind:
		s.ends.Bind(c.ID, c.Local, c.Remote, c.Info.Container)
	case decode.RowClose:
		s.ends.Close(c.ID)
	case decode.RowFrame:
		s.frames++
		s.octets += frameOctets(row)
		if row.Err != nil {
			s.errors++
		}
	case decode.RowGap:
		if row.GapReason == decode.GapLost {
			s.lost += row.GapBytes
		}
	}
}

// index chains the row into the views that it belongs to.
func (s *Store) index(g *segment, c *connState, row *decode.Row, local int, seq uint64, promised uint32) {
	rec := record(g.block, local)
	if c.entry < 0 || c.seg != g.num {
		c.seg = g.num
		c.entry = int32(g.dir.add(dirEntry{key: connKey(c.ID), before: c.next}))
		c.last = 0
	}
	link(rec, chainConn, &g.dir.entries[c.entry], local)
	c.next++
	c.held++
	if row.Kind != decode.RowFrame {
		putLink(rec, chainStream, 0)
		putLink(rec, chainID, 0)
		return
	}
	id := row.Header.StreamID &^ (1 << 31)
	var n uint32
	var ent int
	if c.last != 0 && c.lastID == id {
		n, ent = c.last-1, int(c.lastEnt)
	} else {
		n, ent = s.streamEntry(g, c, id, seq)
		c.last, c.lastID, c.lastEnt = n+1, id, int32(ent)
	}
	link(rec, chainStream, &g.dir.entries[ent], local)
	link(rec, chainID, &g.dir.entries[g.dir.entries[ent].link], local)
	r := s.slab.at(n)
	r.next++
	r.addFrame(row)
	if !row.HasFields {
		return
	}
	if promised == 0 {
		r.addFields(row.Fields, r.ends(row.Direction), &s.pool)
		return
	}
	// The request that is promised belongs to the stream to come. That has
	// no row yet; an entry without rows lets it leave with this segment.
	n, _ = s.streamEntry(g, c, promised, seq)
	p := s.slab.at(n)
	if p.frames == 0 {
		p.first, p.last = row.Time, row.Time
	}
	p.addFields(row.Fields, false, &s.pool)
}

// streamEntry returns a stream's record and its entry in g's directory, and
// makes what is missing.
func (s *Store) streamEntry(g *segment, c *connState, id uint32, seq uint64) (n uint32, entry int) {
	key := streamKey(c.ID, id)
	if entry, ok := g.dir.find(key); ok {
		return g.dir.entries[entry].ref, entry
	}
	n = s.stream(c, id, seq)
	r := s.slab.at(n)
	r.lastSeg = g.num
	all, ok := g.dir.find(idKey(id))
	if !ok {
		all = g.dir.add(dirEntry{key: idKey(id), before: s.nextOfID(id, seq)})
		s.ids.put(uint64(id), uint64(g.num))
	}
	return n, g.dir.add(dirEntry{key: key, before: r.next, ref: n, link: uint32(all)})
}

// nextOfID returns the ordinal of the next frame in the view of a stream id.
func (s *Store) nextOfID(id uint32, seq uint64) uint64 {
	if num, ok := s.ids.get(uint64(id)); ok {
		dir := s.directoryOf(uint32(num))
		if n, ok := dir.find(idKey(id)); ok {
			return dir.entries[n].before + uint64(dir.entries[n].count)
		}
	}
	if next, ok := s.pastIDs.get(uint64(id)); ok {
		s.pastIDs.del(uint64(id))
		return next
	}
	if s.idsGone && id <= s.goneID {
		return seq - 1 // see Span: ordinals never go back
	}
	return 0
}

func link(rec []byte, offset int, e *dirEntry, local int) {
	prev := uint16(0)
	if e.count > 0 {
		prev = e.tail + 1
	}
	putLink(rec, offset, prev)
	e.tail = uint16(local)
	e.count++
}

func putLink(rec []byte, offset int, v uint16) {
	rec[offset], rec[offset+1] = byte(v), byte(v>>8)
}
