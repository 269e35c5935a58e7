// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http2"
	"pgregory.net/rapid"

	"h2sniff/capture"
	"h2sniff/decode"
)

var sameRow = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// genField draws from few values, as traffic does, so that interning is used.
func genField(t *rapid.T) decode.Field {
	text := rapid.SampledFrom([]string{"", ":method", ":path", ":status", "GET", "/", "/a/long/path?with=query",
		"200", "103", "x", "\xff\x00", ":authority", "example.org"})
	f := decode.Field{
		Name: text.Draw(t, "name"), Value: text.Draw(t, "value"),
		NameKnown:  rapid.Bool().Draw(t, "nameKnown"),
		ValueKnown: rapid.Bool().Draw(t, "valueKnown"),
		Sensitive:  rapid.Bool().Draw(t, "sensitive"),
		Trust:      decode.Trust(rapid.IntRange(0, 2).Draw(t, "trust")),
		Encoding:   genEncoding(t),
	}
	if f.Trust != decode.TrustExact {
		f.Unknown = rapid.Int64Range(-3, 3).Draw(t, "unknown")
		f.Epoch = rapid.Uint32Range(0, 2).Draw(t, "epoch")
	}
	return f
}

func genAddr(t *rapid.T) netip.AddrPort {
	return rapid.SampledFrom([]netip.AddrPort{
		{},
		netip.MustParseAddrPort("127.0.0.1:443"),
		netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"),
		netip.MustParseAddrPort("[fe80::1%eth0]:8443"),
	}).Draw(t, "addr")
}

func genRow(t *rapid.T) *decode.Row {
	row := &decode.Row{
		Kind: rapid.SampledFrom([]decode.RowKind{
			decode.RowBind, decode.RowPreface, decode.RowFrame, decode.RowGap, decode.RowProtocol,
		}).Draw(t, "kind"),
		Direction: capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction")),
		Conn:      capture.ConnID(rapid.IntRange(1, 4).Draw(t, "conn")),
		Role:      capture.Role(rapid.IntRange(0, 2).Draw(t, "role")),
		TID:       rapid.Uint32().Draw(t, "tid"),
		Time:      rapid.Int64().Draw(t, "time"),
	}
	row.TimeEnd = row.Time + rapid.SampledFrom([]int64{0, 1, 1e9, -5}).Draw(t, "took")
	switch row.Kind {
	case decode.RowBind:
		row.Binding = &capture.Binding{Local: genAddr(t), Remote: genAddr(t),
			Evidence: capture.Evidence(rapid.IntRange(1, 3).Draw(t, "evidence"))}
	case decode.RowProtocol:
		row.Protocol = decode.Protocol(rapid.IntRange(1, 4).Draw(t, "protocol"))
		row.OneWay = rapid.Bool().Draw(t, "one way")
	case decode.RowGap:
		row.GapBytes = rapid.Uint64().Draw(t, "gap")
		row.GapReason = decode.GapReason(rapid.IntRange(1, 3).Draw(t, "reason"))
	case decode.RowFrame:
		row.Header = decode.FrameHeader{
			Length:   rapid.SampledFrom([]uint32{0, 1, 4, 1000, 1<<24 - 1}).Draw(t, "length"),
			Type:     http2.FrameType(rapid.SampledFrom([]int{0, 1, 3, 5, 9, 0x2a, 255}).Draw(t, "type")),
			Flags:    http2.Flags(rapid.Uint8().Draw(t, "flags")),
			StreamID: rapid.SampledFrom([]uint32{0, 1, 2, 3, 5, 1<<31 - 1}).Draw(t, "stream"),
		}
		if row.Header.Length <= 1000 {
			row.Payload = make([]byte, rapid.IntRange(0, int(row.Header.Length)).Draw(t, "payload"))
			for i := range row.Payload {
				row.Payload[i] = byte(rand.Uint32())
			}
		}
		row.Missing = rapid.SampledFrom([]uint32{0, 0, 0, 17}).Draw(t, "missing")
		row.HasFields = rapid.Bool().Draw(t, "hasFields")
		if row.HasFields {
			row.Fields = rapid.SliceOfN(rapid.Custom(genField), 0, 6).Draw(t, "fields")
		}
		if rapid.Bool().Draw(t, "hasTable") {
			row.Table = genTable(t)
		}
		if rapid.IntRange(0, 9).Draw(t, "bad") == 0 {
			row.Err = &decode.FrameError{Code: http2.ErrCode(rapid.Uint32().Draw(t, "code")), Reason: "too short", Unfinished: rapid.Bool().Draw(t, "unfinished")}
		}
	}
	return row
}

// naive keeps every row and answers by scanning.
type naive struct {
	rows []decode.Row
	// ordinal of each row in each view, as the store gave it first
	ordinal map[View]map[uint64]uint64
}

func (v View) has(r *decode.Row) bool {
	return (v.Conn == 0 || v.Conn == r.Conn) &&
		(!v.HasStream || r.Kind == decode.RowFrame && r.Header.StreamID == v.Stream)
}

