// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// in puts octets (hex) in front of packets.
func in(header string, packets []sent) []sent {
	h, err := hex.DecodeString(strings.ReplaceAll(header, " ", ""))
	if err != nil {
		panic(err)
	}
	var out []sent
	for _, p := range packets {
		p.packet = append(slices.Clone(h), p.packet...)
		out = append(out, p)
	}
	return out
}

// conversation is a handshake and an octet.
func conversation(w *wire) []sent {
	return append(w.handshake(), w.data(fromClient, 0, 0, "a"))
}

// TestLinkTypes: the same connection on every kind of link, with IPv4 and IPv6,
// in both byte orders.
func TestLinkTypes(t *testing.T) {
	const macs = "020000000001 020000000002 "
	for _, test := range []struct {
		name   string
		link   uint32
		v4, v6 string // headers
	}{
		{"raw", linkRaw, "", ""},
		{"raw IP of BSD", linkRawBSD, "", ""},
		{"IPv4 or IPv6", linkIPv4, "", ""},
		{"Ethernet", linkEthernet, macs + "0800", macs + "86dd"},
		{"VLAN", linkEthernet, macs + "8100 0064 0800", macs + "8100 0064 86dd"},
		{"VLAN in VLAN", linkEthernet, macs + "88a8 0001 8100 0064 0800", macs + "88a8 0001 8100 0064 86dd"},
		{"loopback, little-endian", linkNull, "02000000", "1e000000"},
		{"loopback, big-endian", linkLoop, "00000002", "0000001c"},
		{"Linux cooked", linkCooked, "0000 0304 0006 000000000000 0000 0800", "0000 0304 0006 000000000000 0000 86dd"},
		{"Linux cooked v2", linkCooked2, "0800 0000 00000001 0304 00 06 0000000000000000", "86dd 0000 00000001 0304 00 06 0000000000000000"},
	} {
		for _, v6 := range []bool{false, true} {
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				w, header := newWire(), test.v4
				want := opened
				if v6 {
					w.client = netip.MustParseAddrPort("[2001:db8::1]:50000")
					w.server = netip.MustParseAddrPort("[2001:db8::2]:8080")
					header = test.v6
					want = strings.NewReplacer("192.0.2.1", "[2001:db8::1]", "192.0.2.2", "[2001:db8::2]").Replace(want)
				}
				events, err := readAll(t, file(order, test.link, in(header, conversation(w))...))
				if got := tell(events); got != want+"c1 send 0 \"a\"" || !errors.Is(err, io.EOF) {
					t.Errorf("%s, IPv6 %v, %v: %v, got\n%s", test.name, v6, order, err, got)
				}
			}
		}
	}
}

// TestPackets: IP packets in unusual forms.
func TestPackets(t *testing.T) {
	payloadOf := func(s sent) (sent, []byte) { return s, s.packet[20:] }
	for _, test := range []struct {
		name   string
		change func(s sent) sent
		read   bool
	}{
		{"padded by the link", func(s sent) sent { s.packet = append(s.packet, 0, 0, 0, 0, 0, 0); return s }, true},
		{"with IP options", func(s sent) sent {
			s, payload := payloadOf(s)
			h := append(bytes.Clone(s.packet[:20]), 1, 1, 1, 0)
			h[0] = 0x46
			be.PutUint16(h[2:], be.Uint16(h[2:])+4)
			s.packet = append(h, payload...)
			return s
		}, true},
		{"to be cut by segmentation offload", func(s sent) sent { be.PutUint16(s.packet[2:], 0); return s }, true},
		{"a fragment", func(s sent) sent { s.packet[6] = 0x20; return s }, false},
		{"the rest of one", func(s sent) sent { s.packet[7] = 8; return s }, false},
		{"UDP", func(s sent) sent { s.packet[9] = 17; return s }, false},
		{"a TCP header cut off", func(s sent) sent { s.cut = len(s.packet) - 30; return s }, false},
		{"no header length", func(s sent) sent { s.packet[32] = 0; return s }, false},
		{"a header longer than the packet", func(s sent) sent { s.packet[32] = 0xf0; return s }, false},
	} {
		w := newWire()
		s := test.change(w.data(fromClient, 0, 0, "a"))
		want := ""
		if test.read {
			want = late + "c1 send 0 \"a\""
		}
		if got := tell(read(t, s)); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", test.name, got, want)
		}
	}
}

// TestIPv6Extensions: hop-by-hop options, a routing header, destination options
// and an atomic fragment in front of TCP.
func TestIPv6Extensions(t *testing.T) {
	w := newWire()
	w.client, w.server = netip.MustParseAddrPort("[2001:db8::1]:50000"), netip.MustParseAddrPort("[2001:db8::2]:8080")
	s := w.data(fromClient, 0, 0, "a")
	tcp := bytes.Clone(s.packet[40:])
	ext, _ := hex.DecodeString("2b00010400000000" + "3c00000000000000" + "2c01010c000000000000000000000000" + "0600000012345678")
	s.packet = append(append(s.packet[:40], ext...), tcp...)
	s.packet[6] = 0
	be.PutUint16(s.packet[4:], uint16(len(ext)+len(tcp)))
	want := "c1 open unknown fresh=false\nc1 bind [2001:db8::1]:50000 [2001:db8::2]:8080 exact\nc1 send 0 \"a\""
	if got := tell(read(t, s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.packet[40+8+8+16+3] = 1 // more fragments
	if got := tell(read(t, s)); got != "" {
		t.Errorf("a real fragment: got\n%s", got)
	}
}

func TestErrors(t *testing.T) {
	whole := file(binary.LittleEndian, linkRaw, conversation(newWire())...)
	huge := bytes.Clone(whole)
	huge[24+11] = 0x7f
	for _, test := range []struct {
		name string
		file []byte
		want error
	}{
		{"whole", whole, io.EOF},
		{"no packets", whole[:24], io.EOF},
		{"empty", nil, ErrNotCapture},
		{"text", []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), ErrNotCapture},
		{"cut in the file header", whole[:20], ErrTruncated},
		{"cut in a packet's header", whole[:30], ErrTruncated},
		{"cut behind a packet's header", whole[:40], ErrTruncated},
		{"cut in a packet", whole[:len(whole)-1], ErrTruncated},
		{"huge packet", huge, ErrDamaged},
		{"unknown link type", file(binary.LittleEndian, 147, conversation(newWire())...), ErrLinkType},
		{"section without byte order", append([]byte{10, 13, 13, 10}, make([]byte, 30)...), ErrNotCapture},
	} {
		if _, err := readAll(t, test.file); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}
