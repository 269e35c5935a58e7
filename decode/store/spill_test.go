// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"h2sniff/capture"
	"h2sniff/decode"
)

// memFile is a file in memory, with the faults that a disk can have.
type memFile struct {
	mu    sync.Mutex
	b     []byte
	room  int64 // beyond it there is ENOSPC
	write error
	read  error
	slow  chan struct{} // where set, a write waits for it
}

func (f *memFile) WriteAt(p []byte, at int64) (int, error) {
	if f.slow != nil {
		<-f.slow
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.write != nil:
		return 0, f.write
	case f.room > 0 && at+int64(len(p)) > f.room:
		return 0, unix.ENOSPC
	}
	if need := int(at) + len(p); need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	return copy(f.b[at:], p), nil
}

func (f *memFile) ReadAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.read != nil {
		return 0, f.read
	}
	if int(at)+len(p) > len(f.b) {
		return 0, fmt.Errorf("octets %d to %d of %d", at, int(at)+len(p), len(f.b))
	}
	return copy(p, f.b[at:]), nil
}

func (f *memFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.b = f.b[:min(len(f.b), int(size))]
	return nil
}

func (f *memFile) Close() error { return nil }

// spilling gives a store a file.
func spilling(s *Store, limit int64) *memFile {
	f := &memFile{}
	s.spill, s.shares = &Spill{file: f, limit: limit}, usualShares
	s.spillWake, s.spillDone = make(chan struct{}, 1), make(chan struct{}, 1)
	s.images.limit = int64(2 * s.segBytes)
	return f
}

// drain does what RunSpill would do by now.
func drain(s *Store) {
	for s.spillStep(context.Background()) {
	}
}

// Rows in the file are what they were in memory, in every view, and their
// ordinals stay, while segments are written, archived and evicted.
func TestSpilledViewsEqualAFilter(t *testing.T) {
	spilled, evicted, archived := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]int{1000, 3000}).Draw(t, "segment")
		s := small(segment, 0)
		budget := 6000 + int64(segment)*rapid.Int64Range(2, 6).Draw(t, "segments")
		spilling(s, budget+int64(segment)*rapid.Int64Range(1, 10).Draw(t, "file"))
		if rapid.Bool().Draw(t, "nothing cached") {
			s.images.limit = 1
		}
		// Here tables and summaries take more than the rows.
		s.shares = shares{spill: 0, summary: 100, index: 100}
		if rapid.Bool().Draw(t, "archive") {
			s.shares.summary = 0
		}
		s.limit = 1 << 30
		m := naive{ordinal: make(map[View]map[uint64]uint64)}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(40, 150).Draw(t, "rows") {
				row := genRow(t)
				if len(m.rows) == 0 {
					row = frame(1, 1, http2.FrameData, 0, "")
				}
				m.rows = append(m.rows, *row)
				s.Append(row)
				for range 2 { // whatever tables and summaries take, before and after
					s.limit = s.used() - s.segHeld + budget
					drain(s)
				}
			}
			m.check(t, s)
		}
		if s.spillErr != nil || s.readErr.Load() != nil {
			t.Fatalf("%v, %v", s.spillErr, s.readErr.Load())
		}
		snap := s.Snapshot()
		if snap.NotKept > 0 {
			t.Fatalf("%d rows were not kept", snap.NotKept)
		}
		if s.inFile > 0 {
			spilled++
		}
		if snap.Evicted > 0 {
			evicted++
		}
		if s.archiveEnded > 0 {
			archived++
		}
	})
	t.Logf("of all runs %d spilled, %d evicted, %d archived", spilled, evicted, archived)
	if spilled == 0 || evicted == 0 {
		t.Error("too little was spilled or evicted")
	}
}

