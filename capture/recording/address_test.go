// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"net/netip"
	"testing"

	"h2sniff/capture"
)

func TestDecodeAsOfUnknownRoles(t *testing.T) {
	bind := func(local, remote uint16) *capture.Binding {
		loopback := netip.MustParseAddr("127.0.0.1")
		return &capture.Binding{
			Local: netip.AddrPortFrom(loopback, local), Remote: netip.AddrPortFrom(loopback, remote), Evidence: capture.Exact,
		}
	}
	a := newAddressBook()
	a.assign(bind(42189, 37546), capture.RoleUnknown)
	a.assign(bind(42189, 37556), capture.RoleUnknown) // the shared port is the server's, though it is higher
	a.assign(bind(50000, 9443), capture.RoleUnknown)
	a.assign(bind(8443, 50001), capture.Server)
	const want = "-d tcp.port==8443,http2 -d tcp.port==9443,http2 -d tcp.port==42189,http2"
	if got := a.decodeAs(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