func views() []View {
	list := []View{{}}
	for _, stream := range []uint32{0, 1, 2, 3, 5, 1<<31 - 1, 77} {
		list = append(list, View{Stream: stream, HasStream: true})
	}
	for conn := range capture.ConnID(5) {
		list = append(list, View{Conn: conn + 1})
		for _, stream := range []uint32{0, 1, 3, 77} {
			list = append(list, View{Conn: conn + 1, Stream: stream, HasStream: true})
		}
	}
	return list
}

// check compares every view with a filter over all rows that are held.
func (m *naive) check(t *rapid.T, s *Store) {
	evicted := s.Snapshot().Evicted
	for _, v := range views() {
		var want []uint64
		for i := range m.rows {
			if uint64(i) >= evicted && v.has(&m.rows[i]) {
				want = append(want, uint64(i)+1)
			}
		}
		first, end := s.Span(v)
		if end-first != uint64(len(want)) {
			t.Fatalf("%+v: span [%d,%d), want %d rows", v, first, end, len(want))
		}
		rows := s.Rows(v, 0, len(m.rows)+1)
		if len(rows) != len(want) {
			t.Fatalf("%+v: %d rows, want %d", v, len(rows), len(want))
		}
		for i, e := range rows {
			if e.Seq != want[i] {
				t.Fatalf("%+v: row %d is %d, want %d", v, i, e.Seq, want[i])
			}
			if v != (View{}) { // the same bytes in any view
				if e.Time != m.rows[e.Seq-1].Time {
					t.Fatalf("%+v: row %d has another's time", v, e.Seq)
				}
			} else if diff := cmp.Diff(m.rows[e.Seq-1], e.Row, sameRow); diff != "" {
				t.Fatalf("row %d (-want +got)\n%s", e.Seq, diff)
			}
			ordinal := first + uint64(i)
			if got := s.Find(v, e.Seq); got != ordinal {
				t.Fatalf("%+v: Find(%d) = %d, want %d", v, e.Seq, got, ordinal)
			}
			if m.ordinal[v] == nil {
				m.ordinal[v] = make(map[uint64]uint64)
			}
			if was, ok := m.ordinal[v][e.Seq]; ok && was != ordinal {
				t.Fatalf("%+v: ordinal of %d was %d, is %d", v, e.Seq, was, ordinal)
			}
			m.ordinal[v][e.Seq] = ordinal
		}
		if len(want) == 0 {
			continue
		}
		// Ordinals of rows that have gone stay below.
		for seq, ordinal := range m.ordinal[v] {
			if seq < want[0] && ordinal >= first {
				t.Fatalf("%+v: ordinal %d of evicted row %d is used again", v, ordinal, seq)
			}
		}
		if got := s.Find(v, 0); got != first {
			t.Fatalf("%+v: Find(0) = %d, want %d", v, got, first)
		}
		if got := s.Find(v, want[len(want)-1]+1); got != end {
			t.Fatalf("%+v: Find beyond the last = %d, want %d", v, got, end)
		}
		at := len(want) / 2
		next := s.Find(v, want[at]+1)
		if next != first+uint64(at)+1 {
			t.Fatalf("%+v: Find(%d) = %d, want %d", v, want[at]+1, next, first+uint64(at)+1)
		}
		window := s.Rows(v, first+uint64(at), 3)
		if got, wantN := len(window), min(3, len(want)-at); got != wantN {
			t.Fatalf("%+v: window of %d rows, want %d", v, got, wantN)
		}
		for i, e := range window {
			if e.Seq != want[at+i] {
				t.Fatalf("%+v: window has row %d, want %d", v, e.Seq, want[at+i])
			}
		}
	}
}

// small returns a store whose segments hold few rows, so that little traffic
// fills and evicts many of them.
func small(segment int, segments int64) *Store {
	s := New(Options{})
	s.segBytes = segment
	s.limit = int64(segment)*segments + 128<<10 // beside tables and summaries
	s.segs = nil
	s.open(segment)
	return s
}

func TestViewsEqualAFilter(t *testing.T) {
	evictions := 0
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]int{600, 3000, 20000}).Draw(t, "segment")
		s := small(segment, 0)
		segments := rapid.IntRange(0, 8).Draw(t, "segments")
		m := naive{ordinal: make(map[View]map[uint64]uint64)}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for range rapid.IntRange(1, 40).Draw(t, "rows") {
				row := genRow(t)
				kept := *row
				if limit := int(s.limit / 4); len(kept.Payload) > limit {
					kept.Payload = kept.Payload[:limit]
				}
				kept.Payload = slices.Clone(kept.Payload)
				kept.Fields = slices.Clone(kept.Fields)
				m.rows = append(m.rows, kept)
				if seq := s.Append(row); seq != uint64(len(m.rows)) {
					t.Fatalf("Append gave %d, want %d", seq, len(m.rows))
				}
				if len(m.rows) == 1 { // tables and summaries have their room by now
					s.limit = s.used() + int64(segment*segments)
				}
				for i := range row.Payload { // the caller's to reuse
					row.Payload[i] = 0xaa
				}
				clear(row.Fields)
			}
			m.check(t, s)
		}
		if s.Snapshot().Evicted > 0 {
			evictions++
		}
	})
	if evictions == 0 {
		t.Error("nothing was evicted in any run")
	}
}