// A file that fails at writing leaves what is in memory, and says so.
func TestSpillFailsToWrite(t *testing.T) {
	s := small(2000, 10)
	f := spilling(s, 1<<20)
	add := func(n int) {
		for range n {
			appendRPC(s, 1, 1, 0)
			drain(s)
		}
	}
	add(2000)
	if s.inFile == 0 || s.Snapshot().SpillUsed == 0 {
		t.Fatalf("nothing is in the file: %+v", s.Snapshot())
	}
	f.write = unix.EIO
	add(200)
	snap := s.Snapshot()
	if !errors.Is(snap.SpillErr, unix.EIO) || snap.SpillUsed != 0 || s.inFile != 0 || s.fileHeld != 0 {
		t.Fatalf("%+v", snap)
	}
	add(1000)
	first, end := s.Span(View{})
	if rows := s.Rows(View{}, first, int(end-first)); uint64(len(rows)) != end-first || len(rows) == 0 || rows[0].GapReason != 0 {
		t.Errorf("%d rows from %d to %d", len(rows), first, end)
	}
	if s.used() > s.limit {
		t.Errorf("%d bytes are used, %d is the limit", s.used(), s.limit)
	}
}

// A full disk makes the file as large as it could get; the history goes on in
// it.
func TestSpillDiskFull(t *testing.T) {
	s := small(2000, 10)
	f := spilling(s, 1<<30)
	f.room = s.limit * 2
	for i := range 20_000 {
		appendRPC(s, 1, uint32(i/100), 0)
		drain(s)
	}
	snap := s.Snapshot()
	if !snap.SpillFull || snap.SpillErr != nil || snap.SpillLimit > f.room || snap.SpillUsed < f.room/2 || snap.Evicted == 0 || snap.NotKept != 0 {
		t.Errorf("%+v", snap)
	}
	if first, end := s.Span(View{}); len(s.Rows(View{}, first, 100)) != 100 || end != 140_000 {
		t.Errorf("%d to %d", first, end)
	}

	// One that is full before it is of use is not used.
	s = small(2000, 10)
	f = spilling(s, 1<<30)
	f.room = 4000
	for range 4000 {
		appendRPC(s, 1, 1, 0)
		drain(s)
	}
	if snap := s.Snapshot(); !errors.Is(snap.SpillErr, unix.ENOSPC) || snap.Rows-snap.Evicted == 0 {
		t.Errorf("%+v", snap)
	}
}

// Where the memory is full of what the file needs of it, and RunSpill has not
// evicted anything in time, a few of the oldest segments leave, never all, and what
// they kept alive leaves too.
func TestSpillIndexFull(t *testing.T) {
	s := small(2000, 4)
	spilling(s, 1<<30)
	s.shares = shares{spill: 0, summary: 100, index: 100}
	s.images.limit, s.limit = 0, 600<<10
	oldest, times := uint64(0), 0
	for i := range 20_000 {
		s.Append(frame(1, uint32(2*i+1), http2.FrameData, 0, "x"))
		if s.used() > s.limit {
			t.Fatalf("%d bytes are used, %d is the limit", s.used(), s.limit)
		}
		if i < 3000 || i%4 == 0 {
			drain(s)
		}
		if gone := s.Snapshot().Evicted - oldest; gone > 0 {
			if held := s.last - oldest; gone > held/2 {
				t.Fatalf("%d of %d rows left at once", gone, held)
			}
			oldest += gone
			times++
		}
	}
	held := s.Snapshot().Rows - oldest
	if times < 20 || held < 300 {
		t.Errorf("rows were evicted %d times, %d are held", times, held)
	}
	drain(s)
	if len(s.leaving) > 0 {
		t.Errorf("%d segments are not forgotten", len(s.leaving))
	}
	if n := s.NumStreams(1); uint64(n) > held {
		t.Errorf("%d streams of %d rows", n, held)
	}
	first, end := s.Span(View{})
	rows := s.Rows(View{}, first, int(end-first))
	if uint64(len(rows)) != held {
		t.Errorf("%d rows of %d", len(rows), held)
	}
	for i := range rows {
		if rows[i].Kind != decode.RowFrame && rows[i].GapReason != decode.GapNotKept || rows[i].Seq != first+1+uint64(i) {
			t.Fatalf("row %d: %+v", first+1+uint64(i), rows[i])
		}
	}
}

