// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// hole is n octets that were lost.
func hole(d capture.Direction, n uint64) capture.Event {
	return capture.Event{Kind: capture.Lost, Direction: d, Length: n}
}

// short is a call of which n more octets were moved than were copied.
func short(d capture.Direction, data string, n uint64) capture.Event {
	ev := call(d, data)
	ev.Length = uint64(len(data)) + n
	return ev
}

// outline writes the rows of one direction in short.
func outline(col *collector, d capture.Direction) string {
	var b strings.Builder
	for _, r := range col.rows {
		if r.Direction != d {
			continue
		}
		switch r.Kind {
		case RowGap:
			fmt.Fprintf(&b, "gap %d %v; ", r.GapBytes, r.GapReason)
		case RowFrame:
			fmt.Fprintf(&b, "%s %d", TypeName(r.Header.Type), len(r.Payload))
			if r.Missing > 0 {
				fmt.Fprintf(&b, " missing %d", r.Missing)
			}
			if r.Err != nil {
				fmt.Fprintf(&b, " %v", r.Err.Code)
			}
			for _, f := range r.Fields {
				fmt.Fprintf(&b, " [%s: %s, %v]", f.Name, f.Value, f.Trust)
			}
			b.WriteString("; ")
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestGaps(t *testing.T) {
	const send, recv = capture.Send, capture.Recv
	preface, settings, ping := http2.ClientPreface, octets(settingsHex), octets(pingHex)
	insert := octets("000005 01 05 00000001 4001610162") // a: b, inserted
	refer := octets("000001 01 05 00000003 be")          // the newest entry
	exact, lost := "[a: b, exact]", "[: , unknown since gap]"
	data := octets("000010 00 00 00000001")
	for _, c := range []struct {
		name  string
		calls []capture.Event
		want  string
	}{
		{"inside DATA", laidOut(call(recv, settings+insert+data+"abcd"), hole(recv, 8), call(recv, "mnop"+refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 8 lost; DATA 16 missing 8; HEADERS 1 " + exact},
		{"to the end of DATA", laidOut(call(recv, settings+insert+data+"abcd"), hole(recv, 12), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 12 lost; DATA 16 missing 12; HEADERS 1 " + exact},
		{"not copied inside DATA", laidOut(short(recv, settings+insert+data+"abcd", 12), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; DATA 4; HEADERS 1 " + exact},
		{"not copied beyond DATA", laidOut(short(recv, settings+insert+data+"abcd", 13), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 1 not copied; DATA 4; HEADERS 1 " + lost},
		{"all of DATA left out", laidOut(short(recv, settings+insert+data, 16), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; DATA 0; HEADERS 1 " + exact},
		{"DATA left out in several calls", laidOut(short(recv, settings+insert+data, 4), short(recv, "", 5), call(recv, "jklmnop"+refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; DATA 0; HEADERS 1 " + exact},
		{"padded DATA left out", laidOut(short(recv, settings+octets("000010 00 08 00000001"), 16), call(recv, ping)),
			"SETTINGS 0; DATA 0; PING 8"},
		{"not copied inside HEADERS", laidOut(short(recv, settings+insert+octets("000005 01 05 00000003 40016101"), 1), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 1 not copied; HEADERS 5 missing 1 NO_ERROR; HEADERS 1 " + lost},
		{"beyond the end of DATA", laidOut(call(recv, settings+insert+data+"abcd"), hole(recv, 13), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 13 lost; DATA 16 missing 12; HEADERS 1 " + lost},
		{"between frames", laidOut(call(recv, settings+insert), hole(recv, 100), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 100 lost; HEADERS 1 " + lost},
		{"inside a frame header", laidOut(call(recv, settings+insert+"\x00\x00"), hole(recv, 7), call(recv, "0123456789"+ping+refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 2 skipped; gap 7 lost; gap 10 skipped; PING 8; HEADERS 1 " + lost},
		{"inside HEADERS", laidOut(call(recv, settings+insert+octets("000005 01 05 00000003 40016101")), hole(recv, 1), call(recv, refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 1 lost; HEADERS 5 missing 1 NO_ERROR; HEADERS 1 " + lost},
		{"inside CONTINUATION", laidOut(call(recv, settings+insert+octets("000001 01 01 00000003 88 000003 09 00 00000003 88")), hole(recv, 2),
			call(recv, octets("000001 09 04 00000003 88")+refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; HEADERS 1; gap 2 lost; CONTINUATION 3 missing 2 NO_ERROR; CONTINUATION 1 NO_ERROR; HEADERS 1 " + lost},
		{"before a CONTINUATION run", laidOut(call(recv, settings+insert), hole(recv, 30), call(recv, octets("000001 09 00 00000003 88 000001 09 04 00000003 88")+refer)),
			"SETTINGS 0; HEADERS 5 " + exact + "; gap 30 lost; CONTINUATION 1 NO_ERROR; CONTINUATION 1 NO_ERROR; HEADERS 1 " + lost},
		{"learns anew", laidOut(call(recv, settings), hole(recv, 30), call(recv, insert+refer)),
			"SETTINGS 0; gap 30 lost; HEADERS 5 " + exact + "; HEADERS 1 " + exact},
		{"two holes in one payload", laidOut(call(recv, settings+data), hole(recv, 4), call(recv, "efgh"), hole(recv, 4), call(recv, "mnop"+ping)),
			"SETTINGS 0; gap 4 lost; gap 4 lost; DATA 16 missing 8; PING 8"},
		{"at the very beginning", laidOut(hole(recv, 9), call(recv, insert+refer)),
			"gap 9 lost; HEADERS 5 " + exact + "; HEADERS 1 " + exact},
		{"at the end", laidOut(call(recv, settings+data+"abcd"), hole(recv, 4)),
			"SETTINGS 0; gap 4 lost; DATA 8 missing 4 NO_ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			events := append(laidOut(call(send, preface+settings)), c.calls...)
			col, _ := decodeAll(true, events)
			if got := outline(col, recv); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// TestUnsent: octets that were told of and not sent after all change nothing
// about the frames before and behind them.
func TestUnsent(t *testing.T) {
	const send = capture.Send
	preface, settings, ping := http2.ClientPreface, octets(settingsHex), octets(pingHex)
	events := laidOut(call(send, preface+settings+ping))
	at := events[0].Length
	unsent := capture.Event{Kind: capture.Unsent, Direction: send, Offset: at - 5, Length: 5, Time: 2}
	next := call(send, ping)
	next.Offset, next.Length = at, uint64(len(ping))
	col, _ := decodeAll(true, append(events, unsent, next))
	if got, want := outline(col, send), "SETTINGS 0; PING 8; gap 5 not sent; PING 8"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Of a connection that has no rows there is nothing to correct.
	col, _ = decodeAll(true, []capture.Event{{Kind: capture.Unsent, Direction: send, Length: 5}})
	if got := outline(col, send); got != "" {
		t.Errorf("got %s", got)
	}
}

// TestGapZeroes puts zeroes where octets are missing.
func TestGapZeroes(t *testing.T) {
	events := laidOut(call(capture.Recv, octets(settingsHex+"000006 00 00 00000001")+"ab"), hole(capture.Recv, 2), call(capture.Recv, "ef"))
	col, _ := decodeAll(true, events)
	f := col.frames()
	if len(f) != 2 || string(f[1].Payload) != "ab\x00\x00ef" || f[1].Time != 1 || f[1].TimeEnd != 3 {
		t.Errorf("%+v", f[len(f)-1])
	}
}

// TestGapOfSettings loses a SETTINGS frame: what it may have allowed is not
// called an error.
func TestGapOfSettings(t *testing.T) {
	update := octets("000004 01 05 00000001 3fe1ff03") // table size 65536
	for _, lose := range []bool{false, true} {
		calls := []capture.Event{call(capture.Send, http2.ClientPreface+octets(settingsHex))}
		if lose {
			calls = append(calls, hole(capture.Send, 15))
		}
		calls = append(calls, call(capture.Recv, octets(settingsHex)+update))
		col, _ := decodeAll(true, laidOut(calls...))
		f := col.frames()
		if err := f[len(f)-1].Err; (err == nil) != lose {
			t.Errorf("SETTINGS lost %v: %v", lose, err)
		}
	}
}

// TestRepeatedOctets gives octets again that were there before.
func TestRepeatedOctets(t *testing.T) {
	tr := generate(2, 10)
	var events []capture.Event
	for i, ev := range tr.calls {
		events = append(events, ev)
		if i%3 == 0 {
			events = append(events, ev)
		}
		if i%4 == 0 && len(ev.Data) > 2 {
			ev.Offset++
			ev.Data, ev.Length = ev.Data[1:], ev.Length-1
			events = append(events, ev)
		}
	}
	col, _ := decodeAll(true, events)
	checkWhole(t, col, tr)
}

// TestAbsurdPositions feeds events that no program can have caused.
func TestAbsurdPositions(t *testing.T) {
	const most = ^uint64(0)
	for _, ev := range []capture.Event{
		{Kind: capture.Data, Offset: most, Length: most, Data: []byte("abc")},
		{Kind: capture.Data, Offset: 1 << 60, Length: most, Data: []byte("abc")},
		{Kind: capture.Lost, Offset: 0, Length: most},
		{Kind: capture.Lost, Offset: most - 1, Length: 5},
		{Kind: capture.Data, Length: 1, Data: []byte("longer than its length")},
		{Kind: capture.Data, Direction: 7, Length: 3, Data: []byte("abc")},
		{Kind: 99},
		{},
	} {
		decodeAll(true, []capture.Event{ev, ev, {Kind: capture.Data, Offset: 5, Length: 3, Data: []byte("abc")}})
	}
}

// TestLargeFrame sends one of 16 MiB: of its payload 1 MiB is kept, and the
// next frame is found.
func TestLargeFrame(t *testing.T) {
	raised := octets("000006 04 00 00000000 0005 00ffffff")
	frame := append(unhex("ffffff 00 00 00000001"), bytes.Repeat([]byte("x"), largestFrameSize)...)
	stream := append(append(unhex(settingsHex), frame...), unhex(pingHex)...)
	for _, size := range []int{len(stream), 1 << 20, 16384, 1000} {
		events := append(laidOut(call(capture.Send, http2.ClientPreface+raised)),
			split(stream, capture.Recv, func(left int) int { return min(left, size) })...)
		col, c := decodeAll(true, events)
		if got := outline(col, capture.Recv); got != "SETTINGS 0; DATA 1048576; PING 8" {
			t.Errorf("in calls of %d: %s", size, got)
		}
		if n := cap(c.dirs[capture.Recv].buf); n > keepBuffer {
			t.Errorf("%d octets kept after it", n)
		}
	}
}

// TestEndlessBlock continues a field block without end: little is held.
func TestEndlessBlock(t *testing.T) {
	c := NewConn(1)
	ignore := func(*Row) {}
	pos := uint64(0)
	feed := func(s string) {
		c.Feed(&capture.Event{Kind: capture.Data, Offset: pos, Length: uint64(len(s)), Data: []byte(s)}, ignore)
		pos += uint64(len(s))
	}
	c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: true}}, ignore)
	feed(http2.ClientPreface + octets(settingsHex) + octets("000001 01 00 00000001 82"))
	whole := octets("004000 09 00 00000001") + strings.Repeat("\x82", 1<<14)
	// A literal that says it goes on for a million octets.
	part := octets("004000 09 00 00000001 000161 7fc1843d") + strings.Repeat("v", 1<<14-7)
	for _, s := range []string{whole, part} {
		for range 200 {
			feed(s)
		}
	}
	f := &c.dirs[0].fields
	if n := cap(f.carry); n > 4<<20 {
		t.Errorf("%d octets carried", n)
	}
	if n := len(f.fields); n > maxSectionSize/entryOverhead {
		t.Errorf("%d fields kept", n)
	}
}
