// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// heap returns the bytes in use on the heap after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

type boundTraffic struct {
	name string
	add  func(s *Store, i int)
}

func boundTraffics() []boundTraffic {
	payload := bytes.Repeat([]byte("x"), 16<<10)
	return []boundTraffic{
		{"small frames", func(s *Store, i int) { appendRPC(s, capture.ConnID(1+i%50), uint32(1+2*(i/50)), i) }},
		{"large DATA", func(s *Store, i int) {
			row := frame(1, uint32(1+2*(i/10)), http2.FrameData, 0, "")
			row.Payload, row.Header.Length = payload, uint32(len(payload))
			s.Append(row)
		}},
		{"a stream a frame", func(s *Store, i int) {
			s.Append(frame(1, uint32(i)&(1<<31-1), http2.FrameRSTStream, 0, "\x00\x00\x00\x08"))
		}},
		{"a path a stream", func(s *Store, i int) {
			s.Append(frame(1, uint32(i)&(1<<31-1), http2.FrameHeaders, http2.FlagHeadersEndHeaders, "abc",
				":method", "GET", ":path", fmt.Sprint("/", i, strings.Repeat("p", i%200)), "x-request-id", fmt.Sprint(i)))
		}},
		{"a connection a frame, closed", func(s *Store, i int) {
			id := capture.ConnID(i + 1)
			s.Append(&decode.Row{Kind: decode.RowOpen, Conn: id, Info: &capture.ConnInfo{PID: 1, Comm: "nginx", Library: "libssl.so.3"}})
			s.Append(frame(id, 0, http2.FrameSettings, 0, ""))
			s.Append(&decode.Row{Kind: decode.RowClose, Conn: id, Time: 1})
		}},
		{"a connection a frame, never closed", func(s *Store, i int) {
			id := capture.ConnID(i + 1)
			s.Append(&decode.Row{Kind: decode.RowOpen, Conn: id, Info: &capture.ConnInfo{PID: 1, Comm: "nginx", Library: "libssl.so.3"}})
			s.SetConn(id, decode.HTTP2, capture.Server)
		}},
		{"promises only", func(s *Store, i int) {
			s.Append(frame(1, 1, http2.FramePushPromise, http2.FlagPushPromiseEndHeaders,
				string([]byte{byte(i >> 24 & 0x7f), byte(i >> 16), byte(i >> 8), byte(i)}), ":path", fmt.Sprint("/", i)))
		}},
		{"field sections of one large entry", func(s *Store, i int) {
			row := frame(1, uint32(2*i+1), http2.FrameHeaders, http2.FlagHeadersEndHeaders, "x")
			row.HasFields = true
			f := decode.Field{Name: "bomb", Value: strings.Repeat("b", 4000) + fmt.Sprint(i), NameKnown: true, ValueKnown: true}
			for range 4000 {
				row.Fields = append(row.Fields, f)
			}
			s.Append(row)
		}},
	}
}

// Each kind of traffic is appended until the history has been evicted three
// times over; then the heap must hold no more than the limit and a fifth, and
// what the store says that it uses must be near the truth.
func TestHeapStaysWithinTheLimit(t *testing.T) {
	const limit = 32 << 20
	for _, tt := range boundTraffics() {
		t.Run(tt.name, func(t *testing.T) {
			s := New(Options{History: limit})
			stayWithin(t, s, limit, 3, func(i int) { tt.add(s, i) })
		})
	}
}

// The same with a file, and nothing is lost between memory and file.
func TestHeapStaysWithinTheLimitWithSpill(t *testing.T) {
	const limit = 16 << 20
	all := boundTraffics()
	for _, tt := range all[:len(all)-1] { // the last takes long, and few rows
		t.Run(tt.name, func(t *testing.T) {
			p, err := OpenSpill(t.TempDir(), 3*limit)
			if err != nil {
				t.Fatal(err)
			}
			s := New(Options{History: limit, Spill: p})
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); s.RunSpill(ctx) }()
			stayWithin(t, s, limit, 0.2, func(i int) { tt.add(s, i); s.AwaitSpill(ctx) })
			if snap := s.Snapshot(); snap.NotKept > 0 || snap.SpillErr != nil || snap.SpillUsed == 0 {
				t.Errorf("%+v", snap)
			}
			cancel()
			<-ended
			p.Close()
		})
	}
}

