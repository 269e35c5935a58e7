// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// ngFile makes pcapng blocks.
type ngFile struct {
	order binary.AppendByteOrder
	b     []byte
}

func (f *ngFile) block(typ uint32, body []byte) {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	f.b = f.order.AppendUint32(f.b, typ)
	f.b = f.order.AppendUint32(f.b, uint32(len(body)+12))
	f.b = append(f.b, body...)
	f.b = f.order.AppendUint32(f.b, uint32(len(body)+12))
}

func (f *ngFile) section() {
	body := f.order.AppendUint32(nil, byteOrderMagic)
	body = f.order.AppendUint16(body, 1)
	body = f.order.AppendUint16(body, 0)
	f.block(blockSection, f.order.AppendUint64(body, 1<<64-1))
}

func (f *ngFile) iface(link uint16, options ...byte) {
	body := f.order.AppendUint16(nil, link)
	body = f.order.AppendUint16(body, 0)
	body = f.order.AppendUint32(body, 0)
	f.block(blockInterface, append(body, options...))
}

func (f *ngFile) option(code uint16, value ...byte) []byte {
	b := f.order.AppendUint16(nil, code)
	b = f.order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func (f *ngFile) packet(id uint32, time uint64, packet []byte) {
	body := f.order.AppendUint32(nil, id)
	body = f.order.AppendUint32(body, uint32(time>>32))
	body = f.order.AppendUint32(body, uint32(time))
	body = f.order.AppendUint32(body, uint32(len(packet)))
	body = f.order.AppendUint32(body, uint32(len(packet)))
	f.block(blockPacket, append(body, packet...))
}

// TestPcapng: interfaces with different links and times, sections in different
// byte orders, the older kinds of packet block, blocks to pass over, drops.
func TestPcapng(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		other := binary.AppendByteOrder(binary.BigEndian)
		if order == other {
			other = binary.LittleEndian
		}
		w := newWire()
		f := &ngFile{order: order}
		f.section()
		f.iface(linkRaw)                                       // µs
		f.iface(linkRaw, f.option(optTimeResolution, 9)...)    // ns
		f.iface(linkRaw, f.option(optTimeResolution, 0x8a)...) // 1/1024 s
		f.iface(linkEthernet, f.option(optTimeOffset, order.AppendUint64(nil, 1000)...)...)
		s := conversation(w)
		f.packet(0, 5_000_001, s[0].packet)
		f.packet(1, 5_000_002_000, s[1].packet)
		f.block(4, []byte("name resolution"))
		f.packet(0, 5_000_003, s[2].packet)
		f.packet(2, 6*1024+512, s[3].packet)
		f.packet(3, 7_000_000, in("020000000001020000000002 0800", []sent{w.data(fromClient, 1, 0, "b")})[0].packet)

		p := w.data(fromClient, 2, 0, "c").packet
		f.block(blockSimple, append(order.AppendUint32(nil, uint32(len(p))), p...))
		p = w.data(fromClient, 3, 0, "d").packet
		old := order.AppendUint16(nil, 1)
		old = order.AppendUint16(old, 9) // drops
		old = order.AppendUint64(old, 0) // time 0
		old = order.AppendUint32(order.AppendUint32(old, uint32(len(p))), uint32(len(p)))
		f.block(blockOldPacket, append(old, p...))
		stats := order.AppendUint32(nil, 1)
		stats = append(stats, make([]byte, 8)...)
		f.block(blockStatistics, append(stats, f.option(optDropped, order.AppendUint64(nil, 17)...)...))
		f.order = other
		f.section()
		f.iface(linkRaw)
		f.packet(0, 8_000_000, w.data(fromClient, 4, 0, "e").packet)

		r, events, err := readFile(t, f.b)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		want := opened + "c1 send 0 \"a\"\nc1 send 1 \"b\"\nc1 send 2 \"c\"\nc1 send 3 \"d\"\nc1 send 4 \"e\""
		if got := tell(events); got != want {
			t.Errorf("%v: got\n%s\nwant\n%s", order, got, want)
		}
		var times []int64
		for _, ev := range events[2:] {
			times = append(times, ev.Time)
		}
		// A simple packet has no time and takes that before it; no octet is
		// handed over earlier than those before it.
		if want := []int64{6.5e9, 1007e9, 1007e9, 1007e9, 1007e9}; len(times) != len(want) || times[0] != want[0] || times[1] != want[1] || times[4] != want[4] {
			t.Errorf("%v: times %v, want %v", order, times, want)
		}
		if n := r.Stats().LostEvents; n != 17 {
			t.Errorf("%d lost events, want 17", n)
		}
		if r.Start() != 5_000_001_000 {
			t.Errorf("start %d", r.Start())
		}
		for cut := range len(f.b) {
			_, _, err := readFile(t, f.b[:cut])
			if !errors.Is(err, ErrTruncated) && !errors.Is(err, io.EOF) && !(cut < 12 && errors.Is(err, ErrNotCapture)) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	}
}
