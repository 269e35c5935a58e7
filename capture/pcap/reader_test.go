// SPDX-License-Identifier: Apache-2.0

package pcap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"h2sniff/capture"
)

// tell is a short account of events: what each case below is compared by.
func tell(events []capture.Event) string {
	var out []string
	for _, ev := range events {
		switch ev.Kind {
		case capture.Open:
			out = append(out, fmt.Sprintf("%v open %v fresh=%v", ev.Conn, ev.Info.Role, ev.Info.Fresh))
		case capture.Bind:
			out = append(out, fmt.Sprintf("%v bind %v %v %v", ev.Conn, ev.Binding.Local, ev.Binding.Remote, ev.Binding.Evidence))
		case capture.Data:
			s := fmt.Sprintf("%v %v %d %q", ev.Conn, ev.Direction, ev.Offset, ev.Data)
			if missing := ev.Length - uint64(len(ev.Data)); missing > 0 {
				s += fmt.Sprintf("+%d", missing)
			}
			out = append(out, s)
		case capture.Lost:
			out = append(out, fmt.Sprintf("%v %v %d lost %d", ev.Conn, ev.Direction, ev.Offset, ev.Length))
		case capture.Close:
			out = append(out, fmt.Sprintf("%v close", ev.Conn))
		}
	}
	return strings.Join(out, "\n")
}

const (
	opened = "c1 open client fresh=true\nc1 bind 192.0.2.1:50000 192.0.2.2:8080 exact\n"
	late   = "c1 open unknown fresh=false\nc1 bind 192.0.2.1:50000 192.0.2.2:8080 exact\n"
)

