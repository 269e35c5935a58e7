// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"h2sniff/capture"
)

// benchEvents are count data events of size octets on 10 connections.
func benchEvents(count, size int, local, remote string) []capture.Event {
	const conns = 10
	events := make([]capture.Event, 0, count+2*conns)
	for i := range conns {
		id := capture.ConnID(i + 1)
		l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
		r = netip.AddrPortFrom(r.Addr(), r.Port()+uint16(i))
		events = append(events,
			capture.Event{Kind: capture.Open, Conn: id, TID: 9, Info: &capture.ConnInfo{PID: 9, TID: 9, Comm: "nginx", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3"}},
			capture.Event{Kind: capture.Bind, Conn: id, TID: 9, Binding: &capture.Binding{Local: l, Remote: r, Evidence: capture.Exact}})
	}
	data := bytes.Repeat([]byte("12345678"), size/8+1)[:size]
	for i := range count {
		events = append(events, capture.Event{
			Kind: capture.Data, Direction: capture.Direction(i / conns % 2), Conn: capture.ConnID(i%conns + 1), TID: 9,
			Time: 1.8e18 + int64(i), Offset: uint64(i / (2 * conns) * size), Length: uint64(size), Data: data,
		})
	}
	return events
}

var benchCases = []struct {
	name          string
	size          int
	local, remote string
}{
	{"62B/IPv4", 62, "192.0.2.1:443", "192.0.2.2:50000"},
	{"62B/IPv6", 62, "[2001:db8::1]:443", "[2001:db8::2]:50000"},
	{"16KiB/IPv4", 16 << 10, "192.0.2.1:443", "192.0.2.2:50000"},
	{"1MiB/IPv4", 1 << 20, "192.0.2.1:443", "192.0.2.2:50000"},
}

// counted counts octets and forgets them.
type counted struct{ n int64 }

func (c *counted) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func BenchmarkWrite(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			events := benchEvents(200, c.size, c.local, c.remote)
			head, data := events[:20], events[20:]
			out := new(counted)
			w, err := NewWriter(out, Options{})
			if err != nil {
				b.Fatal(err)
			}
			for i := range head {
				if err := w.Write(&head[i]); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
			before := out.n
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				ev := data[i%len(data)]
				ev.Offset += uint64(i / len(data) * 10 * c.size)
				if err := w.Write(&ev); err != nil {
					b.Fatal(err)
				}
				i++
			}
			w.write()
			b.ReportMetric(float64(i)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(out.n-before)/float64(i)-float64(c.size), "overhead-octets/event")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			count := min(100_000, 64<<20/c.size)
			file := write(b, benchEvents(count, c.size, c.local, c.remote))
			b.SetBytes(int64(count) * int64(c.size))
			b.ReportAllocs()
			var read int
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(file))
				if err != nil {
					b.Fatal(err)
				}
				for {
					var ev capture.Event
					if err := r.Read(&ev); err != nil {
						if !errors.Is(err, io.EOF) {
							b.Fatal(err)
						}
						break
					}
					read++
				}
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkConnections tells what a connection costs that is opened, bound,
// used once and closed.
func BenchmarkConnections(b *testing.B) {
	out := new(counted)
	w, err := NewWriter(out, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		id := capture.ConnID(i)
		remote := netip.MustParseAddrPort(fmt.Sprintf("192.0.2.2:%d", i%60000+1))
		for _, ev := range []capture.Event{
			{Kind: capture.Open, Conn: id, TID: 9, Info: &capture.ConnInfo{PID: 9, TID: 9, Comm: "nginx", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3"}},
			{Kind: capture.Bind, Conn: id, TID: 9, Binding: &capture.Binding{Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: remote, Evidence: capture.Exact}},
			{Kind: capture.Data, Conn: id, TID: 9, Length: 4, Data: []byte("data")},
			{Kind: capture.Close, Conn: id, TID: 9},
		} {
			if err := w.Write(&ev); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(out.n)/float64(i), "octets/connection")
}
