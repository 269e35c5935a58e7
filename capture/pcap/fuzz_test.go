// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"h2sniff/capture"
)

// FuzzReader: whatever the octets are, reading ends without a panic and with an
// error that the package documents; positions never go backwards, and nothing
// is kept at the end.
func FuzzReader(f *testing.F) {
	w := newWire()
	p := append(w.handshake(), w.data(fromClient, 0, 0, "abc"), w.data(fromServer, 4, 3, "efg"), w.data(fromClient, 6, 0, "ghi"),
		w.data(fromServer, 0, 9, "abcd"), w.seg(fromClient, flagFIN, 9, 7, ""), w.seg(fromServer, flagFIN, 7, 10, ""))
	seeds := [][]byte{
		file(binary.LittleEndian, linkRaw, p...),
		file(binary.BigEndian, linkEthernet, in("020000000001 020000000002 8100 0064 0800", p)...),
	}
	ng := &ngFile{order: binary.LittleEndian}
	ng.section()
	ng.iface(linkRaw, ng.option(optTimeResolution, 9)...)
	for _, s := range p {
		ng.packet(0, uint64(s.time), s.packet)
	}
	seeds = append(seeds, ng.b)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, seed := range seeds {
		f.Add(seed)
		for range 10 {
			broken := bytes.Clone(seed)
			for range 4 {
				broken[rng.IntN(len(broken))] ^= byte(1 << rng.IntN(8))
			}
			f.Add(broken)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, events, err := readFile(t, b)
		known := false
		for _, e := range []error{io.EOF, ErrNotCapture, ErrTruncated, ErrDamaged, ErrLinkType} {
			known = known || errors.Is(err, e)
		}
		if !known {
			t.Fatalf("undocumented error %v", err)
		}
		next := make(map[capture.ConnID]*[2]uint64)
		for _, ev := range events {
			at := next[ev.Conn]
			switch {
			case ev.Kind == capture.Open && at == nil && ev.Info != nil:
				next[ev.Conn] = new([2]uint64)
			case at == nil:
				t.Fatalf("%v of connection %v, which is not open", ev.Kind, ev.Conn)
			case ev.Kind == capture.Close:
				delete(next, ev.Conn)
			case ev.Kind == capture.Bind && ev.Binding != nil && ev.Binding.Local.IsValid():
			case ev.Kind == capture.Data || ev.Kind == capture.Lost:
				if ev.Offset != at[ev.Direction] || ev.Length == 0 || uint64(len(ev.Data)) > ev.Length {
					t.Fatalf("%d octets of %d at %d, expected at %d", len(ev.Data), ev.Length, ev.Offset, at[ev.Direction])
				}
				at[ev.Direction] += ev.Length
			default:
				t.Fatalf("%+v", ev)
			}
		}
		if r != nil && (r.octets != 0 || len(r.holes) != 0) {
			t.Fatalf("%d octets held by %d connections", r.octets, len(r.holes))
		}
	})
}
