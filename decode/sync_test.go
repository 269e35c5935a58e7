// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
)

// cutHead takes the first n octets of a direction away, as a late attach does,
// and whole calls of the other direction that came before.
func cutHead(calls []capture.Event, d capture.Direction, n uint64) []capture.Event {
	var out []capture.Event
	begun := false
	base := [2]uint64{}
	for _, ev := range calls {
		if ev.Direction == d && ev.Offset+ev.Length <= n || !begun && ev.Direction != d {
			continue
		}
		if !begun {
			begun = true
			base[d] = n
			if ev.Offset < n {
				ev.Data = ev.Data[n-ev.Offset:]
				ev.Offset, ev.Length = n, uint64(len(ev.Data))
			}
		}
		if ev.Direction != d && base[ev.Direction] == 0 {
			base[ev.Direction] = ev.Offset
		}
		ev.Offset -= base[ev.Direction]
		out = append(out, ev)
	}
	return out
}

// placed gives the frames of a direction by their position.
func placed(tr *traffic, d capture.Direction) map[uint64]truth {
	m := map[uint64]truth{}
	for _, f := range tr.frames {
		if f.dir == d {
			m[f.offset] = f
		}
	}
	return m
}

// TestLateAttach begins at every octet of a connection. From where a direction
// comes in step every frame is there and no value is wrong; and it does so at
// the first frame that begins after the attach, but for a few.
func TestLateAttach(t *testing.T) {
	late, attached := 0, 0
	for seed := range uint64(4) {
		tr := generate(seed, 14)
		for _, d := range []capture.Direction{capture.Send, capture.Recv} {
			all := placed(tr, d)
			total := uint64(len(tr.octets(d)))
			for n := uint64(1); n < total; n++ {
				events := cutHead(tr.calls, d, n)
				col, _ := decodeAll(false, events)
				where := fmt.Sprintf("seed %d, %v from octet %d", seed, d, n)
				first, synced := checkFrom(t, where, col, d, n, all, total)
				attached++
				next := total
				for at := range all {
					if at >= n {
						next = min(next, at)
					}
				}
				if synced && first != next || !synced && next != total {
					late++
				}
			}
		}
	}
	// Where little comes after the attach, or the first octets happen to look
	// like a header, a few frames are skipped. Each is told of by a gap.
	t.Logf("%d attaches, %d did not come in step with the first frame", attached, late)
	if late > attached/50 {
		t.Errorf("%d of %d attaches did not come in step with the first frame", late, attached)
	}
}

// checkFrom checks the frames of direction d against the truth, where the
// octets before position from were cut off, and gives the position of the
// first one.
func checkFrom(t *testing.T, where string, col *collector, d capture.Direction, from uint64, all map[uint64]truth, total uint64) (first uint64, synced bool) {
	t.Helper()
	pos := from
	for _, r := range col.rows {
		if r.Direction != d {
			continue
		}
		switch r.Kind {
		case RowPreface:
			pos += 24
		case RowGap:
			if synced {
				t.Fatalf("%s: a gap of %d (%v) after it came in step", where, r.GapBytes, r.GapReason)
			}
			pos += r.GapBytes
		case RowFrame:
			w, ok := all[pos]
			if !ok {
				t.Fatalf("%s: a frame at %d, where none is: %+v", where, pos, r.Header)
			}
			if !synced {
				first, synced = pos, true
			}
			at := fmt.Sprintf("%s, frame at %d", where, pos)
			sameFrame(t, at, r, w)
			if r.HasFields {
				sameFields(t, at, r.Fields, w.fields)
			}
			pos += frameHeaderSize + uint64(r.Header.Length)
		}
	}
	if synced && pos != total {
		t.Fatalf("%s: ends at %d of %d", where, pos, total)
	}
	return first, synced
}

