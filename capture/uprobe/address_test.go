// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture"
)

// evidenceOf drives addresses and keeps each connection's binding as the
// assembler does.
type evidenceOf struct{ *addresses }

func (e evidenceOf) take(c *conn, cookie uint64, nested bool) {
	r := &bpf.AddressRecord{Cookie: cookie, Family: 2, LocalPort: 443, RemotePort: uint16(cookie), Nested: nested}
	r.Local = [16]byte{127, 0, 0, 1}
	r.Remote = [16]byte{127, 0, 0, 2}
	e.evidence(c, r, func(c *conn, b capture.Binding) { c.binding = b })
}

func connOf(tgid, handle uint64) *conn { return &conn{key: bpf.ConnKey{TGID: tgid, Handle: handle}} }

func wantBinding(t *testing.T, c *conn, evidence capture.Evidence, remotePort uint16) {
	t.Helper()
	if c.binding.Evidence != evidence || c.binding.Remote.Port() != remotePort {
		t.Errorf("bound %v to port %d, want %v to port %d", c.binding.Evidence, c.binding.Remote.Port(), evidence, remotePort)
	}
}

func TestExactLatestWins(t *testing.T) {
	e, c := evidenceOf{newAddresses()}, connOf(1, 100)
	e.take(c, 11, true)
	wantBinding(t, c, capture.Exact, 11)
	e.take(c, 12, true) // cleared and used for another socket
	wantBinding(t, c, capture.Exact, 12)
}

func TestExactSharesSocket(t *testing.T) {
	e, outer, inner := evidenceOf{newAddresses()}, connOf(1, 100), connOf(1, 200)
	e.take(outer, 11, true)
	e.take(inner, 11, true) // TLS through a TLS proxy
	wantBinding(t, outer, capture.Exact, 11)
	wantBinding(t, inner, capture.Exact, 11)
}

func TestExactSupersedesInferred(t *testing.T) {
	e, c := evidenceOf{newAddresses()}, connOf(1, 100)
	e.take(c, 11, false)
	wantBinding(t, c, capture.Inferred, 11)
	e.take(c, 12, true)
	wantBinding(t, c, capture.Exact, 12)
	e.take(c, 13, false)
	wantBinding(t, c, capture.Exact, 12)
	if len(e.inferredBy) != 0 || len(e.inferred) != 0 {
		t.Error("the inferred binding is still kept")
	}
}

func TestInferredContradictsItself(t *testing.T) {
	e, a, b, c := evidenceOf{newAddresses()}, connOf(1, 100), connOf(1, 200), connOf(1, 300)
	elsewhere := connOf(2, 100)
	e.take(a, 11, false)
	e.take(b, 12, false)
	e.take(elsewhere, 13, false)
	e.take(a, 12, false)
	wantBinding(t, a, capture.Withdrawn, 0)
	wantBinding(t, b, capture.Withdrawn, 0)
	e.take(c, 14, false)
	wantBinding(t, c, 0, 0)
	wantBinding(t, elsewhere, capture.Inferred, 13) // another process
	e.take(a, 15, true)
	wantBinding(t, a, capture.Exact, 15)
}

func TestInferredSocketOfAnotherLiveHandle(t *testing.T) {
	e, a, b := evidenceOf{newAddresses()}, connOf(1, 100), connOf(1, 200)
	e.take(a, 11, false)
	e.take(b, 11, false)
	wantBinding(t, a, capture.Withdrawn, 0)
	wantBinding(t, b, 0, 0)
}

func TestInferredSocketIsFreeAfterItsHandle(t *testing.T) {
	e, a, b := evidenceOf{newAddresses()}, connOf(1, 100), connOf(1, 200)
	e.take(a, 11, false)
	e.forget(a)
	e.take(b, 11, false)
	wantBinding(t, b, capture.Inferred, 11)
}

func TestAddressFamilies(t *testing.T) {
	mapped := [16]byte{10: 0xff, 11: 0xff, 12: 127, 15: 1}
	for _, test := range []struct {
		record bpf.AddressRecord
		want   string
	}{
		{bpf.AddressRecord{Family: 2, Local: [16]byte{10, 0, 0, 7}, LocalPort: 443}, "10.0.0.7:443"},
		{bpf.AddressRecord{Family: 10, Local: [16]byte{15: 1}, LocalPort: 443}, "[::1]:443"},
		{bpf.AddressRecord{Family: 10, Local: mapped, LocalPort: 443}, "127.0.0.1:443"},
	} {
		if local, _ := addrPorts(&test.record); local.String() != test.want {
			t.Errorf("got %v, want %v", local, test.want)
		}
	}
}
