// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// partsOf gives the names and the octets of a row's parts.
func partsOf(t *testing.T, st *store.Store, seq uint64, masks func(*decode.Field) bool) (map[partKey]string, []octetPart) {
	t.Helper()
	e, err := st.Frame(seq)
	if err != nil {
		t.Fatal(err)
	}
	parts := frameParts(&e, blockOf(st, &e), masks)
	v := frameHex(&e, parts, 80)
	at, out := 0, map[partKey]string{}
	for _, p := range parts {
		if p.from < at || p.to <= p.from || p.to > v.len() {
			t.Fatalf("part %+v after octet %d of %d", p, at, v.len())
		}
		if p.from != at {
			t.Errorf("octets %d to %d are no part", at, p.from)
		}
		at = p.to
		var b []byte
		for i := p.from; i < p.to; i++ {
			b = append(b, v.at(i))
		}
		out[p.partKey] = string(b)
	}
	if at != v.len() {
		t.Errorf("%d of %d octets are parts", at, v.len())
	}
	return out, parts
}

// TestPartsCoverFrames: all octets of all kinds of frames are parts, in order,
// and the field lines are where their octets say.
func TestPartsCoverFrames(t *testing.T) {
	for _, st := range []*store.Store{sample(t).st, talkative(t).st, hostileStore("abc"), hostileStore(hostile["long hostile"])} {
		for seq := uint64(1); seq <= st.Snapshot().Rows; seq++ {
			if e, _ := st.Frame(seq); e.Kind == decode.RowFrame {
				partsOf(t, st, seq, nothingMasked)
			}
		}
	}
}

func TestPartsOfFieldBlocks(t *testing.T) {
	tr := newTraffic(0)
	k := tr.open(capture.ConnInfo{Fresh: true, Role: capture.Client})
	k.send().raw(http2.ClientPreface)
	k.send().write(func(f *http2.Framer) error { return f.WriteSettings() })
	first := tr.st.Snapshot().Rows + 1
	block := k.send().encode(":method", "GET", ":path", "/x", "authorization", "Basic abc", "x-long", strings.Repeat("v", 40))
	// In three frames, the cuts inside of representations; the first has
	// padding and a priority.
	k.send().write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], PadLength: 4, Priority: http2.PriorityParam{StreamDep: 7, Weight: 9}})
	})
	k.send().write(func(f *http2.Framer) error { return f.WriteContinuation(1, false, block[3:20]) })
	k.send().write(func(f *http2.Framer) error { return f.WriteContinuation(1, true, block[20:]) })
	var all [4]string
	for i := range uint64(3) {
		parts, list := partsOf(t, tr.st, first+i, isSecret)
		for n := range all {
			all[n] += parts[partKey{"field", n}]
		}
		for _, p := range list {
			if secret := p.name == "field" && p.n == 2; p.secret != secret {
				t.Errorf("row %d: %+v", first+i, p)
			}
		}
		if i == 0 && (parts[partKey{"depends on", 0}] != "\x00\x00\x00\x07" || parts[partKey{"weight", 0}] != "\x09" ||
			parts[partKey{"padding octets", 0}] != "\x00\x00\x00\x00" || parts[partKey{"padding", 0}] != "\x04") {
			t.Errorf("%v", parts)
		}
	}
	if got := strings.Join(all[:], ""); got != string(block) {
		t.Errorf("the fields are %x\nof %x", got, block)
	}
	e, _ := tr.st.Frame(first + 2)
	for n, f := range e.Fields {
		if len(all[n]) != f.Encoding.Octets() {
			t.Errorf("field %d has %d octets, not %d", n, len(all[n]), f.Encoding.Octets())
		}
	}
	// A size update in front, then fields.
	k.send().enc.SetMaxDynamicTableSize(100)
	k.send().headers(3, true, ":method", "GET", "x-a", "b")
	parts, _ := partsOf(t, tr.st, first+3, isSecret)
	if parts[partKey{"table size update", 0}] == "" || parts[partKey{"field", 1}] == "" {
		t.Errorf("%v", parts)
	}
	// Of a block that was not decoded, nothing is shown while secrets are
	// masked.
	k.send().write(func(f *http2.Framer) error {
		return f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 5, []byte("\x82\xff\xff\xff\xff\xff\xff\xff\x0f"))
	})
	_, list := partsOf(t, tr.st, first+4, isSecret)
	if last := list[len(list)-1]; last.name != "field block" {
		t.Errorf("%+v", last)
	}
}

// Nothing of a masked value is on any screen: not in the lists, not in any tab,
// not in the octets.
func TestSecretsAreMasked(t *testing.T) {
	secrets := []string{"c2VjcmV0", "session=8f2a", "session=9b1c", "63 32 56 6a"}
	for _, size := range [][2]int{{80, 24}, {120, 36}, {200, 60}} {
		m := newScreen(talkative(t).st, size[0], size[1], Options{})
		shown := func() (n int) {
			for i := range uint64(28) {
				m.frames.goTo(m, store.View{}, i+1, false)
				m.refresh()
				for range numTabs {
					press(m, "] 4 g")
					for range 3 {
						for _, s := range secrets {
							n += strings.Count(m.View(), s)
						}
						press(m, "pgdown")
					}
				}
			}
			return n
		}
		if n := shown(); n > 0 {
			t.Errorf("%v: secrets are on the screen %d times", size, n)
		}
		press(m, "*")
		if n := shown(); n == 0 {
			t.Errorf("%v: * does not show them", size)
		}
	}
}