// TestLostEvent takes each event of a connection away in turn, both as a hole
// between positions and as a Lost event. What is marked exact is right, and
// every frame outside the damage is found.
func TestLostEvent(t *testing.T) {
	// In 29 and 261 all that comes behind a hole is one small frame.
	for _, seed := range []uint64{0, 1, 2, 3, 4, 5, 29, 261} {
		tr := generate(seed, 25)
		for _, fresh := range []bool{true, false} {
			for i := range tr.calls {
				for _, told := range []bool{false, true} {
					events := append([]capture.Event(nil), tr.calls...)
					if told {
						events[i].Kind, events[i].Data = capture.Lost, nil
					} else {
						events = append(events[:i:i], events[i+1:]...)
					}
					where := fmt.Sprintf("seed %d, fresh %v, call %d of %d lost", seed, fresh, i, len(tr.calls))
					checkDamaged(t, where, fresh, events, tr, tr.calls[i])
				}
			}
		}
	}
}

// checkDamaged decodes events, in which the call lost is missing, and compares
// every row with the truth.
func checkDamaged(t *testing.T, where string, fresh bool, events []capture.Event, tr *traffic, lost capture.Event) {
	t.Helper()
	col, _ := decodeAll(fresh, events)
	d := lost.Direction
	var pos [2]uint64
	var got [2]map[uint64]seen
	got[0], got[1] = map[uint64]seen{}, map[uint64]seen{}
	all := [2]map[uint64]truth{placed(tr, 0), placed(tr, 1)}
	lostBytes := uint64(0)
	inPayload := uint64(0) // of the gap, what the next frame will count as its own
	for _, r := range col.rows {
		switch r.Kind {
		case RowPreface:
			pos[r.Direction] += 24
		case RowGap:
			if r.GapReason == GapLost {
				lostBytes += r.GapBytes
				inPayload = r.GapBytes
			}
			pos[r.Direction] += r.GapBytes
		case RowFrame:
			at := pos[r.Direction]
			if r.Missing > 0 {
				if uint64(r.Missing) > inPayload {
					t.Fatalf("%s: %d octets missing, gap was %d", where, r.Missing, inPayload)
				}
				at -= inPayload
				pos[r.Direction] -= uint64(r.Missing)
			}
			w, ok := all[r.Direction][at]
			if !ok {
				t.Fatalf("%s: a frame at %d (%v), where none is: %+v", where, at, r.Direction, r.Header)
			}
			if w.header != r.Header {
				t.Fatalf("%s: header %+v, want %+v", where, r.Header, w.header)
			}
			if r.HasFields {
				sameFields(t, where, r.Fields, w.fields)
			} else if w.hasFields && r.Err == nil {
				t.Fatalf("%s: no fields and no error: %+v", where, r.Header)
			}
			got[r.Direction][at] = r
			pos[r.Direction] += frameHeaderSize + uint64(r.Header.Length)
		}
	}
	// What comes last is missed only if a Lost event tells of it.
	tells := false
	for _, ev := range events {
		tells = tells || ev.Direction == d && ev.Offset >= lost.Offset
	}
	if tells && lostBytes != lost.Length {
		t.Fatalf("%s: %d octets told lost, %d are", where, lostBytes, lost.Length)
	}
	skipping := false // behind the hole, until a frame is found
	for _, w := range tr.frames {
		end := w.offset + frameHeaderSize + uint64(w.header.Length)
		cut := w.dir == d && end > lost.Offset && w.offset < lost.Offset+lost.Length
		skipping = skipping || cut || w.dir == d && w.offset == lost.Offset+lost.Length
		if _, ok := got[w.dir][w.offset]; ok {
			if w.dir == d && !cut {
				skipping = false
			}
			continue
		}
		// A frame cut by the hole may be gone. A frame of unknown type right
		// behind it says too little to begin with, and so does an empty one.
		weak := !known(w.header.Type) || w.header.Length == 0
		if cut || w.dir == d && skipping && weak {
			continue
		}
		t.Fatalf("%s: no frame at %d (%v) %+v", where, w.offset, w.dir, w.header)
	}
}

