// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// checkWhole demands that the rows are the connection's, with nothing missing
// and nothing unknown.
func checkWhole(t *testing.T, col *collector, tr *traffic) {
	t.Helper()
	n := [2]int{}
	for i, r := range col.rows {
		switch r.Kind {
		case RowGap:
			t.Fatalf("row %d: a gap of %d octets (%v)", i, r.GapBytes, r.GapReason)
		case RowFrame:
			want := tr.of(r.Direction)
			if n[r.Direction] == len(want) {
				t.Fatalf("row %d: a frame too many: %+v", i, r.Header)
			}
			w := want[n[r.Direction]]
			n[r.Direction]++
			where := fmt.Sprintf("%v frame %d", r.Direction, n[r.Direction])
			sameFrame(t, where, r, w)
			if r.Err != nil {
				t.Fatalf("%s: %v", where, r.Err)
			}
			if r.HasFields != w.hasFields {
				t.Fatalf("%s: HasFields %v, want %v", where, r.HasFields, w.hasFields)
			}
			if exact := sameFields(t, where, r.Fields, w.fields); exact != len(w.fields) {
				t.Fatalf("%s: %d fields of %d are exact", where, exact, len(w.fields))
			}
		}
	}
	if n[0]+n[1] != len(tr.frames) {
		t.Fatalf("%d frames, want %d", n[0]+n[1], len(tr.frames))
	}
}

func TestWholeConnection(t *testing.T) {
	for seed := range uint64(30) {
		tr := generate(seed, 60)
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("seed=%d,fresh=%v", seed, fresh), func(t *testing.T) {
				col, c := decodeAll(fresh, tr.calls)
				checkWhole(t, col, tr)
				if c.Protocol() != HTTP2 || c.Role() != capture.Client {
					t.Errorf("protocol %v, role %v", c.Protocol(), c.Role())
				}
				if k := col.rows[0].Kind; k != RowOpen {
					t.Errorf("first row is %v", k)
				}
				if k := col.rows[1].Kind; k != RowPreface {
					t.Errorf("second row is %v", k)
				}
				if k := col.rows[len(col.rows)-1].Kind; k != RowClose {
					t.Errorf("last row is %v", k)
				}
			})
		}
	}
}

// rowsOf decodes what a client (whose preface is added) and then a server
// sent, and gives the frames.
func rowsOf(t *testing.T, client, server []byte) []seen {
	t.Helper()
	client = append([]byte(http2.ClientPreface), client...)
	col, _ := decodeAll(true, []capture.Event{
		{Kind: capture.Data, Direction: capture.Send, Length: uint64(len(client)), Data: client},
		{Kind: capture.Data, Direction: capture.Recv, Length: uint64(len(server)), Data: server},
	})
	return col.frames()
}

// TestEveryCut cuts every direction at every octet.
func TestEveryCut(t *testing.T) {
	tr := generate(3, 12)
	for i := range tr.calls {
		ev := tr.calls[i]
		for n := 1; n < len(ev.Data); n++ {
			a, b := ev, ev
			a.Data, a.Length = ev.Data[:n], uint64(n)
			b.Data, b.Length, b.Offset = ev.Data[n:], ev.Length-uint64(n), ev.Offset+uint64(n)
			events := append([]capture.Event(nil), tr.calls[:i]...)
			events = append(events, a, b)
			events = append(events, tr.calls[i+1:]...)
			for _, fresh := range []bool{true, false} {
				col, _ := decodeAll(fresh, events)
				checkWhole(t, col, tr)
			}
		}
	}
}

// TestOctetByOctet feeds each octet on its own.
func TestOctetByOctet(t *testing.T) {
	tr := generate(4, 20)
	var events []capture.Event
	for _, ev := range tr.calls {
		for i := range ev.Data {
			one := ev
			one.Offset, one.Length, one.Data = ev.Offset+uint64(i), 1, ev.Data[i:i+1]
			events = append(events, one)
		}
	}
	for _, fresh := range []bool{true, false} {
		col, _ := decodeAll(fresh, events)
		checkWhole(t, col, tr)
	}
}

// TestAnySplit moves the octets in calls of any size.
func TestAnySplit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := generate(rapid.Uint64Range(0, 200).Draw(rt, "seed"), rapid.IntRange(1, 30).Draw(rt, "requests"))
		largest := rapid.IntRange(1, 400).Draw(rt, "largest")
		var events []capture.Event
		// Octets of one direction that come in a row are cut anew.
		for i := 0; i < len(tr.calls); {
			run := tr.calls[i]
			data := append([]byte(nil), run.Data...)
			for i++; i < len(tr.calls) && tr.calls[i].Direction == run.Direction; i++ {
				data = append(data, tr.calls[i].Data...)
			}
			for pos := 0; pos < len(data); {
				n := min(rapid.IntRange(1, largest).Draw(rt, "n"), len(data)-pos)
				ev := run
				ev.Offset, ev.Length, ev.Data = run.Offset+uint64(pos), uint64(n), data[pos:pos+n]
				events = append(events, ev)
				pos += n
			}
		}
		col, _ := decodeAll(rapid.Bool().Draw(rt, "fresh"), events)
		checkWhole(t, col, tr)
	})
}