// The summaries of streams that never end are given up before any row is.
func TestSpillKeepsRowsRatherThanSummaries(t *testing.T) {
	const rows = 60_000
	p, err := OpenSpill(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := New(Options{History: 2 << 20, Spill: p})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.RunSpill(ctx) }()
	for i := range rows {
		s.Append(frame(1, uint32(2*(i/3)+1), http2.FrameData, 0, "x"))
		s.AwaitSpill(ctx)
	}
	cancel()
	<-ended
	snap := s.Snapshot()
	if snap.Evicted > 0 || snap.NotKept > 0 || snap.SpillErr != nil {
		t.Errorf("%+v", snap)
	}
	for _, stream := range []uint32{1, rows/6*2 - 1, rows/3*2 - 1} {
		v := View{Conn: 1, Stream: stream, HasStream: true}
		first, end := s.Span(v)
		if got := s.Rows(v, first, 10); first != 0 || end != 3 || len(got) != 3 || got[0].Seq != uint64(stream/2)*3+1 {
			t.Errorf("stream %d: %d to %d, %+v", stream, first, end, got)
		}
	}
}

// What a stream was about stays in its summary while its rows are in the file.
func TestSpillKeepsWhatStreamsWereAbout(t *testing.T) {
	s := small(2000, 10)
	spilling(s, 1<<20)
	s.Append(frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":method", "POST", ":path", "/a"))
	s.Append(recv(frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":status", "200", "grpc-status", "5")))
	for s.inFile == 0 {
		s.Append(frame(1, 3, http2.FrameData, 0, "x"))
		drain(s)
	}
	got, ok := s.Stream(1, 1)
	if code, known := got.GRPCStatus.Code(); !ok || got.Path != "/a" || got.Status != "200" || code != 5 || !known {
		t.Errorf("%+v", got)
	}
}

// What cannot be read back is told in its place: octets that changed, and an
// error of the disk.
func TestSpillFailsToRead(t *testing.T) {
	s := small(2000, 10)
	f := spilling(s, 1<<20)
	s.images.limit = 1
	for i := range 2000 {
		appendRPC(s, 1, uint32(1+i/300), 0)
		drain(s)
	}
	rows := func(v View) []Entry {
		first, end := s.Span(v)
		return s.Rows(v, first, int(end-first))
	}
	if whole := rows(View{}); whole[0].Kind != decode.RowFrame || s.readErr.Load() != nil {
		t.Fatalf("%+v", whole[0])
	}
	x := s.Select(View{}, Predicate{Match: func(r *Record) bool { return r.Type() == http2.FramePing && len(r.Payload()) == 8 }})
	g := s.segs[3]
	f.b[g.stored.at+5] ^= 1
	changed := rows(View{})
	for _, e := range changed {
		if bad := e.Seq >= g.first && e.Seq < g.first+uint64(g.n); bad != (e.GapReason == decode.GapNotKept) {
			t.Fatalf("row %d: %+v", e.Seq, e)
		}
	}
	if _, err := s.Frame(g.first); !errors.Is(err, ErrNotKept) {
		t.Errorf("error %v", err)
	}
	if err := s.Snapshot().SpillErr; err == nil || !strings.Contains(err.Error(), "not what was written") {
		t.Errorf("error %v", err)
	}
	if !x.Advance(context.Background(), time.Hour) {
		t.Fatal("an hour was not enough")
	}
	if p := x.Progress(); p.Unread != uint64(g.n) || p.Matched == 0 {
		t.Errorf("%+v, %d rows cannot be read", p, g.n)
	}
	f.read = unix.EIO
	for _, e := range rows(View{})[:10] {
		if e.GapReason != decode.GapNotKept {
			t.Fatalf("row %d: %+v", e.Seq, e)
		}
	}
	rows(View{Conn: 1})
	s.TableAt(1, capture.Send, s.last)
}

