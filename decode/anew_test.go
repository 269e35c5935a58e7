// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// clientOctets are what a client sends at the beginning of a connection.
func clientOctets() (octets []byte, frames []truth) {
	tr := generate(7, 6)
	return tr.octets(capture.Send), tr.of(capture.Send)
}

// sentRows feeds pieces of the direction Send, each a call.
func sentRows(pieces ...[]byte) []seen {
	var events []capture.Event
	pos := uint64(0)
	for i, p := range pieces {
		events = append(events, capture.Event{Kind: capture.Data, Conn: 1, Time: int64(i), Offset: pos, Length: uint64(len(p)), Data: p})
		pos += uint64(len(p))
	}
	col, _ := decodeAll(true, events)
	return col.rows
}

func prefaces(rows []seen) int {
	n := 0
	for _, r := range rows {
		if r.Kind == RowPreface {
			n++
		}
	}
	return n
}

// wantAll wants frames, whole and with their fields, as the last ones of rows.
func wantAll(t *testing.T, where string, rows []seen, frames []truth) {
	t.Helper()
	var got []seen
	for _, r := range rows {
		if r.Kind == RowFrame {
			got = append(got, r)
		}
	}
	if len(got) < len(frames) {
		t.Fatalf("%s: %d frames, want %d", where, len(got), len(frames))
	}
	got = got[len(got)-len(frames):]
	for i, want := range frames {
		where := fmt.Sprintf("%s, frame %d", where, i)
		sameFrame(t, where, got[i], want)
		if got[i].Err != nil {
			t.Fatalf("%s: %v", where, got[i].Err)
		}
		if n := sameFields(t, where, got[i].Fields, want.fields); n != len(want.fields) {
			t.Fatalf("%s: %d fields of %d are exact", where, n, len(want.fields))
		}
	}
}

// TestRejectedEarlyData: a client that begins again, at a frame boundary, is
// decoded anew, however its octets are cut into calls.
func TestRejectedEarlyData(t *testing.T) {
	octets, frames := clientOctets()
	early := int(frames[4].offset) // a frame boundary
	all := slices.Concat(octets[:early], octets)
	for cut := 1; cut < len(all); cut++ {
		where := fmt.Sprintf("cut at %d", cut)
		rows := sentRows(all[:cut], all[cut:])
		if n := prefaces(rows); n != 2 {
			t.Fatalf("%s: %d prefaces", where, n)
		}
		for _, r := range rows {
			if r.Kind == RowGap {
				t.Fatalf("%s: a gap of %d octets", where, r.GapBytes)
			}
		}
		wantAll(t, where, rows, slices.Concat(frames[:4], frames))
	}
}

// TestRejectedEarlyDataCut: the same where early data ended inside a frame.
func TestRejectedEarlyDataCut(t *testing.T) {
	octets, frames := clientOctets()
	for cut := len(http2.ClientPreface); cut < len(octets); cut++ {
		where := fmt.Sprintf("%d octets of early data", cut)
		rows := sentRows(octets[:cut], octets)
		if n := prefaces(rows); n != 2 {
			t.Fatalf("%s: %d prefaces", where, n)
		}
		wantAll(t, where, rows, frames)
		told := 0
		for _, r := range rows {
			switch {
			case r.Kind == RowFrame && r.Err == errRejected:
				told++
			case r.Kind == RowGap && r.GapReason == GapSkipped:
				told++
			}
		}
		boundary := slices.ContainsFunc(frames, func(f truth) bool { return int(f.offset) == cut })
		if boundary == (told == 1) {
			t.Fatalf("%s: %d frames or gaps for what was cut", where, told)
		}
	}
}

// TestPrefaceInTunnel: a preface inside a frame is content once the server has
// answered.
func TestPrefaceInTunnel(t *testing.T) {
	tr, cl, sv := opened()
	must(sv.fr.WritePing(false, [8]byte{}))
	sv.wrote(nil, false)
	sv.flush()
	inner, _ := clientOctets()
	must(cl.fr.WriteData(1, false, inner))
	cl.wrote(nil, false)
	cl.call(frameHeaderSize)
	cl.flush()
	must(cl.fr.WritePing(false, [8]byte{1}))
	cl.wrote(nil, false)
	cl.flush()
	col, _ := decodeAll(true, tr.calls)
	if n := prefaces(col.rows); n != 1 {
		t.Errorf("%d prefaces", n)
	}
	frames := col.frames()
	last := frames[len(frames)-2]
	if len(frames) != len(tr.frames) || !bytes.Equal(last.Payload, inner) {
		t.Errorf("%d frames, want %d; the content is %d octets", len(frames), len(tr.frames), len(last.Payload))
	}
}