// TestTimes gives a frame the times of its first and its last octet.
func TestTimes(t *testing.T) {
	settings := append([]byte(http2.ClientPreface), unhex("000000040000000000")...)
	ping := unhex("0000080600000000000102030405060708")
	all := append(settings, ping...)
	var events []capture.Event
	for i, n := range []int{0, 10, 30, 35, 40, len(all)} {
		if i > 0 {
			from := []int{0, 10, 30, 35, 40}[i-1]
			events = append(events, capture.Event{Kind: capture.Data, Time: int64(i), TID: uint32(i), Offset: uint64(from),
				Length: uint64(n - from), Data: all[from:n]})
		}
	}
	for _, fresh := range []bool{true, false} {
		col, _ := decodeAll(fresh, events)
		got := ""
		for _, r := range col.rows[1 : len(col.rows)-1] {
			got += fmt.Sprintln(r.Kind, r.Header.Type, r.Time, r.TimeEnd, r.TID)
		}
		want := "preface DATA 1 2 1\nframe SETTINGS 2 3 2\nframe PING 3 5 3\n"
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

// TestFieldBlockOrder breaks the rule that a field block is one run of frames.
func TestFieldBlockOrder(t *testing.T) {
	settings := "000000040000000000"
	headers := "000001 01 00 00000001 88" // :status 200, to be continued
	next := "000001 09 00 00000001 8d"    // :status 404
	last := "000000 09 04 00000001"
	whole := "000001 01 04 00000003 88"
	for _, c := range []struct {
		name, frames string
		want         []string // for each frame: error code, fields
	}{
		{"in order", headers + next + last, []string{"", "", " 2"}},
		{"DATA between", headers + "000000 00 01 00000001" + last, []string{"", "PROTOCOL_ERROR", " 1"}},
		{"unknown type between", headers + "000000 2a 01 00000001" + last, []string{"", "PROTOCOL_ERROR", " 1"}},
		{"another block between", headers + whole + whole, []string{"", "PROTOCOL_ERROR 1", " 1"}},
		{"other stream continued", headers + "000001 09 04 00000003 88" + whole, []string{"", "PROTOCOL_ERROR", " 1"}},
		{"nothing to continue", last + whole, []string{"PROTOCOL_ERROR", " 1"}},
		{"continued twice", whole + last + whole, []string{" 1", "PROTOCOL_ERROR", " 1"}},
		{"compression error early", "000001 01 00 00000001 80" + next + last + whole,
			[]string{"COMPRESSION_ERROR", "COMPRESSION_ERROR", "COMPRESSION_ERROR 0", " 1"}},
		{"cut in a field", "000002 01 04 00000001 8841" + whole, []string{"COMPRESSION_ERROR 1", " 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := rowsOf(t, unhex(settings), unhex(settings+c.frames))[2:]
			var got []string
			for _, r := range rows {
				s := ""
				if r.Err != nil {
					s = r.Err.Code.String()
				}
				if r.HasFields {
					s += fmt.Sprint(" ", len(r.Fields))
				}
				got = append(got, s)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestFrameSizeLimit holds a direction to what the other one announced, where
// that was seen.
func TestFrameSizeLimit(t *testing.T) {
	settings := unhex("000000040000000000")
	large := append(unhex("004001 00 00 00000001"), make([]byte, 16385)...)
	if rows := rowsOf(t, settings, append(bytes.Clone(settings), large...)); rows[2].Err != errFrameSize {
		t.Errorf("16385 octets: %v", rows[2].Err)
	}
	raised := unhex("000006 04 00 00000000 0005 00010000")
	if rows := rowsOf(t, raised, append(bytes.Clone(settings), large...)); rows[2].Err != nil {
		t.Errorf("16385 octets where 65536 are allowed: %v", rows[2].Err)
	}
}

func TestClose(t *testing.T) {
	settings := unhex("000000040000000000")
	for _, c := range []struct{ name, tail, want string }{
		{"in a payload", "000008 00 00 00000001 6162", "frame DATA 2 0 NO_ERROR"},
		{"behind a header", "000008 00 00 00000001", "frame DATA 0 0 NO_ERROR"},
		{"in a header", "000008 00", "gap DATA 0 4 "},
		{"of a malformed one", "000009 06 00 00000000 0102", "frame PING 2 0 FRAME_SIZE_ERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := append(bytes.Clone(settings), unhex(c.tail)...)
			col, _ := decodeAll(true, []capture.Event{{Kind: capture.Data, Direction: capture.Recv, Length: uint64(len(server)), Data: server}})
			if len(col.rows) != 4 {
				t.Fatalf("%d rows", len(col.rows))
			}
			r := col.rows[2]
			got := fmt.Sprint(r.Kind, " ", r.Header.Type, " ", len(r.Payload), " ", r.GapBytes, " ")
			if r.Err != nil {
				got += r.Err.Code.String()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestBindRows passes bindings on, whenever they come.
func TestBindRows(t *testing.T) {
	c := NewConn(5)
	var col collector
	b := &capture.Binding{Evidence: capture.Inferred}
	c.Feed(&capture.Event{Kind: capture.Bind, Conn: 5, Time: 3, Binding: b}, col.emit)
	if len(col.rows) != 1 || col.rows[0].Kind != RowBind || col.rows[0].Binding != b || col.rows[0].Conn != 5 || col.rows[0].Time != 3 {
		t.Errorf("%+v", col.rows)
	}
}