func TestFrame(t *testing.T) {
	s := small(600, 2)
	s.limit = 8 << 10
	if _, err := s.Frame(1); !errors.Is(err, ErrNotYet) {
		t.Errorf("Frame(1) of an empty store: %v, want ErrNotYet", err)
	}
	for i := range 200 {
		s.Append(frame(1, uint32(i), http2.FrameData, 0, fmt.Sprint("payload of ", i+1)))
	}
	evicted := s.Snapshot().Evicted
	if evicted == 0 {
		t.Fatal("nothing was evicted")
	}
	for _, seq := range []uint64{0, 1, evicted} {
		if _, err := s.Frame(seq); !errors.Is(err, ErrEvicted) {
			t.Errorf("Frame(%d): %v, want ErrEvicted", seq, err)
		}
	}
	for seq := evicted + 1; seq <= 200; seq++ {
		e, err := s.Frame(seq)
		if err != nil {
			t.Fatalf("Frame(%d): %v", seq, err)
		}
		if want := fmt.Sprint("payload of ", seq); string(e.Payload) != want || e.Seq != seq {
			t.Errorf("Frame(%d) is %d %q, want %q", seq, e.Seq, e.Payload, want)
		}
	}
	if _, err := s.Frame(201); !errors.Is(err, ErrNotYet) {
		t.Errorf("Frame(201): %v, want ErrNotYet", err)
	}
}

// frame makes a frame row that was sent.
func frame(conn capture.ConnID, stream uint32, typ http2.FrameType, flags http2.Flags, payload string, fields ...string) *decode.Row {
	row := &decode.Row{
		Kind: decode.RowFrame, Conn: conn, TID: 7, Time: 1e18, TimeEnd: 1e18,
		Header:  decode.FrameHeader{Length: uint32(len(payload)), Type: typ, Flags: flags, StreamID: stream},
		Payload: []byte(payload),
	}
	for i := 0; i < len(fields); i += 2 {
		row.Fields = append(row.Fields, decode.Field{Name: fields[i], Value: fields[i+1], NameKnown: true, ValueKnown: true})
	}
	row.HasFields = len(fields) > 0
	return row
}

func recv(row *decode.Row) *decode.Row {
	row.Direction = capture.Recv
	return row
}

func TestBlockSeq(t *testing.T) {
	const endHeaders = http2.FlagHeadersEndHeaders
	s := New(Options{})
	for _, tt := range []struct {
		row  *decode.Row
		want uint64
	}{
		1:  {frame(1, 1, http2.FrameHeaders, endHeaders, "", "a", "b"), 1},
		2:  {frame(1, 3, http2.FrameHeaders, 0, ""), 0},
		3:  {recv(frame(1, 1, http2.FrameHeaders, endHeaders, "", "c", "d")), 3}, // the other direction
		4:  {frame(2, 3, http2.FrameHeaders, endHeaders, ""), 4},                 // another connection
		5:  {frame(1, 3, http2.FrameContinuation, 0, ""), 0},
		6:  {frame(1, 3, http2.FrameContinuation, endHeaders, "", "a", "b"), 2},
		7:  {frame(1, 3, http2.FrameContinuation, endHeaders, ""), 0}, // continues nothing
		8:  {frame(1, 1, http2.FrameHeaders, 0, ""), 0},
		9:  {&decode.Row{Kind: decode.RowGap, Conn: 1, GapBytes: 5, GapReason: decode.GapLost}, 0},
		10: {frame(1, 1, http2.FrameContinuation, endHeaders, ""), 0},
		11: {frame(1, 1, http2.FramePushPromise, 0, "\x00\x00\x00\x02"), 0},
		12: {frame(1, 1, http2.FrameContinuation, endHeaders, "", ":path", "/pushed"), 11},
		13: {frame(1, 1, http2.FrameData, 0, "x"), 0},
	} {
		if tt.row == nil {
			continue
		}
		seq := s.Append(tt.row)
		e, err := s.Frame(seq)
		if err != nil {
			t.Fatal(err)
		}
		if e.BlockSeq != tt.want {
			t.Errorf("row %d: BlockSeq %d, want %d", seq, e.BlockSeq, tt.want)
		}
	}
	promised, ok := s.Stream(1, 2)
	if !ok || promised.Path != "/pushed" || promised.Frames != 0 || promised.FirstSeq != 12 {
		t.Errorf("promised stream: %+v, %v", promised, ok)
	}
}

func TestChanged(t *testing.T) {
	s := New(Options{})
	select {
	case <-s.Changed():
		t.Fatal("changed before anything was appended")
	default:
	}
	for range 3 {
		s.Append(frame(1, 1, http2.FrameData, 0, "x"))
	}
	<-s.Changed()
	select {
	case <-s.Changed():
		t.Fatal("says it twice")
	default:
	}
	before := s.Snapshot().Generation
	s.SetConn(1, decode.HTTP2, capture.Server)
	<-s.Changed()
	if after := s.Snapshot().Generation; after == before {
		t.Error("SetConn left the generation as it was")
	}
}
