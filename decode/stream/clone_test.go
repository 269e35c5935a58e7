// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"testing"

	"golang.org/x/net/http2"
)

// TestClone: a copy has what the original had and neither sees what the other
// does from then on.
func TestClone(t *testing.T) {
	p := newPlayer()
	p.setting(recv, http2.SettingInitialWindowSize, 100)
	p.headers(send, 0, 1, ":method", "POST")
	p.headers(send, 0, 3, ":method", "POST")
	p.frame(send, http2.FrameData, end, 1, 'x')
	p.headers(recv, end, 1, ":status", "200")
	c := p.Clone()
	if c.Stream(1).State() != Closed || c.Stream(3).State() != Open || c.NumOpen(true) != 1 || len(c.Half(recv).Pending) != 1 {
		t.Fatalf("the copy: %v %v, %d open", c.Stream(1).State(), c.Stream(3).State(), c.NumOpen(true))
	}
	p.frame(send, http2.FrameData, end, 3, 'a', 'b')
	p.ack(send)
	if c.Stream(3).Side(send).Window.Consumed != 0 || c.Half(recv).Acked.InitialWindowSize == 100 || len(c.Half(recv).Pending) != 1 {
		t.Error("the copy went along")
	}
	q := &player{Conn: c}
	for id := uint32(5); id < 2*MaxClosed+105; id += 2 {
		q.headers(send, end, id, ":method", "GET")
		q.headers(recv, end, id, ":status", "200")
	}
	q.update(recv, 0, 7)
	if p.Half(send).Highest != 3 || p.Half(send).Window.Granted != 0 || p.Stream(1) == nil {
		t.Error("the original went along")
	}
	n := 0
	c.Each(func(*Stream) bool { n++; return true })
	if n != 1 || !c.Forgotten() || p.Forgotten() {
		t.Errorf("%d open in the copy", n)
	}
}
