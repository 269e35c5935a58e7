// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"h2sniff/capture"
)

// madeUpPort is the server port of made-up addresses: that of most real
// servers, so that one -d option of tshark fits both.
const madeUpPort = 443

// Reasons for made-up addresses, shown in the handshake's comment.
const (
	whyUnknown = "not known when the first packet was due"
	whyTaken   = "another connection bears the real ones"
	whyNotIP   = "the real ones fit no TCP packet"
)

// tuple names a TCP connection the same from both of its ends.
type tuple struct{ low, high netip.AddrPort }

func newTuple(a, b netip.AddrPort) tuple {
	if a.Compare(b) > 0 {
		a, b = b, a
	}
	return tuple{a, b}
}

// addressBook gives each connection the addresses that its packets bear.
type addressBook struct {
	live   map[tuple]struct{}
	ports  map[uint16]struct{}    // server ports ever used
	pairs  map[[2]uint16]struct{} // ports of connections whose server's end is not known
	madeUp uint32                 // connections with made-up addresses so far
}

// maxPairs bounds addressBook.pairs. Beyond it the lower port is taken for the
// server's.
const maxPairs = 4096

func newAddressBook() addressBook {
	return addressBook{live: make(map[tuple]struct{}), ports: make(map[uint16]struct{}), pairs: make(map[[2]uint16]struct{})}
}

// assign chooses the addresses for a connection: b's, if there is a usable
// binding and no live connection bears them, otherwise made-up ones for the
// reason why. release returns them.
func (a *addressBook) assign(b *capture.Binding, role capture.Role) (local, remote netip.AddrPort, why string) {
	why = whyUnknown
	if b != nil && b.Evidence != capture.Withdrawn {
		local, remote = plain(b.Local), plain(b.Remote)
		_, taken := a.live[newTuple(local, remote)]
		switch {
		case !usable(local, remote):
			why = whyNotIP
		case taken:
			why = whyTaken
		default:
			why = ""
		}
	}
	if why != "" {
		local, remote = a.makeUp(role)
	}
	a.live[newTuple(local, remote)] = struct{}{}
	if why == "" && role == capture.RoleUnknown && len(a.pairs) < maxPairs {
		a.pairs[[2]uint16{local.Port(), remote.Port()}] = struct{}{}
	} else {
		a.ports[serverPort(local, remote, role)] = struct{}{}
	}
	return local, remote, why
}

func (a *addressBook) release(local, remote netip.AddrPort) {
	delete(a.live, newTuple(local, remote))
}

// makeUp takes addresses from 198.18.0.0/15, which RFC 2544 sets aside for
// benchmarks: local ones from its lower half, remote ones from the upper.
func (a *addressBook) makeUp(role capture.Role) (local, remote netip.AddrPort) {
	for {
		n := a.madeUp
		a.madeUp++
		client := uint16(49152 + n>>16%16384)
		lp, rp := client, uint16(madeUpPort)
		if role == capture.Server {
			lp, rp = rp, lp
		}
		local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), lp)
		remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 19, byte(n >> 8), byte(n)}), rp)
		if _, taken := a.live[newTuple(local, remote)]; !taken {
			return local, remote
		}
	}
}

// decodeAs gives tshark's options for the server ports used so far. Where it is
// not known which end is the server's, it is taken to have the port that more
// connections share, or else the lower one: clients use ephemeral ports.
func (a *addressBook) decodeAs() string {
	shared := make(map[uint16]int)
	for pair := range a.pairs {
		shared[pair[0]]++
		shared[pair[1]]++
	}
	servers := maps.Clone(a.ports)
	for pair := range a.pairs {
		port, other := min(pair[0], pair[1]), max(pair[0], pair[1])
		if shared[other] > shared[port] {
			port = other
		}
		servers[port] = struct{}{}
	}
	var b strings.Builder
	for i, p := range slices.Sorted(maps.Keys(servers)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("-d tcp.port==" + strconv.Itoa(int(p)) + ",http2")
	}
	return b.String()
}

// plain is the address as it stands in a packet: no IPv4 inside IPv6, no zone.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// usable says whether packets can go between the two and tell their direction.
func usable(local, remote netip.AddrPort) bool {
	return local.IsValid() && remote.IsValid() && local != remote &&
		local.Addr().BitLen() == remote.Addr().BitLen()
}

// serverPort is the port of the server's end. Where the role is not known the
// lower number is taken: clients use ephemeral ports.
func serverPort(local, remote netip.AddrPort, role capture.Role) uint16 {
	switch role {
	case capture.Client:
		return remote.Port()
	case capture.Server:
		return local.Port()
	}
	return min(local.Port(), remote.Port())
}

// clientPreface begins what a client sends (RFC 9113, section 3.4).
const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// roleOf is the role that a connection's packets show: the one that its Info
// gives; else by who sends the client connection preface in the first event;
// else by the ports. It decides only who sends the SYN.
func roleOf(info *capture.ConnInfo, b *capture.Binding, first *capture.Event) capture.Role {
	if info != nil && info.Role != capture.RoleUnknown {
		return info.Role
	}
	if first.Kind == capture.Data && first.Offset == 0 && bytes.HasPrefix(first.Data, []byte(clientPreface)) {
		if first.Direction == capture.Send {
			return capture.Client
		}
		return capture.Server
	}
	if b != nil && b.Local.Port() < b.Remote.Port() {
		return capture.Server
	}
	return capture.Client
}