func TestConnections(t *testing.T) {
	reversed := func(s []sent) []sent { slices.Reverse(s); return s }
	many := func(w *wire, n int) (out []sent) {
		for range n {
			out = append(out, w.seg(fromServer, 0, 0, 9, ""))
		}
		return out
	}
	cut := func(s sent, n int) sent { s.cut = n; return s }
	for _, test := range []struct {
		name    string
		packets func(w *wire) []sent
		want    string
	}{
		{"whole", func(w *wire) []sent {
			return append(w.handshake(),
				w.data(fromClient, 0, 0, "hello"), w.data(fromServer, 0, 5, "world"),
				w.seg(fromClient, flagFIN, 5, 5, ""), w.seg(fromServer, flagFIN, 5, 6, ""), w.seg(fromClient, 0, 6, 6, ""))
		}, opened + "c1 send 0 \"hello\"\nc1 recv 0 \"world\"\nc1 close"},
		{"no payload", func(w *wire) []sent {
			return append(w.handshake(), w.seg(fromClient, flagRST, 0, 0, ""))
		}, ""},
		{"payload in the SYN", func(w *wire) []sent {
			syn := w.seg(fromClient, flagSYN, -1, -1, "early")
			return []sent{syn, w.seg(fromServer, flagSYN, -1, 5, ""), w.data(fromClient, 5, 0, "!")}
		}, "c1 open client fresh=false\nc1 bind 192.0.2.1:50000 192.0.2.2:8080 exact\nc1 send 0 \"early\"\nc1 send 5 \"!\""},
		{"SYN-ACK alone", func(w *wire) []sent {
			return []sent{w.seg(fromServer, flagSYN, -1, 0, ""), w.data(fromServer, 0, 0, "a"), w.data(fromClient, 0, 1, "b")}
		}, opened + "c1 recv 0 \"a\"\nc1 send 0 \"b\""},
		{"in the middle, by ports", func(w *wire) []sent {
			return []sent{w.data(fromServer, 1000, 77, "a"), w.data(fromClient, 77, 1001, "b")}
		}, late + "c1 recv 0 \"a\"\nc1 send 0 \"b\""},
		{"in the middle, by the preface", func(w *wire) []sent {
			w.client, w.server = w.server, w.client
			return []sent{w.data(fromClient, 0, 77, "PRI * HTTP/2.0\r\n")}
		}, "c1 open client fresh=false\nc1 bind 192.0.2.2:8080 192.0.2.1:50000 exact\nc1 send 0 \"PRI * HTTP/2.0\\r\\n\""},
		{"before what was seen first", func(w *wire) []sent {
			return []sent{w.data(fromClient, 10, 0, "abc"), w.data(fromClient, 5, 0, "56789abcdef"), w.data(fromClient, 2, 0, "2")}
		}, late + "c1 send 0 \"abc\"\nc1 send 3 \"def\""},
		{"out of order", func(w *wire) []sent {
			h := w.handshake()
			return append(h, reversed([]sent{
				w.data(fromClient, 0, 0, "a"), w.data(fromClient, 1, 0, "b"), w.data(fromClient, 2, 0, "c")})...)
		}, opened + "c1 send 0 \"a\"\nc1 send 1 \"b\"\nc1 send 2 \"c\""},
		{"sent again and overlapping", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromClient, 0, 0, "abc"), w.data(fromClient, 0, 0, "abc"),
				w.data(fromClient, 1, 0, "bcde"), w.data(fromClient, 7, 0, "hi"), w.data(fromClient, 6, 0, "ghij"), w.data(fromClient, 3, 0, "defg"))
		}, opened + "c1 send 0 \"abc\"\nc1 send 3 \"de\"\nc1 send 5 \"fg\"\nc1 send 7 \"hij\""},
		{"lost: acknowledged and long ago", func(w *wire) []sent {
			return append(append(w.handshake(), w.data(fromClient, 0, 0, "abc"), w.data(fromClient, 7, 0, "hi")), many(w, 40)...)
		}, opened + "c1 send 0 \"abc\"\nc1 send 3 lost 4\nc1 send 7 \"hi\""},
		{"late but not lost", func(w *wire) []sent {
			p := append(append(w.handshake(), w.data(fromClient, 3, 0, "hi")), many(w, 20)...)
			return append(p, w.data(fromClient, 0, 0, "abc"))
		}, opened + "c1 send 0 \"abc\"\nc1 send 3 \"hi\""},
		{"lost: at the end of the file", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromClient, 3, 0, "hi"))
		}, opened + "c1 send 0 lost 3\nc1 send 3 \"hi\""},
		{"sent before the reset, captured behind it", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromServer, 3, 0, "hi"), w.seg(fromClient, flagRST, 0, 0, ""), w.data(fromServer, 0, 0, "abc"))
		}, opened + "c1 recv 0 \"abc\"\nc1 recv 3 \"hi\"\nc1 close"},
		{"reset before what it follows", func(w *wire) []sent {
			return append(w.handshake(), w.seg(fromClient, flagRST, 4, 3, ""), w.data(fromServer, 0, 0, "abc"), w.data(fromClient, 0, 0, "defg"))
		}, opened + "c1 recv 0 \"abc\"\nc1 send 0 \"defg\"\nc1 close"},
		{"lost: the last octets", func(w *wire) []sent {
			return append(append(w.handshake(), w.data(fromClient, 0, 0, "abc"), w.seg(fromClient, flagFIN, 5, 0, ""), w.seg(fromServer, flagFIN, 0, 6, "")), many(w, 40)...)
		}, opened + "c1 send 0 \"abc\"\nc1 send 3 lost 2\nc1 close"},
		{"lost: reset", func(w *wire) []sent {
			p := append(append(w.handshake(), w.data(fromServer, 3, 0, "hi"), w.seg(fromClient, flagRST, 0, 0, "")), many(w, 40)...)
			return append(p, w.data(fromServer, 0, 0, "abc"))
		}, opened + "c1 recv 0 lost 3\nc1 recv 3 \"hi\"\nc1 close"},
		{"lost: one direction only", func(w *wire) []sent {
			first := w.data(fromClient, 0, 0, "a")
			behind := w.data(fromClient, 2, 0, "c")
			w.now += 3 * second
			return []sent{first, behind, w.data(fromClient, 3, 0, "d")}
		}, late + "c1 send 0 \"a\"\nc1 send 1 lost 1\nc1 send 2 \"c\"\nc1 send 3 \"d\""},
		{"cut by the snap length", func(w *wire) []sent {
			return append(w.handshake(), cut(w.data(fromClient, 0, 0, "abcdef"), 4), cut(w.data(fromClient, 6, 0, "ghi"), 3),
				w.data(fromClient, 1, 0, "bcdefghijk"))
		}, opened + "c1 send 0 \"ab\"+4\nc1 send 6 \"\"+3\nc1 send 9 \"jk\""},
		{"addresses used anew", func(w *wire) []sent {
			first := append(w.handshake(), w.data(fromClient, 0, 0, "a"))
			w.isn = [2]uint32{1, 2}
			return append(first, append(w.handshake(), w.data(fromClient, 0, 0, "b"))...)
		}, opened + "c1 send 0 \"a\"\nc1 close\n" + strings.ReplaceAll(opened, "c1", "c2") + "c2 send 0 \"b\""},
		{"SYN behind the first octets", func(w *wire) []sent {
			h := w.handshake()
			return append([]sent{w.data(fromClient, 5, 0, "f"), w.data(fromServer, 3, 0, "d")}, append(h, w.data(fromClient, 6, 0, "g"))...)
		}, late + "c1 send 0 \"f\"\nc1 recv 0 \"d\"\nc1 send 1 \"g\""},
		{"every packet twice", func(w *wire) []sent {
			p := append(w.handshake(), w.data(fromClient, 0, 0, "a"), w.data(fromServer, 0, 1, "b"),
				w.seg(fromClient, flagFIN, 1, 1, ""), w.seg(fromServer, flagFIN, 1, 2, ""))
			var out []sent
			for _, s := range p {
				out = append(out, s, s)
			}
			return out
		}, opened + "c1 send 0 \"a\"\nc1 recv 0 \"b\"\nc1 close"},
		{"a number far outside", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromClient, 1<<30, 0, "x"), w.data(fromClient, 0, 0, "a"))
		}, opened + "c1 send 0 \"a\""},
		{"keep-alive", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromClient, 0, 0, "ab"), w.data(fromClient, 1, 0, "x"), w.data(fromClient, 2, 0, "c"))
		}, opened + "c1 send 0 \"ab\"\nc1 send 2 \"c\""},
		{"the other direction goes on beside a hole", func(w *wire) []sent {
			return append(w.handshake(), w.data(fromClient, 1, 0, "b"), w.data(fromServer, 0, 0, "x"), w.data(fromClient, 0, 1, "a"))
		}, opened + "c1 recv 0 \"x\"\nc1 send 0 \"a\"\nc1 send 1 \"b\""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := tell(read(t, test.packets(newWire())...)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestSilentHole: a hole does not wait for packets of its own connection.
func TestSilentHole(t *testing.T) {
	w, other := newWire(), newWire()
	p := append(w.handshake(), w.data(fromClient, 1, 0, "b"), w.seg(fromServer, 0, 0, 2, ""))
	other.client, other.now = other.server, w.now
	other.server = w.client
	other.isn[0] = 99
	other.now += second
	p = append(p, other.data(fromClient, 0, 0, "x"))
	other.now += second
	p = append(p, other.data(fromClient, 1, 0, "y"), other.data(fromClient, 2, 0, "z"))
	if got := tell(read(t, p...)); !strings.Contains(got, "lost 1") {
		t.Errorf("got\n%s", got)
	}
}

// TestTimes: octets have the time of the packet that completed them.
func TestTimes(t *testing.T) {
	w := newWire()
	p := w.handshake()
	b := w.data(fromClient, 1, 0, "b")
	a := w.data(fromClient, 0, 0, "a")
	events := read(t, append(p, b, a)...)
	for _, ev := range events {
		if ev.Time != a.time {
			t.Errorf("%v at %d, want %d", ev.Kind, ev.Time, a.time)
		}
	}
}

// TestTimesAfterLoss: what waited behind a hole that is given up has its place and
// time among what the other direction sent meanwhile.
func TestTimesAfterLoss(t *testing.T) {
	w := newWire()
	p := w.handshake()
	first := len(p)
	for i := range int64(60) { // the client's octet 2 is not in the capture
		if i != 2 {
			p = append(p, w.data(fromClient, i, i, "q"))
		}
		p = append(p, w.data(fromServer, i, i+1, "r"))
	}
	want := p[first:]
	var got []capture.Event
	for _, ev := range read(t, p...) {
		if ev.Kind == capture.Data {
			got = append(got, ev)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d events of %d packets", len(got), len(want))
	}
	for i := range got {
		if got[i].Time != want[i].time {
			t.Fatalf("event %d (%v %d) at %d, packet at %d", i, got[i].Direction, got[i].Offset, got[i].Time, want[i].time)
		}
	}
	// The first octets are lost: the connection opens with the earliest that are not.
	p = append(p[:first:first], p[first+1:]...)
	events := read(t, p...)
	if events[0].Kind != capture.Open || events[0].Time != p[first].time {
		t.Errorf("%v at %d, the first octets come at %d", events[0].Kind, events[0].Time, p[first].time)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Time < events[i-1].Time {
			t.Errorf("event %d goes back by %d ns", i, events[i-1].Time-events[i].Time)
		}
	}
}

// TestIgnored: of a connection that is of no interest only the end is told.
func TestIgnored(t *testing.T) {
	w := newWire()
	p := append(w.handshake(), w.data(fromClient, 0, 0, "a"), w.data(fromClient, 2, 0, "c"), w.data(fromServer, 0, 3, "b"),
		w.seg(fromClient, flagFIN, 3, 1, ""), w.seg(fromServer, flagFIN, 1, 4, ""))
	r := newReader(t, p)
	var got []capture.Event
	for {
		var ev capture.Event
		if r.Read(&ev) != nil {
			break
		}
		got = append(got, ev)
		if ev.Kind == capture.Data {
			r.Ignore(ev.Conn)
		}
	}
	if want := opened + "c1 send 0 \"a\"\nc1 close"; tell(got) != want {
		t.Errorf("got\n%s\nwant\n%s", tell(got), want)
	}
	if r.octets != 0 || len(r.byID) != 0 {
		t.Errorf("%d octets held, %d connections", r.octets, len(r.byID))
	}
}
