// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
)

// octets are all that events carry, of each direction with holes left out and
// with each event by itself.
func octets(events []capture.Event) []byte {
	var b []byte
	for _, d := range []capture.Direction{capture.Send, capture.Recv} {
		for _, ev := range events {
			if ev.Direction == d {
				b = append(b, ev.Data...)
			}
		}
	}
	return b
}

// TestWholeConnection: nothing but secrets changes in the rows of a connection
// that was seen whole.
func TestWholeConnection(t *testing.T) {
	secretsSeen := 0
	for seed := range uint64(60) {
		sc := connection(seed, 12)
		for _, keep := range []bool{false, true} {
			secrets := sc.secrets
			out := redacted(t, sc.events, Options{Fields: []string{"X-API-Key"}, KeepData: keep})
			if !keep {
				wantNoSecret(t, fmt.Sprintf("seed %d", seed), octets(out), secrets)
				secretsSeen += len(secrets)
			}
			want, got := rows(sc.events), rows(out)
			sameRows(t, fmt.Sprintf("seed %d", seed), want, got, keep)
		}
	}
	if secretsSeen < 1000 {
		t.Errorf("%d secrets", secretsSeen)
	}
}

// sameRows compares rows in each direction: all but gaps, and of those that are
// holes in payloads nothing.
func sameRows(t *testing.T, where string, want, got []decode.Row, keep bool) {
	t.Helper()
	for _, dir := range []capture.Direction{capture.Send, capture.Recv} {
		w, g := framesOf(want, dir), framesOf(got, dir)
		if len(w) != len(g) {
			t.Fatalf("%s: %d rows, want %d", where, len(g), len(w))
		}
		for i := range w {
			sameRow(t, fmt.Sprintf("%s, %v row %d", where, dir, i), &w[i], &g[i], keep)
		}
	}
}

func framesOf(rows []decode.Row, dir capture.Direction) []decode.Row {
	var out []decode.Row
	for _, r := range rows {
		if r.Direction == dir && r.Kind != decode.RowGap {
			out = append(out, r)
		}
	}
	return out
}

func sameRow(t *testing.T, where string, w, g *decode.Row, keep bool) {
	t.Helper()
	if w.Kind != g.Kind || w.Header != g.Header || w.Time != g.Time || w.TimeEnd != g.TimeEnd || w.TID != g.TID ||
		w.HasFields != g.HasFields || w.Err != g.Err || w.Offset != g.Offset || len(w.Fields) != len(g.Fields) {
		t.Fatalf("%s:\n%+v\nwant\n%+v", where, g, w)
	}
	if (w.Table == nil) != (g.Table == nil) || w.Table != nil && *w.Table != *g.Table {
		t.Fatalf("%s: table %+v, want %+v", where, g.Table, w.Table)
	}
	switch {
	case w.Kind != decode.RowFrame:
	case w.Header.Type == 0x4d || w.Header.Type == http2.FrameData && !keep:
		shown := uint32(0)
		if w.Header.Type == http2.FrameData && w.Header.Flags.Has(http2.FlagDataPadded) {
			shown = 1
		}
		missing := g.Header.Length - shown
		if w.Header.Type == http2.FrameData {
			missing = 0 // left out, which is no damage
			if uint32(len(g.Payload)) != shown {
				t.Fatalf("%s: %d octets of DATA", where, len(g.Payload))
			}
		}
		if g.Missing != missing || shown == 1 && g.Payload[0] != w.Payload[0] {
			t.Fatalf("%s: %d octets missing of %d", where, g.Missing, g.Header.Length)
		}
	case w.Header.Type == http2.FrameHeaders || w.Header.Type == http2.FrameContinuation:
		if g.Missing != 0 {
			t.Fatalf("%s: %d octets missing", where, g.Missing)
		}
	default:
		if g.Missing != 0 || !bytes.Equal(w.Payload, g.Payload) {
			t.Fatalf("%s: payload differs", where)
		}
	}
	for i := range w.Fields {
		a, b := w.Fields[i], g.Fields[i]
		secret := a.Sensitive || a.Name == "authorization" || a.Name == "cookie" || a.Name == "set-cookie" || a.Name == "x-api-key"
		switch {
		case a.Name == ":path":
			path, _, _ := strings.Cut(a.Value, "?")
			if !strings.HasPrefix(b.Value, path+"?user=") || !strings.Contains(b.Value, "&n=") || b.Value == a.Value {
				t.Fatalf("%s: %q became %q", where, a.Value, b.Value)
			}
		case a.Name == "location":
			if !strings.HasPrefix(b.Value, "https://example.org/#") || a.Value == b.Value {
				t.Fatalf("%s: %q became %q", where, a.Value, b.Value)
			}
		case secret == (a.Value == b.Value):
			t.Fatalf("%s: %s: %q became %q", where, a.Name, a.Value, b.Value)
		}
		if len(a.Value) != len(b.Value) {
			t.Fatalf("%s: %q became %q", where, a.Value, b.Value)
		}
		a.Value, b.Value = "", ""
		if a != b {
			t.Fatalf("%s: %+v, want %+v", where, b, a)
		}
	}
}