// A disk that is too slow costs rows, which are counted and have their place;
// it never holds up the writer.
func TestSpillTooSlow(t *testing.T) {
	s := small(2000, 10)
	f := spilling(s, 1<<20)
	f.slow = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); s.RunSpill(ctx) }()
	add := func(n int) {
		for i := range n {
			appendRPC(s, capture.ConnID(1+i%3), uint32(1+i%5), 0)
		}
	}
	add(3000)                         // nothing could be written: the oldest rows went for good
	for s.Snapshot().SpillUsed == 0 { // three writes a segment
		f.slow <- struct{}{}
	}
	deadline := time.Now().Add(2 * time.Minute)
	for s.Snapshot().NotKept == 0 && time.Now().Before(deadline) {
		add(50)
		select {
		case f.slow <- struct{}{}:
		default:
		}
	}
	if s.Snapshot().NotKept == 0 {
		t.Fatal("every row was kept")
	}
	first, end := s.Span(View{})
	kept, lost := uint64(0), uint64(0)
	rows := s.Rows(View{}, first, int(end-first))
	for i, e := range rows {
		if e.Seq != first+1+uint64(i) {
			t.Fatalf("row %d in place of %d", e.Seq, first+1+uint64(i))
		}
		if e.GapReason == decode.GapNotKept {
			lost++
		} else {
			kept++
		}
	}
	if lost != s.Snapshot().NotKept || kept == 0 {
		t.Errorf("%d rows are lost and %d are there, %d are told", lost, kept, s.Snapshot().NotKept)
	}
	for _, v := range []View{{Conn: 2}, {Stream: 3, HasStream: true}, {Conn: 1, Stream: 1, HasStream: true}} {
		first, end := s.Span(v)
		last := uint64(0)
		for _, e := range s.Rows(v, first, int(end-first)) {
			if e.Seq <= last || !v.has(&e.Row) {
				t.Fatalf("%+v: row %d after %d: %+v", v, e.Seq, last, e)
			}
			last = e.Seq
		}
	}
	cancel()
	close(f.slow)
	<-ended

	// What was lost stays counted when its place in the history leaves too.
	for s.Snapshot().Evicted < uint64(rows[len(rows)-1].Seq) {
		s.evictFile()
		add(100)
	}
	if got := s.Snapshot().NotKept; got < lost {
		t.Errorf("%d rows are told as not kept, of %d that were", got, lost)
	}
}

// Readers, a selection and the writer at the same time, over a real file.
func TestReadersWhileSpilling(t *testing.T) {
	s := small(4000, 6)
	p, err := OpenSpill(t.TempDir(), 600_000)
	if err != nil {
		t.Fatal(err)
	}
	spilling(s, 0)
	s.spill = p
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.RunSpill(ctx) })
	x := s.Select(View{}, byField("/odd"))
	wg.Go(func() {
		for ctx.Err() == nil {
			x.Advance(ctx, time.Millisecond)
		}
	})
	for _, v := range []View{{}, {Conn: 2}, {Stream: 3, HasStream: true}, {Conn: 1, Stream: 1, HasStream: true}, {Selection: x}} {
		wg.Go(func() {
			for i := uint64(0); ctx.Err() == nil; i++ {
				first, end := s.Span(v)
				last := uint64(0)
				for _, e := range s.Rows(v, first+(end-first)*(i%4)/4, 30) {
					if e.Seq <= last || string(e.Payload) != fmt.Sprint("row ", e.Seq) || len(e.Fields) != 1 {
						t.Errorf("%+v: row %d after %d: payload %q, fields %v, %v", v, e.Seq, last, e.Payload, e.Fields, e.GapReason)
						return
					}
					last = e.Seq
				}
				s.Find(v, last)
			}
		})
	}
	rows := 30_000
	if testing.Short() {
		rows = 10_000
	}
	for i := range rows {
		path := "/even"
		if i%7 == 0 {
			path = "/odd"
		}
		s.Append(frame(capture.ConnID(1+i%3), uint32(i%7), http2.FrameHeaders, 0, fmt.Sprint("row ", i+1), ":path", path))
		s.AwaitSpill(ctx)
	}
	cancel()
	wg.Wait()
	snap := s.Snapshot()
	if snap.SpillErr != nil || snap.NotKept != 0 || snap.Evicted == 0 || snap.SpillUsed == 0 {
		t.Errorf("%+v", snap)
	}
	if !x.Advance(context.Background(), time.Hour) {
		t.Fatal("an hour was not enough")
	}
	for seq := snap.Evicted + 1; seq <= snap.Rows; seq++ {
		if x.Has(seq) != (seq%7 == 1) {
			t.Fatalf("row %d is selected: %v", seq, x.Has(seq))
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Extents never overlap, are given back in order, and none goes beyond the
// limit.
func TestSpillPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Spill{limit: 100}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			size := rapid.Int64Range(1, 60).Draw(t, "size")
			at, ok := p.place(size)
			if !ok {
				if len(p.queue) == 0 {
					t.Fatalf("no room for %d in an empty file", size)
				}
				p.queue = p.queue[1:]
				continue
			}
			e := extent{at: at, size: size}
			if at+size > p.limit || slices.ContainsFunc(p.queue, func(o extent) bool { return at < o.at+o.size && o.at < at+size }) {
				t.Fatalf("%v is given beside %v", e, p.queue)
			}
			p.push(e)
			if rapid.IntRange(0, 5).Draw(t, "take back") == 0 {
				p.unpush()
			}
		}
	})
}

