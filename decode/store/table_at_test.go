// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"h2sniff/capture"
	"h2sniff/decode"
)

func genEncoding(t *rapid.T) decode.Encoding {
	return decode.NewEncoding(
		decode.Form(rapid.IntRange(0, 4).Draw(t, "form")),
		rapid.SampledFrom([]uint32{0, 1, 61, 62, 126, 127, 254, 255, 1 << 14, math.MaxUint32}).Draw(t, "index"),
		rapid.Bool().Draw(t, "nameHuffman"), rapid.Bool().Draw(t, "valueHuffman"),
		rapid.SampledFrom([]int{0, 1, 2, 3, 127, 128, 1<<24 - 1}).Draw(t, "octets"))
}

func genTable(t *rapid.T) *decode.TableState {
	return &decode.TableState{
		Epoch: rapid.Uint32().Draw(t, "epoch"), Inserted: rapid.Int64Min(0).Draw(t, "inserted"),
		Held: rapid.IntMin(0).Draw(t, "held"), Added: rapid.IntMin(0).Draw(t, "added"), Evicted: rapid.IntMin(0).Draw(t, "evicted"),
		Size: rapid.Uint64().Draw(t, "size"), Max: rapid.Uint64().Draw(t, "max"),
		MaxAssumed: rapid.Bool().Draw(t, "assumed"), Complete: rapid.Bool().Draw(t, "complete"),
		Trust: decode.Trust(rapid.IntRange(0, 2).Draw(t, "trust")),
	}
}

// TestEncodingSize: what an Encoding takes is what is reserved for it.
func TestEncodingSize(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEncoding(t)
		b := appendEncoding(nil, e)
		if len(b) != encodingSize(e) || len(b) > maxEncoding {
			t.Fatalf("%x takes %d octets, reckoned with %d, at most %d", e, len(b), encodingSize(e), maxEncoding)
		}
		if n := len(appendTable(nil, genTable(t))); n > maxTableState {
			t.Fatalf("a table takes %d octets", n)
		}
	})
}

// modelTable is a dynamic table as x/net's encoder has it.
type modelTable struct {
	entries []hpack.HeaderField // newest first
	at      []int64
	n       int64
	max     uint32
}

func (m *modelTable) setMax(max uint32) { m.max = max; m.evict(0) }

func (m *modelTable) evict(room uint32) {
	for {
		size := room
		for _, f := range m.entries {
			size += f.Size()
		}
		if size <= m.max || len(m.entries) == 0 {
			return
		}
		m.entries, m.at = m.entries[:len(m.entries)-1], m.at[:len(m.at)-1]
	}
}

// field does what the encoder does with a field that the static table lacks.
func (m *modelTable) field(f hpack.HeaderField) {
	for _, e := range m.entries {
		if e == f {
			return
		}
	}
	if f.Sensitive || f.Size() > m.max {
		return
	}
	m.evict(f.Size())
	m.n++
	m.entries = append([]hpack.HeaderField{f}, m.entries...)
	m.at = append([]int64{m.n}, m.at...)
}

func (m *modelTable) String() string {
	var b bytes.Buffer
	for i, f := range m.entries {
		fmt.Fprintf(&b, "%d %s: %s\n", m.at[i], f.Name, f.Value)
	}
	return b.String()
}