// TestRandomDamage loses several calls, and tails of calls, at random.
func TestRandomDamage(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 9))
		tr := generate(seed, 30)
		var events []capture.Event
		for _, ev := range tr.calls {
			switch rng.IntN(12) {
			case 0:
				continue
			case 1:
				ev.Data = ev.Data[:rng.IntN(len(ev.Data))]
			}
			events = append(events, ev)
		}
		col, _ := decodeAll(seed%2 == 0, events)
		// Rows tell only how many octets were lost, so frames are told by
		// their payload; each generated one has its own or no fields.
		want := map[string][]truth{}
		for _, f := range tr.frames {
			k := fmt.Sprint(f.dir, f.header, string(f.payload))
			want[k] = append(want[k], f)
		}
		for _, r := range col.frames() {
			if !r.HasFields || r.Missing > 0 {
				continue
			}
			k := fmt.Sprint(r.Direction, r.Header, string(r.Payload))
			fs := want[k]
			if len(fs) == 0 {
				t.Fatalf("seed %d: no such frame was sent: %+v", seed, r.Header)
			}
			sameFields(t, fmt.Sprintf("seed %d %+v", seed, r.Header), r.Fields, fs[0].fields)
		}
	}
}

// TestLateAttachInDownload attaches while DATA frames of 16 KiB come, in calls
// that do not begin where frames do. Bodies are of the kinds in which a frame
// header is easily seen where none is.
func TestLateAttachInDownload(t *testing.T) {
	for name, fill := range map[string]func(rng *rand.Rand, b []byte){
		"random": func(rng *rand.Rand, b []byte) { copy(b, randomOctets(rng, len(b))) },
		"zeroes": func(*rand.Rand, []byte) {},
		"small numbers": func(rng *rand.Rand, b []byte) {
			for i := range b {
				if rng.IntN(4) == 0 {
					b[i] = byte(rng.IntN(10))
				}
			}
		},
		"text": func(rng *rand.Rand, b []byte) {
			for i := range b {
				b[i] = " etaoinsr\n"[rng.IntN(10)]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(31, 32))
			tr, _, sv := opened()
			fields := responseFields(rng, 0)
			must(sv.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: sv.encode(fields)}))
			sv.wrote(fields, true)
			for i := range 40 {
				body := make([]byte, 1<<14)
				fill(rng, body)
				must(sv.fr.WriteData(1, i == 39, body))
				sv.wrote(nil, false)
			}
			sv.flush()
			all := placed(tr, capture.Recv)
			stream := tr.octets(capture.Recv)
			events := split(stream, capture.Recv, func(left int) int { return min(left, 16384) })
			for i := range 60 {
				n := uint64(60 + rng.IntN(300_000))
				if i%2 == 0 {
					n -= n % 16384 // where a call begins
				}
				where := fmt.Sprintf("from octet %d", n)
				col, _ := decodeAll(false, cutHead(events, capture.Recv, n))
				first, synced := checkFrom(t, where, col, capture.Recv, n, all, uint64(len(stream)))
				if !synced || first > n+2*16393 {
					t.Errorf("%s: first frame at %d, %v", where, first, synced)
				}
			}
		})
	}
}

// TestLateAttachInTunnel attaches in the middle of DATA that itself holds HTTP/2:
// its frames are taken for the connection's, but not what comes behind them.
func TestLateAttachInTunnel(t *testing.T) {
	inner := generate(5, 60)
	tr, _, sv := opened()
	must(sv.fr.WriteData(1, false, inner.octets(capture.Send)[:3500])) // to the middle of a frame
	sv.wrote(nil, false)
	rng := rand.New(rand.NewPCG(51, 52))
	for range 60 {
		must(sv.fr.WriteData(1, false, randomOctets(rng, 16384)))
		sv.wrote(nil, false)
	}
	sv.flush()
	all, whole := placed(tr, capture.Recv), tr.octets(capture.Recv)
	from := uint64(1000) // in the first DATA frame
	events := split(whole[from:], capture.Recv, func(left int) int { return min(left, 1500) })
	col, _ := decodeAll(false, append([]capture.Event{call(capture.Send, octets("000004 08 00 00000001 00000400"))}, events...))
	pos, found := from, 0
	for _, r := range col.rows {
		switch {
		case r.Direction != capture.Recv:
		case r.Kind == RowGap:
			pos += r.GapBytes
		case r.Kind == RowFrame:
			if w, ok := all[pos]; ok && w.header == r.Header {
				found++
			}
			pos += frameHeaderSize + uint64(len(r.Payload))
		}
	}
	if found < 55 {
		t.Errorf("%d frames of 60 are found", found)
	}
}
