// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"testing"

	"h2sniff/capture"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzConn reads its input as events: a kind and direction, a length, a number
// of octets skipped, and the octets. Whatever they are, rows account for no
// more than what was fed.
func FuzzConn(f *testing.F) {
	for seed := range uint64(6) {
		tr := generate(seed, 6)
		var in []byte
		for _, ev := range tr.calls {
			for p := ev.Data; len(p) > 0; {
				n := min(len(p), 255)
				in = append(in, byte(ev.Direction), byte(n), 0)
				in = append(in, p[:n]...)
				p = p[n:]
			}
		}
		f.Add(true, in)
		f.Add(false, in[3+17:])
	}
	f.Add(true, append([]byte{1, 24, 0}, http2.ClientPreface...))
	f.Add(true, append([]byte{0, 18, 0}, "GET / HTTP/1.1\r\n\r\n"...))
	f.Add(true, append(append([]byte{1, 24, 0}, http2.ClientPreface...), "\x00\x18\x00HTTP/1.1 400 Bad Request"...))
	f.Fuzz(func(t *testing.T, fresh bool, in []byte) {
		c := NewConn(1)
		if len(in) > 0 && in[0]&4 != 0 {
			c.AssumeHTTP2()
		}
		var pos, rows, slack [2]uint64
		closing := false
		var other [2]bool // a row says that the direction carries something else
		emit := func(r *Row) {
			if r.Kind == RowProtocol && r.OneWay {
				if rows[r.Direction] > 0 || other[r.Direction] {
					t.Fatalf("%+v behind other rows", r)
				}
				other[r.Direction] = true
			} else if (r.Kind == RowGap || r.Kind == RowFrame || r.Kind == RowPreface) && other[r.Direction] {
				t.Fatalf("%+v of a direction that carries none", r)
			}
			switch r.Kind {
			case RowPreface:
				rows[r.Direction] += uint64(len(http2.ClientPreface))
			case RowGap:
				rows[r.Direction] += r.GapBytes
			case RowFrame:
				// Missing octets were counted by their gap. Content of DATA
				// that was left out has none, and the frame in progress at
				// the end does not say how much it was.
				payload := uint64(len(r.Payload))
				if lacking := uint64(r.Header.Length) - payload; r.Header.Type == http2.FrameData && closing {
					slack[r.Direction] += lacking
				} else if r.Header.Type == http2.FrameData {
					payload += lacking
				}
				rows[r.Direction] += frameHeaderSize + payload - uint64(r.Missing)
				p, err := ParsePayload(r.Header, r.Payload)
				// All of DATA can be left out, its pad length too.
				noPad := r.Header.Type == http2.FrameData && len(r.Payload) == 0 && err != nil && err.Code == http2.ErrCodeNo
				if r.Err == nil && err != nil && r.Missing == 0 && !noPad {
					t.Fatalf("row without error, %+v: %v", p, err)
				}
			}
			if s := r.Table; s != nil && (s.Held < 0 || s.Added < 0 || s.Evicted < 0 || s.Size > s.Max || s.Size > largestTableHeld) {
				t.Fatalf("%+v", s)
			}
			for _, fd := range r.Fields {
				if (fd.Trust == TrustExact) != (fd.NameKnown && fd.ValueKnown) {
					t.Fatalf("%+v", fd)
				}
			}
		}
		c.Feed(&capture.Event{Kind: capture.Open, Info: &capture.ConnInfo{Fresh: fresh}}, emit)
		for len(in) > 3 {
			d := capture.Direction(in[0] & 1)
			n := min(int(in[1]), len(in)-3)
			pos[d] += uint64(in[2])
			ev := capture.Event{Kind: capture.Data, Direction: d, Offset: pos[d], Length: uint64(n), Data: in[3 : 3+n]}
			if in[0]&2 != 0 {
				ev.Length += uint64(in[0])
			}
			if in[0]&0xf0 == 0xf0 {
				ev.Kind = capture.Lost
			}
			pos[d] += ev.Length
			c.Feed(&ev, emit)
			in = in[3+n:]
		}
		closing = true
		c.Feed(&capture.Event{Kind: capture.Close}, emit)
		for d := range pos {
			if c.Protocol() == HTTP2 && !other[d] && (pos[d] < rows[d] || pos[d] > rows[d]+slack[d]) {
				t.Fatalf("rows account for %d of %d octets", rows[d], pos[d])
			}
		}
	})
}

// FuzzHPACK decodes two blocks as x/net does, and again attached between them:
// what is exact then is what x/net says.
func FuzzHPACK(f *testing.F) {
	f.Add(unhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"), unhex("828684be5886a8eb10649cbf"))
	f.Add(unhex("400a637573746f6d2d6b65790d637573746f6d2d686561646572"), unhex("be3fe11f"))
	f.Add(unhex("3fe11f4001610162"), unhex("207f000163be"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var want []hpack.HeaderField
		net := hpack.NewDecoder(initialTableSize, func(f hpack.HeaderField) { want = append(want, f) })
		ours, late := fromStart(), new(sectionDecoder)
		late.table.attach()
		for i, p := range [][]byte{a, b} {
			want = nil
			_, err := net.Write(p)
			if err == nil {
				err = net.Close()
			}
			if ferr := ours.block(p); ferr != nil || err != nil {
				// x/net allows some that RFC 7541 does not (a size update
				// behind a field) and the reverse (integers longer than
				// ours); what was decoded before is compared.
				n := min(len(want), len(ours.fields))
				sameFields(t, "before the fault", ours.fields[:n], want[:n])
				return
			}
			if n := sameFields(t, "whole", ours.fields, want); n != len(want) {
				t.Fatalf("%d of %d fields exact", n, len(want))
			}
			if i == 1 {
				if err := late.block(p); err != nil {
					t.Fatalf("attached late: %v", err)
				}
				sameFields(t, "attached late", late.fields, want)
			}
		}
	})
}

// FuzzHuffman decodes as x/net does.
func FuzzHuffman(f *testing.F) {
	f.Add(unhex("f1e3c2e5f23a6ba0ab90f4ff"))
	f.Add(unhex("ffffffff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, err := hpack.HuffmanDecodeToString(b)
		got, ok := appendHuffman(nil, b)
		if ok != (err == nil) || ok && !bytes.Equal(got, []byte(want)) {
			t.Fatalf("%x %v, x/net %x %v", got, ok, want, err)
		}
	})
}
