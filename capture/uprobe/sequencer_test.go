// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"h2sniff/capture"
)

// script drives a sequencer and collects what it emits, by Event.Data.
type script struct {
	sequencer
	out []string
}

func newScript() *script {
	s := &script{}
	s.emit = func(ev *capture.Event) { s.out = append(s.out, string(ev.Data)) }
	return s
}

func (s *script) send(c *conn, thread uint64, data string, last bool) {
	s.sent(&capture.Event{Kind: capture.Data, Data: []byte(data)}, c, thread, 0, last)
}

func (s *script) recv(c *conn, thread uint64, data string) {
	s.received(&capture.Event{Kind: capture.Data, Direction: capture.Recv, Data: []byte(data)}, c, thread, 0)
}

func (s *script) want(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(s.out, want) {
		t.Errorf("emitted %q, want %q", s.out, want)
	}
}

func bound(id capture.ConnID, local, remote string) *conn {
	return &conn{id: id, binding: capture.Binding{
		Local: netip.MustParseAddrPort(local), Remote: netip.MustParseAddrPort(remote), Evidence: capture.Exact,
	}}
}

func TestSendBeforeItsReplyInAnotherThread(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.recv(c, 11, "reply") // returns first
	s.want(t)
	s.send(c, 10, "request", true)
	s.want(t, "request", "reply")
	if len(s.queue) != 0 || s.held != 0 {
		t.Errorf("left in the queue: %d slots, %d octets", len(s.queue), s.held)
	}
}

func TestSendBeforeItsReceiptAtTheOtherEnd(t *testing.T) {
	s := newScript()
	client := bound(1, "127.0.0.1:5000", "127.0.0.1:443")
	server := bound(2, "127.0.0.1:443", "127.0.0.1:5000")
	other := bound(3, "127.0.0.1:443", "127.0.0.1:6000")
	s.begin(client, 10, 0)
	s.recv(server, 20, "server got it")
	s.begin(server, 20, 0) // answers at once
	s.send(server, 20, "server answers", true)
	s.recv(other, 21, "unrelated")
	s.recv(client, 11, "client got the answer")
	s.want(t, "unrelated")
	s.send(client, 10, "client sends", true)
	s.want(t, "unrelated", "client sends", "server got it", "server answers", "client got the answer")
}

func TestSendInPieces(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.send(c, 10, "a", false)
	s.recv(c, 11, "r")
	s.send(c, 10, "b", false)
	s.send(c, 10, "c", true)
	s.want(t, "a", "b", "c", "r")
}

// Positions are in the order of the returns.
func TestSendsOfTwoThreadsAtOnce(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	send := func(thread, offset uint64, data string, last bool) {
		ev := capture.Event{Kind: capture.Data, Offset: offset, Length: uint64(len(data)), Data: []byte(data)}
		s.sent(&ev, c, thread, 0, last)
	}
	s.begin(c, 1, 0)
	s.begin(c, 2, 0)
	send(2, 0, "two", false)
	send(1, 6, "one", true)
	send(2, 3, "two", true)
	s.recv(c, 3, "reply")
	s.want(t, "two", "two", "one", "reply")
}

func TestSendThatMovedNothing(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.recv(c, 11, "r")
	s.want(t)
	s.nothing(c, 10, 0)
	s.want(t, "r")
}

func TestSendLeftByLongjmp(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.recv(c, 11, "r")
	s.begin(c, 10, 0) // the same thread begins anew: the first call is dead
	s.want(t, "r")
	s.send(c, 10, "s", true)
	s.want(t, "r", "s")
}

func TestNestedSendOnAnotherHandle(t *testing.T) {
	s, outer, inner := newScript(), &conn{id: 1}, &conn{id: 2}
	s.begin(outer, 10, 0)
	s.begin(inner, 10, 1) // TLS inside TLS: the outer call still runs
	s.sent(&capture.Event{Data: []byte("inner")}, inner, 10, 1, true)
	s.recv(outer, 11, "r")
	s.send(outer, 10, "outer", true)
	s.want(t, "inner", "outer", "r")
}

func TestThreadEndsInsideSend(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.recv(c, 11, "r")
	s.expire(10, 0)
	s.want(t, "r")
}

func TestProcessEndsInsideSend(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 7<<32|10, 0)
	s.begin(c, 8<<32|11, 0)
	s.recv(c, 9<<32, "r")
	s.expireProcess(7)
	s.want(t)
	s.expireProcess(8)
	s.want(t, "r")
}

func TestBeginningNotSeen(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.send(c, 10, "s", true)
	s.want(t, "s")
}

func TestDroppedOutcomeIsReleased(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	s.recv(c, 11, "r1")
	s.recv(c, 11, "r2")
	s.release()
	s.want(t, "r1", "r2")
}

func TestHeldIsBounded(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	s.begin(c, 10, 0)
	chunk := strings.Repeat("x", 1<<20)
	for range heldLimit>>20 + 1 {
		s.recv(c, 11, chunk)
	}
	if s.held > heldLimit || len(s.out) == 0 {
		t.Errorf("%d octets held, %d events emitted", s.held, len(s.out))
	}
}

// A peer that reads nothing keeps a send from ending for as long as it likes, and
// can send small frames meanwhile, which another thread receives.
func TestWaitingIsBounded(t *testing.T) {
	const n = 1 << 20
	c, peer := bound(1, "127.0.0.1:5000", "127.0.0.1:443"), bound(2, "127.0.0.1:443", "127.0.0.1:5000")
	for name, other := range map[string]*conn{"one end": c, "both ends": peer} {
		emitted := 0
		q := &sequencer{emit: func(*capture.Event) { emitted++ }}
		q.begin(c, 10, 0)
		for i := range n {
			on := c
			if i%2 == 1 {
				on = other
			}
			q.received(&capture.Event{Kind: capture.Data, Direction: capture.Recv, Data: []byte("a small frame")}, on, 11, 0)
			events := 0
			if i%1024 == 0 {
				for _, s := range q.queue {
					events += len(s.events)
				}
			}
			if size := events * int(unsafe.Sizeof(capture.Event{})); len(q.queue) > slotLimit || size > heldLimit {
				t.Fatalf("%s: %d slots, %d events wait", name, len(q.queue), events)
			}
		}
		q.release()
		if emitted != n || q.held != 0 || len(q.queue) != 0 {
			t.Errorf("%s: %d of %d emitted, %d octets and %d slots left", name, emitted, n, q.held, len(q.queue))
		}
	}
}

func TestHeldDataIsCopied(t *testing.T) {
	s, c := newScript(), &conn{id: 1}
	buffer := []byte("first")
	s.begin(c, 10, 0)
	s.received(&capture.Event{Data: buffer}, c, 11, 0)
	copy(buffer, "other") // the ring buffer moves on
	s.nothing(c, 10, 0)
	s.want(t, "first")
}