// stayWithin appends until the history has been evicted some times over.
func stayWithin(t *testing.T, s *Store, limit int64, times float64, add func(i int)) {
	base := heap()
	grown := func() int64 {
		least := heap() - base
		for range 500 {
			if s.spill == nil || least <= limit*6/5 {
				break
			}
			// RunSpill is at work, and what it has just thrown away counts too.
			time.Sleep(20 * time.Millisecond)
			least = min(least, heap()-base)
		}
		return least
	}
	var most, mostUsed int64
	full := uint64(0) // rows that fill the history
	for i := 0; ; i++ {
		add(i)
		if i%64 != 0 {
			continue
		}
		snap := s.Snapshot()
		if snap.HistoryUsed > limit {
			t.Fatalf("says it uses %d of %d bytes after %d rows", snap.HistoryUsed, limit, snap.Rows)
		}
		mostUsed = max(mostUsed, snap.HistoryUsed)
		if full == 0 && snap.Evicted > 0 {
			full = snap.Rows
			most = max(most, grown())
		}
		if full > 0 && float64(snap.Evicted) > times*float64(full) {
			break
		}
	}
	most = max(most, grown())
	snap := s.Snapshot()
	t.Logf("rows %d, held %d, connections %d; says %.1f MiB, heap %.1f MiB of %d, file %.1f MiB",
		snap.Rows, snap.Rows-snap.Evicted, s.NumConns(), float64(mostUsed)/(1<<20), float64(most)/(1<<20), limit>>20, float64(snap.SpillUsed)/(1<<20))
	if most > limit*6/5 {
		t.Errorf("heap grew by %d bytes, limit %d", most, limit)
	}
	if mostUsed < limit*3/4 {
		t.Errorf("never used more than %d of %d bytes", mostUsed, limit)
	}
	runtime.KeepAlive(s)
}

// After a flood of streams has been evicted, its tables must not go on taking
// the room of ordinary rows.
func TestFloodLeavesNothingBehind(t *testing.T) {
	s := New(Options{History: 8 << 20})
	for i := range 200_000 {
		s.Append(frame(1, uint32(i+1), http2.FrameHeaders, http2.FlagHeadersEndHeaders, "", ":path", fmt.Sprint("/", i)))
	}
	payload := bytes.Repeat([]byte("x"), 1000)
	row := frame(2, 1, http2.FrameData, 0, "")
	row.Payload, row.Header.Length = payload, 1000
	for range 50_000 {
		s.Append(row)
	}
	if n := s.NumStreams(1); n != 0 {
		t.Errorf("%d streams of the flood are left", n)
	}
	if held := s.Snapshot(); held.Rows-held.Evicted < 7000 {
		t.Errorf("only %d rows of 1,040 bytes held in 8 MiB", held.Rows-held.Evicted)
	}
	if b := s.streams.bytes() + s.ids.bytes() + s.slab.bytes() + s.pool.bytes(); b > 256<<10 {
		t.Errorf("tables still take %d bytes", b)
	}
}

func TestRowLargerThanASegment(t *testing.T) {
	s := New(Options{History: 64 << 20}) // segments of 256 KiB
	large := bytes.Repeat([]byte("0123456789abcdef"), 10<<16)
	s.Append(frame(1, 1, http2.FrameData, 0, "before"))
	for _, n := range []int{1 << 20, 10 << 20, len(large)} {
		row := frame(1, 1, http2.FrameData, 0, "")
		row.Payload, row.Header.Length = large[:n], uint32(n)
		e, err := s.Frame(s.Append(row))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(e.Payload, large[:n]) {
			t.Errorf("payload of %d octets came back as %d", n, len(e.Payload))
		}
		s.Append(frame(1, 1, http2.FrameData, 0, "after"))
	}
	if rows := s.Rows(View{Conn: 1, Stream: 1, HasStream: true}, 0, 100); len(rows) != 7 {
		t.Errorf("%d rows, want 7", len(rows))
	}
}

func TestPayloadLargerThanTheHistory(t *testing.T) {
	s := New(Options{History: 4 << 20})
	row := frame(1, 1, http2.FrameData, 0, "")
	row.Payload = bytes.Repeat([]byte("x"), 16<<20-1)
	row.Header.Length = 16<<20 - 1
	for range 3 {
		e, err := s.Frame(s.Append(row))
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Payload) != 1<<20 || e.Header.Length != 16<<20-1 {
			t.Errorf("payload of %d octets, length %d; want a quarter of the history kept", len(e.Payload), e.Header.Length)
		}
	}
	if snap := s.Snapshot(); snap.HistoryUsed > snap.HistoryLimit {
		t.Errorf("uses %d of %d bytes", snap.HistoryUsed, snap.HistoryLimit)
	}
}