// The file has no name and no one else may open it.
func TestSpillFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	p, err := OpenSpill(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(p.file.(interface{ Fd() uintptr }).Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if st.Nlink != 0 || st.Mode&0o777 != 0o600 {
		t.Errorf("%d names, mode %o", st.Nlink, st.Mode)
	}
	if _, err := OpenSpill(dir+"/none", 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("error %v", err)
	}
}

// What is kept free for blocks of the file is not told as used.
func TestHistoryUsedWithFile(t *testing.T) {
	p, err := OpenSpill(t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	with, without := New(Options{History: 256 << 20, Spill: p}), New(Options{History: 256 << 20})
	for i := range 100 {
		for _, s := range []*Store{with, without} {
			s.Append(frame(1, uint32(i), http2.FrameData, 0, "some octets"))
		}
	}
	a, b := with.Snapshot().HistoryUsed, without.Snapshot().HistoryUsed
	if a > b+1<<20 || b > a+1<<20 { // the index of equal fields differs a little
		t.Errorf("the same rows take %d bytes with a file, %d without", a, b)
	}
}

// A panic leaves no lock behind, wherever it comes from: the goroutines beside it
// must be able to end.
func TestPanicGivesTheLockBack(t *testing.T) {
	for name, c := range map[string]struct{ poison, do func(s *Store) }{
		"looks for what is due": {func(s *Store) { s.inFile = len(s.segs) + 1 }, drain},
		"begins to forget":      {func(s *Store) { s.leaving = []*departure{nil} }, drain},
		"forgets what has left": {func(s *Store) { s.leaving = []*departure{{}} }, drain},
		"archives summaries":    {func(s *Store) { s.shares.summary, s.slab.chunks = 0, nil }, drain},
		"evicts from the file":  {func(s *Store) { s.shares.index, s.shares.rows, s.segs[0] = 0, 1, nil }, drain},
		"appends":               {func(s *Store) { s.conns = nil }, func(s *Store) { s.Append(frame(9, 1, http2.FrameData, 0, "")) }},
		"diagnoses":             {func(s *Store) { s.segs[0] = nil }, func(s *Store) { s.Diagnose(1, Finding{}) }},
		"looks for the span":    {func(s *Store) { s.segs[0] = nil }, func(s *Store) { s.Span(View{}) }},
		"reads a row":           {func(s *Store) { s.segs[0] = nil }, func(s *Store) { s.Frame(1) }},
		"reads rows":            {func(s *Store) { s.segs[0] = nil }, func(s *Store) { s.Rows(View{}, 0, 1) }},
		"finds a row":           {func(s *Store) { s.segs[0] = nil }, func(s *Store) { s.Find(View{}, 1) }},
	} {
		s := small(2000, 10)
		spilling(s, 1<<20)
		for s.inFile < 2 {
			appendRPC(s, 1, 1, 0)
			drain(s)
		}
		c.poison(s)
		func() {
			defer func() {
				if v := recover(); v == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			c.do(s)
		}()
		if !s.mu.TryLock() {
			t.Errorf("%s: the lock is held", name)
		}
	}
}
