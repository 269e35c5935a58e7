// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/netip"
	"testing"

	"h2sniff/capture"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// write records events and closes the recording.
func write(t testing.TB, events []capture.Event) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{Version: "test", Start: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// readAll returns copies of all events, and the error that ended them.
func readAll(r capture.Source) ([]capture.Event, error) {
	var events []capture.Event
	for {
		var ev capture.Event
		if err := r.Read(&ev); err != nil {
			return events, err
		}
		ev.Data = bytes.Clone(ev.Data)
		events = append(events, ev)
	}
}

func readBytes(file []byte) ([]capture.Event, error) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return readAll(r)
}

// diff compares events in every member; absent and empty Data are the same.
func diff(want, got []capture.Event) string {
	if len(want) == 0 && len(got) == 0 {
		return ""
	}
	return cmp.Diff(want, got,
		cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) }))
}

func checkRoundTrip(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, events []capture.Event) {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readBytes(file.Bytes())
	if !errors.Is(err, io.EOF) {
		t.Fatalf("reading ended with %v", err)
	}
	if d := diff(events, got); d != "" {
		t.Fatalf("events differ (-written +read):\n%s", d)
	}
}

// anyTime is any moment, mostly plausible ones.
func anyTime() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(1.7e18, 1.9e18), rapid.Int64())
}

func anyAddr() *rapid.Generator[netip.AddrPort] {
	return rapid.Custom(func(t *rapid.T) netip.AddrPort {
		// Few, so that connections meet on the same addresses.
		b := byte(rapid.IntRange(1, 3).Draw(t, "host"))
		port := rapid.SampledFrom([]uint16{0, 443, 8443, 50000}).Draw(t, "port")
		switch rapid.IntRange(0, 5).Draw(t, "family") {
		case 0:
			return netip.AddrPort{}
		case 1:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfd, 15: b}), port)
		case 2: // IPv4 in IPv6
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 10, 15: b}), port)
		case 3:
			zone := rapid.SampledFrom([]string{"eth0", "a]:b%", "ü"}).Draw(t, "zone")
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0xfe, 0x80, 15: b}).WithZone(zone), port)
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, b}), port)
	})
}

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"nginx", "", "a\x1b]52;c;\a\x7f", "\u009b2J\u202e𝔸", "\xff\xfe", "</script>&\\\""}),
		rapid.String(),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 15), func(b []byte) string { return string(b) }),
	)
}

// anyEvents draws a sequence in which every connection is opened, used and
// perhaps closed, and positions go as they please.
func anyEvents() *rapid.Generator[[]capture.Event] {
	return rapid.Custom(func(t *rapid.T) []capture.Event {
		n := rapid.IntRange(0, 40).Draw(t, "events")
		events := make([]capture.Event, 0, n)
		var open []capture.ConnID
		var last capture.ConnID
		next := make(map[capture.ConnID]*[2]uint64)
		tid := rapid.OneOf(rapid.Uint32Range(0, 2), rapid.Uint32())
		for range n {
			ev := capture.Event{Time: anyTime().Draw(t, "time"), TID: tid.Draw(t, "tid")}
			if len(open) == 0 || rapid.IntRange(0, 5).Draw(t, "open") == 0 {
				last += capture.ConnID(rapid.Uint32Range(1, 3).Draw(t, "step"))
				ev.Kind, ev.Conn = capture.Open, last
				ev.Info = &capture.ConnInfo{
					PID: rapid.Uint32().Draw(t, "pid"), TID: tid.Draw(t, "first tid"),
					Comm: anyText().Draw(t, "comm"), Library: anyText().Draw(t, "library"), Container: anyText().Draw(t, "container"),
					Role:  capture.Role(rapid.IntRange(0, 2).Draw(t, "role")),
					Fresh: rapid.Bool().Draw(t, "fresh"),
				}
				open = append(open, last)
				next[last] = new([2]uint64)
				events = append(events, ev)
				continue
			}
			i := rapid.IntRange(0, len(open)-1).Draw(t, "conn")
			ev.Conn = open[i]
			ev.Kind = rapid.SampledFrom([]capture.Kind{capture.Data, capture.Data, capture.Data, capture.Lost, capture.Unsent, capture.Bind, capture.Close}).Draw(t, "kind")
			switch ev.Kind {
			case capture.Close:
				open = append(open[:i], open[i+1:]...)
			case capture.Bind:
				ev.Binding = &capture.Binding{
					Local: anyAddr().Draw(t, "local"), Remote: anyAddr().Draw(t, "remote"),
					Evidence: capture.Evidence(rapid.IntRange(1, 3).Draw(t, "evidence")),
				}
			default:
				ev.Direction = capture.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))
				pos := &next[ev.Conn][ev.Direction]
				ev.Offset = *pos
				switch rapid.IntRange(0, 9).Draw(t, "position") {
				case 0:
					ev.Offset += rapid.Uint64Range(0, 1<<33).Draw(t, "hole")
				case 1:
					ev.Offset = rapid.Uint64().Draw(t, "offset")
				}
				if ev.Kind == capture.Data {
					size := rapid.OneOf(rapid.IntRange(0, 40), rapid.SampledFrom([]int{65494, 65495, 65496, 65475, 65476, 140000})).Draw(t, "size")
					ev.Data = bytes.Repeat([]byte{byte(size), 1, 2}, size/3+1)[:size]
				}
				ev.Length = uint64(len(ev.Data))
				if ev.Kind == capture.Lost || rapid.IntRange(0, 4).Draw(t, "whole") == 0 {
					ev.Length += rapid.OneOf(
						rapid.Uint64Range(0, 10), rapid.SampledFrom([]uint64{65495, 65496, 1 << 20, 64 * 65495, 64*65495 + 1}),
						rapid.Uint64Range(0, math.MaxUint64-1<<20),
					).Draw(t, "rest")
				}
				*pos = ev.Offset + ev.Length
			}
			events = append(events, ev)
		}
		return events
	})
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkRoundTrip(t, anyEvents().Draw(t, "events")) })
}