// TestDamage: whatever is missing, no secret gets through, and what is left of
// the frames is what was left without it.
func TestDamage(t *testing.T) {
	var all, kept int
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		sc := connection(seed, 10)
		events := sc.events
		where := fmt.Sprintf("seed %d", seed)
		switch seed % 3 {
		case 0: // found in its middle
			n := 1 + rng.IntN(len(events)/2)
			open := events[0]
			open.Info = &capture.ConnInfo{Comm: "test"}
			var from [2]uint64
			for _, ev := range events[1:n] {
				from[ev.Direction] = ev.Offset + ev.Length
			}
			events = append([]capture.Event{open}, events[n:]...)
			for i := range events {
				if events[i].Kind == capture.Data {
					events[i].Offset -= from[events[i].Direction]
				}
			}
		case 1: // events lost
			for range 3 {
				i := 1 + rng.IntN(len(events)-2)
				events[i].Kind, events[i].Data = capture.Lost, nil
			}
		case 2: // the ends of some were not copied
			for range 3 {
				i := 1 + rng.IntN(len(events)-2)
				events[i].Data = events[i].Data[:rng.IntN(len(events[i].Data)+1)]
			}
		}
		out := redacted(t, events, Options{Fields: []string{"x-api-key"}})
		wantNoSecret(t, where, octets(out), sc.secrets)
		want, got := rows(events), rows(out)
		for _, dir := range []capture.Direction{capture.Send, capture.Recv} {
			w := make(map[uint64]decode.FrameHeader)
			for _, r := range framesOf(want, dir) {
				if r.Kind == decode.RowFrame {
					w[r.Offset] = r.Header
				}
			}
			all += len(w)
			for _, r := range framesOf(got, dir) {
				if r.Kind != decode.RowFrame {
					continue
				}
				if w[r.Offset] != r.Header {
					t.Fatalf("%s: %v frame %+v at %d is not in the original", where, dir, r.Header, r.Offset)
				}
				kept++
				delete(w, r.Offset)
			}
			for at, h := range w {
				// Of a field block that is broken already, or DATA whose content
				// does not help to find it behind the damage.
				if h.Type == http2.FrameHeaders && h.Flags.Has(http2.FlagHeadersEndHeaders) {
					t.Errorf("%s: %v frame %+v at %d is lost", where, dir, h, at)
				}
			}
		}
	}
	t.Logf("%d of %d frames", kept, all)
	if kept < all*99/100 {
		t.Errorf("only %d of %d frames are left", kept, all)
	}
}

// TestBrokenBlocks: of a field block that cannot be decoded to its end nothing is
// shown, wherever the fault is.
func TestBrokenBlocks(t *testing.T) {
	sc := newScript(1)
	secret := sc.secret()
	field := func(prefix ...byte) []byte { // a literal with the secret
		return append(append(prefix, byte(len(secret))), secret...)
	}
	for name, block := range map[string][]byte{
		"Huffman code behind it":        append(field(0x0f, 8), 0x00, 0x01, 'a', 0x82, 0xff, 0xff),
		"Huffman code before it":        append([]byte{0x00, 0x01, 'a', 0x82, 0xff, 0xff}, field(0x0f, 8)...),
		"index behind it":               append(field(0x0f, 8), 0xff, 0x80, 0x01),
		"index before it":               append([]byte{0xff, 0x80, 0x01}, field(0x0f, 8)...),
		"size update behind it":         append(field(0x0f, 8), 0x20),
		"size update too large, before": append([]byte{0x3f, 0xff, 0xff, 0x7f}, field(0x0f, 8)...),
		"cut in a value":                append(field(0x0f, 8), 0x00, 0x01, 'a', 0x05, 'b'),
	} {
		sc := newScript(2)
		sc.events = append(sc.events, capture.Event{Kind: capture.Open, Conn: 1, Info: &capture.ConnInfo{Fresh: true}})
		cl, sv := sc.sides[capture.Send], sc.sides[capture.Recv]
		must(sv.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096}))
		sv.flush()
		cl.out.WriteString(http2.ClientPreface)
		must(cl.fr.WriteSettings())
		must(cl.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: block}))
		cl.flush()
		sc.events = append(sc.events, capture.Event{Kind: capture.Close, Conn: 1})
		out := redacted(t, sc.events, Options{})
		wantNoSecret(t, name, octets(out), []string{secret})
		w, g := framesOf(rows(sc.events), capture.Send), framesOf(rows(out), capture.Send)
		const at = 3 // behind the opening, the preface and SETTINGS
		if len(w) != len(g) || w[at].Header != g[at].Header || w[at].Err == nil || g[at].Missing != uint32(len(block)) {
			t.Errorf("%s: %+v, %d of %d octets are missing", name, w[at].Err, g[at].Missing, len(block))
		}
	}
}

// TestUnsent: what was not sent after all is told.
func TestUnsent(t *testing.T) {
	sc := connection(4, 3)
	last := len(sc.events) - 1
	unsent := capture.Event{Kind: capture.Unsent, Conn: 1, Direction: capture.Send, Time: 5, Offset: 100, Length: 7}
	events := append(append(append([]capture.Event(nil), sc.events[:last]...), unsent), sc.events[last])
	for _, ev := range redacted(t, events, Options{}) {
		if ev.Kind == capture.Unsent && ev.Offset == 100 && ev.Length == 7 {
			return
		}
	}
	t.Error("it is not told")
}
