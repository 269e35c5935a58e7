// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
)

// TestEnds plays scripts of "ID LOCAL REMOTE [CONTAINER]" and "close ID".
func TestEnds(t *testing.T) {
	const server, client = "192.0.2.1:443", "192.0.2.2:50000"
	const here, there = "127.0.0.1:443", "127.0.0.1:50000"
	for _, test := range []struct {
		name   string
		script []string
		want   map[capture.ConnID]capture.ConnID
	}{
		{"one end", []string{"1 " + server + " " + client}, nil},
		{"both ends", []string{"1 " + server + " " + client, "2 " + client + " " + server}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"told twice", []string{"1 " + server + " " + client, "2 " + client + " " + server, "1 " + server + " " + client}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"another port", []string{"1 " + server + " " + client, "2 192.0.2.2:50001 " + server}, nil},
		{"the same end twice", []string{"1 " + server + " " + client, "2 " + server + " " + client}, nil},
		{"two handles on one socket", []string{"1 " + server + " " + client, "2 " + client + " " + server, "3 " + server + " " + client},
			map[capture.ConnID]capture.ConnID{1: 2, 3: 2}},
		{"withdrawn", []string{"1 " + server + " " + client, "2 " + client + " " + server, "2 - -"}, nil},
		{"moved", []string{"1 " + server + " " + client, "2 " + client + " " + server, "1 " + server + " 192.0.2.9:9"}, nil},
		{"closed", []string{"1 " + server + " " + client, "2 " + client + " " + server, "close 1", "close 2"}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"the port again", []string{"1 " + server + " " + client, "2 " + client + " " + server, "close 1", "close 2",
			"3 " + client + " " + server, "4 " + server + " " + client}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1, 3: 4, 4: 3}},
		{"the port again, an end still open", []string{"1 " + server + " " + client, "2 " + client + " " + server, "close 2",
			"3 " + client + " " + server}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"connected to itself", []string{"1 " + server + " " + server}, nil},
		{"loopback of two containers", []string{"1 " + here + " " + there + " a", "2 " + there + " " + here + " b"}, nil},
		{"loopback of one container", []string{"1 " + here + " " + there + " a", "2 " + there + " " + here + " a"}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"between containers", []string{"1 " + server + " " + client + " a", "2 " + client + " " + server + " b"}, map[capture.ConnID]capture.ConnID{1: 2, 2: 1}},
		{"close of an unknown one", []string{"close 7"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(map[capture.ConnID]capture.ConnID)
			e := NewEnds(func(id, peer capture.ConnID) {
				if got[id] = peer; peer == 0 {
					delete(got, id)
				}
			})
			var last []string
			for _, line := range test.script {
				last = strings.Fields(line)
				var id capture.ConnID
				if last[0] == "close" {
					fmt.Sscan(last[1], &id)
					e.Close(id)
					continue
				}
				fmt.Sscan(last[0], &id)
				local, _ := netip.ParseAddrPort(last[1])
				remote, _ := netip.ParseAddrPort(last[2])
				e.Bind(id, local, remote, strings.Join(last[3:], ""))
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) && len(got)+len(test.want) > 0 {
				t.Errorf("peers %v, want %v", got, test.want)
			}
			for id := range e.of {
				e.Close(id)
			}
			if len(e.of) != 0 || len(e.at) != 0 {
				t.Errorf("%v and %v are kept", e.of, e.at)
			}
		})
	}
}

// TestPeersOfConnections: the summaries name each other.
func TestPeersOfConnections(t *testing.T) {
	s := New(Options{})
	server, client := netip.MustParseAddrPort("127.0.0.1:443"), netip.MustParseAddrPort("127.0.0.1:50000")
	bind := func(id capture.ConnID, local, remote netip.AddrPort) {
		s.Append(&decode.Row{Kind: decode.RowOpen, Conn: id, Info: &capture.ConnInfo{PID: uint32(id)}})
		s.Append(&decode.Row{Kind: decode.RowBind, Conn: id, Binding: &capture.Binding{Local: local, Remote: remote, Evidence: capture.Exact}})
	}
	peers := func() (all []capture.ConnID) {
		for id := capture.ConnID(1); id <= 2; id++ {
			c, _ := s.Conn(id)
			all = append(all, c.Peer)
		}
		return all
	}
	bind(1, server, client)
	if got := peers(); !slices.Equal(got, []capture.ConnID{0, 0}) {
		t.Errorf("peers %v of one end", got)
	}
	bind(2, client, server)
	if got := peers(); !slices.Equal(got, []capture.ConnID{2, 1}) {
		t.Errorf("peers %v", got)
	}
	s.Append(&decode.Row{Kind: decode.RowClose, Conn: 2})
	if got := peers(); !slices.Equal(got, []capture.ConnID{2, 1}) {
		t.Errorf("peers %v after a close", got)
	}
	s.Append(&decode.Row{Kind: decode.RowBind, Conn: 1, Binding: &capture.Binding{Evidence: capture.Withdrawn}})
	if got := peers(); got[0] != 0 {
		t.Errorf("peers %v after the addresses were withdrawn", got)
	}
}
