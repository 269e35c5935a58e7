// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"testing"

	"h2sniff/capture"

	"pgregory.net/rapid"
)

func capturePort(w *wire, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(w.client.Addr(), port)
}

func newReader(t testing.TB, packets []sent) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file(binary.LittleEndian, linkRaw, packets...)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAnyOrder: however a connection's octets are cut, overlapped, repeated and
// moved by a few places, each is handed over once and at its place; where
// packets are missing, exactly their octets are lost.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWire()
		octets := [2][]byte{
			rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "client"),
			rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "server"),
		}
		var covered [2][]bool
		for side := range octets {
			covered[side] = make([]bool, len(octets[side]))
		}
		var packets []sent
		lose := rapid.Bool().Draw(rt, "lose")
		place := [2]int{}
		for place[0] < len(octets[0]) || place[1] < len(octets[1]) {
			side := rapid.IntRange(0, 1).Draw(rt, "side")
			if place[side] == len(octets[side]) {
				side = 1 - side
			}
			from := max(0, place[side]-rapid.IntRange(0, 5).Draw(rt, "overlap"))
			to := min(len(octets[side]), place[side]+rapid.IntRange(1, 40).Draw(rt, "octets"))
			place[side] = to
			p := w.data(side, int64(from), 0, string(octets[side][from:to]))
			if lose && rapid.IntRange(0, 5).Draw(rt, "lost") == 0 {
				continue
			}
			for i := from; i < to; i++ {
				covered[side][i] = true
			}
			packets = append(packets, p)
			if rapid.IntRange(0, 3).Draw(rt, "again") == 0 {
				packets = append(packets, p)
			}
		}
		for i := range packets {
			j := min(len(packets)-1, i+rapid.IntRange(0, 8).Draw(rt, "move"))
			packets[i], packets[j] = packets[j], packets[i]
		}
		r := newReader(t, append(w.handshake(), packets...))
		var got [2][]byte
		lost := [2]int{}
		time := int64(0)
		for {
			var ev capture.Event
			if err := r.Read(&ev); err != nil {
				if !errors.Is(err, io.EOF) {
					rt.Fatal(err)
				}
				break
			}
			if ev.Time < time {
				rt.Fatalf("%v %d ns before the event before it", ev.Kind, time-ev.Time)
			}
			time = ev.Time
			if ev.Kind != capture.Data && ev.Kind != capture.Lost {
				continue
			}
			side := int(ev.Direction)
			if ev.Offset != uint64(len(got[side])) {
				rt.Fatalf("offset %d after %d", ev.Offset, len(got[side]))
			}
			if ev.Kind == capture.Data {
				got[side] = append(got[side], ev.Data...)
				continue
			}
			for i := range ev.Length {
				if covered[side][ev.Offset+i] {
					rt.Fatalf("octet %d of side %d is in the file", ev.Offset+i, side)
				}
				got[side] = append(got[side], octets[side][ev.Offset+i])
				lost[side]++
			}
		}
		for side := range octets {
			end := len(octets[side]) // what is lost at the end leaves no trace
			for end > 0 && !covered[side][end-1] {
				end--
			}
			if !bytes.Equal(got[side], octets[side][:end]) {
				rt.Fatalf("side %d: got %d octets, want %d", side, len(got[side]), end)
			}
		}
		if r.octets != 0 || len(r.holes) != 0 {
			rt.Fatalf("%d octets held by %d connections", r.octets, len(r.holes))
		}
	})
}

// TestBounds: what a capture makes wait is bounded, in a connection and in all.
func TestBounds(t *testing.T) {
	r := newReader(t, nil)
	var most int
	payload := string(make([]byte, 1000))
	for port := range 40 {
		w := newWire()
		w.client = capturePort(w, uint16(1000+port))
		for i := range int64(5000) {
			s := w.data(fromClient, 1+2*i*1000, 0, payload)
			if i == 0 {
				s = w.data(fromClient, 0, 0, "x")
			}
			rec := record{time: s.time, link: linkRaw, data: s.packet, length: len(s.packet)}
			r.packet(&rec)
			most = max(most, r.octets)
			r.queue = r.queue[:0]
		}
	}
	if most > maxOctets+2000 || most < maxOctets/2 {
		t.Errorf("%d octets were held", most)
	}
	for i := range maxConns + 10 {
		w := newWire()
		w.server = capturePort(w, uint16(i))
		w.isn[0] += uint32(i >> 16)
		s := w.data(fromClient, 0, 0, "x")
		s.packet[12] = byte(i >> 16)
		rec := record{time: s.time, link: linkRaw, data: s.packet, length: len(s.packet)}
		r.packet(&rec)
	}
	if n := len(r.table.conns); n != maxConns {
		t.Errorf("%d connections, want %d", n, maxConns)
	}
	closed := 0
	for _, ev := range r.queue {
		if ev.Kind == capture.Close {
			closed++
		}
	}
	if closed != 50 {
		t.Errorf("%d connections closed, want 50", closed)
	}
}
