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
)

const second = int64(1e9)

// wire makes packets of one TCP connection.
type wire struct {
	client, server netip.AddrPort
	isn            [2]uint32 // of client, server
	now            int64
}

func newWire() *wire {
	return &wire{
		client: netip.MustParseAddrPort("192.0.2.1:50000"), server: netip.MustParseAddrPort("192.0.2.2:8080"),
		isn: [2]uint32{0xfffffff0, 7}, now: 1.7e18, // the client's numbers wrap soon
	}
}

const (
	fromClient = 0
	fromServer = 1
)

// seg is a segment at a position of its sender's octets; ack is the position
// acknowledged, -1 for none.
func (w *wire) seg(from int, flags byte, at int64, ack int64, payload string) sent {
	w.now += 1e6
	src, dst := w.client, w.server
	if from == fromServer {
		src, dst = dst, src
	}
	tcp := make([]byte, 20, 20+len(payload))
	be.PutUint16(tcp, src.Port())
	be.PutUint16(tcp[2:], dst.Port())
	be.PutUint32(tcp[4:], w.isn[from]+1+uint32(at))
	if ack >= 0 {
		flags |= flagACK
		be.PutUint32(tcp[8:], w.isn[1-from]+1+uint32(ack))
	}
	tcp[12], tcp[13] = 5<<4, flags
	return sent{time: w.now, packet: ip(src.Addr(), dst.Addr(), append(tcp, payload...))}
}

func (w *wire) data(from int, at, ack int64, payload string) sent {
	return w.seg(from, 0, at, ack, payload)
}

func (w *wire) handshake() []sent {
	return []sent{
		w.seg(fromClient, flagSYN, -1, -1, ""),
		w.seg(fromServer, flagSYN, -1, 0, ""),
		w.seg(fromClient, 0, 0, 0, ""),
	}
}

func ip(src, dst netip.Addr, payload []byte) []byte {
	var b []byte
	if src.Is4() {
		b = make([]byte, 20)
		b[0], b[8], b[9] = 0x45, 64, protocolTCP
		be.PutUint16(b[2:], uint16(20+len(payload)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
	} else {
		b = make([]byte, 40)
		b[0], b[6], b[7] = 0x60, protocolTCP, 64
		be.PutUint16(b[4:], uint16(len(payload)))
		copy(b[8:], src.AsSlice())
		copy(b[24:], dst.AsSlice())
	}
	return append(b, payload...)
}

// sent is a packet at a time.
type sent struct {
	time   int64
	packet []byte
	cut    int // octets that were not captured
}

// file is a pcap file with times in nanoseconds.
func file(order binary.AppendByteOrder, link uint32, packets ...sent) []byte {
	b := order.AppendUint32(nil, magicNano)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, link)
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.time/second))
		b = order.AppendUint32(b, uint32(p.time%second))
		b = order.AppendUint32(b, uint32(len(p.packet)-p.cut))
		b = order.AppendUint32(b, uint32(len(p.packet)))
		b = append(b, p.packet[:len(p.packet)-p.cut]...)
	}
	return b
}

// readFile gives all events, their data copied, and the final error. The
// reader is nil where it is the first.
func readFile(t testing.TB, b []byte) (*Reader, []capture.Event, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, nil, err
	}
	var out []capture.Event
	for {
		var ev capture.Event
		if err := r.Read(&ev); err != nil {
			return r, out, err
		}
		ev.Data = bytes.Clone(ev.Data)
		out = append(out, ev)
	}
}

func readAll(t testing.TB, b []byte) ([]capture.Event, error) {
	t.Helper()
	_, events, err := readFile(t, b)
	return events, err
}

func read(t testing.TB, packets ...sent) []capture.Event {
	t.Helper()
	events, err := readAll(t, file(binary.LittleEndian, linkRaw, packets...))
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return events
}