// TestTableAt: the table as of every row of a connection is what its encoder
// had then, and of rows that have been evicted nothing is made up.
func TestTableAt(t *testing.T) {
	for _, c := range []struct {
		name    string
		segment int
		limit   int64
	}{{"all held", 1 << 20, 1 << 30}, {"many segments", 2000, 1 << 30}, {"evicted", 2000, 60 << 10}} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			s := small(c.segment, 0)
			s.limit = c.limit
			conn := decode.NewConn(1)
			feed := func(ev capture.Event) { conn.Feed(&ev, func(r *decode.Row) { s.Append(r) }) }
			var block, wire bytes.Buffer
			var pos uint64
			write := func() {
				feed(capture.Event{Kind: capture.Data, Conn: 1, Offset: pos, Length: uint64(wire.Len()), Data: wire.Bytes()})
				pos += uint64(wire.Len())
				wire.Reset()
			}
			enc, fr := hpack.NewEncoder(&block), http2.NewFramer(&wire, nil)
			model := modelTable{max: 4096}
			feed(capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}})
			wire.WriteString(http2.ClientPreface)
			if err := fr.WriteSettings(); err != nil {
				t.Fatal(err)
			}
			write()
			want := map[uint64]string{s.Snapshot().Rows: ""}
			for i := range 400 {
				block.Reset()
				if i%50 == 20 {
					max := []uint32{0, 100, 500, 4096}[rng.IntN(4)]
					enc.SetMaxDynamicTableSize(max)
					model.setMax(max)
				}
				for range rng.IntN(5) {
					f := hpack.HeaderField{Name: fmt.Sprint("x-", rng.IntN(9)), Value: fmt.Sprint(rng.IntN(200)), Sensitive: rng.IntN(9) == 0}
					if err := enc.WriteField(f); err != nil {
						t.Fatal(err)
					}
					model.field(f)
				}
				frag := block.Bytes()
				cut := rng.IntN(len(frag) + 1)
				if rng.IntN(3) > 0 {
					cut = len(frag)
				}
				p := http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: frag[:cut], EndHeaders: cut == len(frag)}
				if err := fr.WriteHeaders(p); err != nil {
					t.Fatal(err)
				}
				write()
				if cut < len(frag) {
					want[s.Snapshot().Rows] = want[s.Snapshot().Rows-1]
					if err := fr.WriteContinuation(p.StreamID, true, frag[cut:]); err != nil {
						t.Fatal(err)
					}
					write()
				}
				want[s.Snapshot().Rows] = model.String()
				if err := fr.WritePing(false, [8]byte{}); err != nil {
					t.Fatal(err)
				}
				write()
				want[s.Snapshot().Rows] = model.String()
			}
			snap := s.Snapshot()
			if (snap.Evicted > 0) != (c.name == "evicted") || snap.Errors > 0 {
				t.Fatalf("%+v", snap)
			}
			checked, partial := 0, 0
			for seq := snap.Evicted + 1; seq <= snap.Rows; seq++ {
				got, ok := s.TableAt(1, capture.Send, seq)
				if !ok {
					if want[seq] != "" && snap.Evicted == 0 {
						t.Fatalf("row %d: no table", seq)
					}
					continue
				}
				var b bytes.Buffer
				for _, e := range got.Entries {
					fmt.Fprintf(&b, "%d %s: %s\n", e.Inserted, e.Name, e.Value)
					if row, err := s.Frame(e.Seq); err != nil || !row.HasFields {
						t.Fatalf("entry %+v was inserted by %+v, %v", e, row, err)
					}
				}
				w := want[seq]
				if len(got.Entries) < got.Held {
					partial++
					w = w[:min(len(w), b.Len())]
				}
				if b.String() != w {
					t.Fatalf("row %d:\n%s\nwant\n%s", seq, b.String(), w)
				}
				size := uint64(0)
				for _, e := range got.Entries {
					size += e.TableSize()
				}
				if !got.Complete || got.Seq > seq || size != got.Size && len(got.Entries) == got.Held {
					t.Fatalf("row %d: %+v, the entries have %d octets", seq, got.TableState, size)
				}
				checked++
			}
			if checked < 50 || (partial > 0) != (snap.Evicted > 0) {
				t.Errorf("%d tables, %d of them not whole", checked, partial)
			}
			if _, ok := s.TableAt(1, capture.Recv, snap.Rows); ok {
				t.Error("a table of the other direction")
			}
			if _, ok := s.TableAt(2, capture.Send, snap.Rows); ok {
				t.Error("a table of another connection")
			}
		})
	}
}

// BenchmarkTableAt reads a table behind 100,000 frames that inserted nothing.
func BenchmarkTableAt(b *testing.B) {
	s := New(Options{})
	st := decode.TableState{Inserted: 1, Held: 1, Added: 1, Size: 34, Max: 4096, Complete: true}
	row := frame(1, 1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, "12345", "a", "b")
	row.Fields[0].Encoding = decode.NewEncoding(decode.FormIncremental, 0, false, false, 5)
	row.Table = &st
	s.Append(row)
	st.Added = 0
	for range 100_000 {
		s.Append(row)
	}
	last := s.Snapshot().Rows
	for b.Loop() {
		if t, ok := s.TableAt(1, capture.Send, last); !ok || len(t.Entries) != 1 {
			b.Fatalf("%+v", t)
		}
	}
}