// TestRoundTripUnopened: a writer that begins in mid-connection, and ids that
// are used again, lose nothing either.
func TestRoundTripUnopened(t *testing.T) {
	open := capture.Event{Kind: capture.Open, Conn: 7, TID: 3, Time: 5, Info: &capture.ConnInfo{PID: 1}}
	data := capture.Event{Kind: capture.Data, Conn: 7, TID: 4, Offset: 1 << 40, Length: 3, Data: []byte("abc"), Time: 6}
	end := capture.Event{Kind: capture.Close, Conn: 7, Time: 7}
	checkRoundTrip(t, []capture.Event{data, end, data, open, data, open, end, end})
	checkRoundTrip(t, nil)
}

// TestReopened: an id that is used again without a close gives its addresses
// back.
func TestReopened(t *testing.T) {
	w, err := NewWriter(io.Discard, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := capture.Binding{Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.MustParseAddrPort("192.0.2.2:50000"), Evidence: capture.Exact}
	for range 2 {
		for _, ev := range []capture.Event{
			{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{}},
			{Kind: capture.Bind, Conn: 1, Binding: &b},
		} {
			if err := w.Write(&ev); err != nil {
				t.Fatal(err)
			}
		}
		if got := w.conns[1].path.local; got != b.Local {
			t.Errorf("the packets bear %v, not %v", got, b.Local)
		}
	}
}

// TestEndlessEvent: packets that never end an event do not fill the memory.
func TestEndlessEvent(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ev := capture.Event{Kind: capture.Data, Conn: 1, Length: 1, Data: []byte("a")}
	if err := w.Write(&ev); err != nil {
		t.Fatal(err)
	}
	c := w.conns[1]
	payload := make([]byte, c.path.maxPayload())
	for range 4 * maxEventData / len(payload) {
		w.packet(c, 0, &segment{flags: flagACK, seq: c.seq(capture.Send), payload: payload}, nil, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(r)
	if !errors.Is(err, ErrDamaged) || len(got) != 1 {
		t.Errorf("%d events, %v", len(got), err)
	}
	if cap(r.data) > 2*maxEventData {
		t.Errorf("%d octets kept", cap(r.data))
	}
}

func TestInvalidEvents(t *testing.T) {
	var file bytes.Buffer
	w, err := NewWriter(&file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	long := string(make([]byte, maxFacts+1))
	zone := netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone("\xff"), 1)
	for name, ev := range map[string]capture.Event{
		"no kind":          {},
		"unknown kind":     {Kind: capture.Close + 1},
		"open nothing":     {Kind: capture.Open},
		"long facts":       {Kind: capture.Open, Info: &capture.ConnInfo{Library: long}},
		"bind nothing":     {Kind: capture.Bind},
		"impossible zone":  {Kind: capture.Bind, Binding: &capture.Binding{Local: zone}},
		"third direction":  {Kind: capture.Data, Direction: 2},
		"data over length": {Kind: capture.Data, Data: []byte("abc"), Length: 2},
		"too much data":    {Kind: capture.Data, Data: make([]byte, maxEventData+1), Length: maxEventData + 1},
	} {
		if err := w.Write(&ev); !errors.Is(err, ErrInvalidEvent) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// The largest facts of the worst kind still fit, and the writer goes on.
	worst := string(bytes.Repeat([]byte{1}, maxFacts))
	events := []capture.Event{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Library: worst}},
		{Kind: capture.Data, Conn: 1, Data: make([]byte, maxEventData), Length: maxEventData},
	}
	for i := range events {
		if err := w.Write(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := readBytes(file.Bytes())
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if d := diff(events, got); d != "" {
		t.Fatal(d)
	}
}

func TestStats(t *testing.T) {
	events := []capture.Event{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{}},
		{Kind: capture.Data, Conn: 1, Offset: 0, Length: 10, Data: make([]byte, 4)},
		{Kind: capture.Data, Conn: 1, Offset: 15, Length: 1, Data: make([]byte, 1)}, // 5 lost before
		{Kind: capture.Lost, Conn: 1, Offset: 16, Length: 7},
		{Kind: capture.Data, Conn: 1, Direction: capture.Recv, Length: 2, Data: make([]byte, 2)},
	}
	derived := capture.Stats{Events: 5, Bytes: 20, LostBytes: 12, NotCopied: 6}
	given := capture.Stats{Events: 50, Bytes: 200, LostEvents: 3, LostBytes: 120, NotCopied: 60, Missed: 7}

	t.Run("derived", func(t *testing.T) {
		r, err := NewReader(bytes.NewReader(write(t, events)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(r); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if got := r.Stats(); got != derived {
			t.Errorf("got %+v, want %+v", got, derived)
		}
		if r.Start() != 1 {
			t.Errorf("start %d", r.Start())
		}
	})
	t.Run("given", func(t *testing.T) {
		var file bytes.Buffer
		w, err := NewWriter(&file, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			if err := w.Write(&events[i]); err != nil {
				t.Fatal(err)
			}
		}
		w.SetStats(capture.Stats{LostEvents: 2, Missed: 1})
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		flushed := bytes.Clone(file.Bytes())
		w.SetStats(given)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(bytes.NewReader(flushed))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(r); !errors.Is(err, ErrTruncated) {
			t.Fatal(err)
		}
		want := derived
		want.LostEvents, want.Missed = 2, 1
		if got := r.Stats(); got != want {
			t.Errorf("as far as it goes: got %+v, want %+v", got, want)
		}
		if r, err = NewReader(bytes.NewReader(file.Bytes())); err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(r); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if got := r.Stats(); got != given {
			t.Errorf("at the end: got %+v, want %+v", got, given)
		}
	})
}

// A sequence number that goes back is damage, since the writer notes such steps,
// and no hole of nearly 2^32 octets.
func TestSequenceNumberBackwards(t *testing.T) {
	events := []capture.Event{
		{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{}},
		{Kind: capture.Data, Conn: 1, Length: 500, Data: bytes.Repeat([]byte("first"), 60)},
		{Kind: capture.Data, Conn: 1, Offset: 500, Length: 6, Data: []byte("second")},
	}
	file := write(t, events)
	at := bytes.Index(file, []byte("second")) - 20 + 4 // in the TCP header
	seq := binary.BigEndian.Uint32(file[at:])
	for step, want := range map[uint32]error{0: io.EOF, 187: io.EOF, math.MaxInt32: io.EOF, 1 << 31: ErrDamaged, math.MaxUint32 - 186: ErrDamaged} {
		binary.BigEndian.PutUint32(file[at:], seq+step)
		got, err := readBytes(file)
		if !errors.Is(err, want) {
			t.Errorf("a step of %d: %v", int32(step), err)
		}
		if want == io.EOF && (len(got) != 3 || got[2].Offset != 500+uint64(step)) || want == ErrDamaged && len(got) != 2 {
			t.Errorf("a step of %d: %+v", int32(step), got)
		}
	}
}
