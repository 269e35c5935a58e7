// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

// hostile is what a peer may send to harm or to deceive who looks at it.
var hostile = map[string]string{
	"clear screen":     "a\x1b[2J\x1b[Hb",
	"clipboard":        "\x1b]52;c;aGFybQ==\x07",
	"title":            "\x1b]0;owned\x1b\\",
	"8-bit controls":   "a\x9b2Jb\x90q\x9c",
	"C1 runes":         "a\u009b2Jb\u0085c",
	"C0 controls":      "\x00\x01\x07\x08\t\n\v\f\r\x0e\x0f\x7f",
	"SGR":              "\x1b[31mred\x1b[0m",
	"bidi":             "user\u202etxt.exe\u2066\u2069\u061c\u200f",
	"zero width":       "pay\u200bpal\ufeff\u2060\u00ad",
	"combining":        "e\u0301" + strings.Repeat("\u0300", 500) + "x",
	"combining first":  "\u0300\u0301abc",
	"wide":             strings.Repeat("漢字", 200),
	"half a wide one":  "x" + strings.Repeat("漢", 100),
	"emoji":            strings.Repeat("👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽", 40),
	"flags":            strings.Repeat("🇩", 101),
	"jamo":             strings.Repeat("\u1100\u1161\u11a8", 50) + strings.Repeat("\u1100", 300),
	"indic":            strings.Repeat("क्षि", 60),
	"prepend":          strings.Repeat("\u0600", 80) + "1",
	"invalid UTF-8":    "\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80a\xe2\x82",
	"separators":       "a\u2028b\u2029c\u3000d\u00a0e",
	"tags":             "a\U000e0001\U000e0041b",
	"private":          "\ue000\U000f0000\uffff",
	"long":             strings.Repeat("0123456789abcdef", 1<<16),
	"long hostile":     strings.Repeat("\x1b[2J漢\u202e\xff", 1<<16),
	"long invisible":   strings.Repeat("\u200b", 1<<19),
	"long combining":   "a" + strings.Repeat("\u0301", 1<<19),
	"variation":        "\u2764\ufe0f\u2764\ufe0e",
	"rtl":              strings.Repeat("שלום مرحبا ", 20),
	"tab and newlines": "a\tb\nc\r\nd",
}

// hostileStore has s wherever a peer or another process can put a text.
func hostileStore(s string) *store.Store {
	st := store.New(store.Options{})
	now := sampleStart
	add := func(r decode.Row) {
		r.Time, r.TimeEnd = now, now+1
		now += 1000
		if r.Conn == 0 {
			r.Conn = 1
		}
		st.Append(&r)
	}
	frame := func(t http2.FrameType, f http2.Flags, stream uint32, payload string, fields ...decode.Field) {
		add(decode.Row{Kind: decode.RowFrame, Payload: []byte(payload), Fields: fields, HasFields: fields != nil,
			Header: decode.FrameHeader{Length: uint32(len(payload)), Type: t, Flags: f, StreamID: stream}})
	}
	field := func(name, value string) decode.Field {
		return decode.Field{Name: name, Value: value, NameKnown: true, ValueKnown: true}
	}
	short := s[:min(len(s), 60000)]
	add(decode.Row{Kind: decode.RowOpen, Info: &capture.ConnInfo{PID: 1, Comm: s[:min(len(s), 15)], Library: short, Fresh: true}})
	add(decode.Row{Kind: decode.RowBind, Binding: &capture.Binding{Evidence: capture.Inferred,
		Local:  netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(short[:min(len(short), 100)]), 443),
		Remote: netip.MustParseAddrPort("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")}})
	frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, s,
		field(":method", s), field(":path", s), field(":authority", s), field(s, s))
	frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, 1, s, field(":status", s), field("x", s))
	frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, s, field(s, s), decode.Field{Trust: decode.UnknownSinceGap, Unknown: -3},
		decode.Field{Trust: decode.UnknownSinceAttach, ValueKnown: true, Value: s, Sensitive: true})
	frame(http2.FrameData, 0xff, 1, s)
	frame(http2.FrameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x02"+s)
	frame(decode.FrameAltSvc, 0, 0, string([]byte{byte(len(short) >> 8), byte(len(short))})+short+s)
	frame(decode.FrameOrigin, 0, 0, string([]byte{byte(len(short) >> 8), byte(len(short))})+short)
	frame(decode.FramePriorityUpdate, 0, 0, "\x00\x00\x00\x01"+s)
	frame(http2.FrameSettings, 0, 0, s[:len(s)/6*6])
	frame(0xee, 0xff, 0, s)
	add(decode.Row{Kind: decode.RowFrame, Header: decode.FrameHeader{Length: 9, StreamID: 1}, Payload: make([]byte, 9), Missing: 4,
		Err: &decode.FrameError{Code: http2.ErrCode(99), Reason: s}})
	frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3, short,
		field(":method", "POST"), field(":path", "/"+s), field("content-type", "application/grpc+"+short), field("grpc-encoding", short))
	frame(http2.FrameData, http2.FlagDataEndStream, 3, string([]byte{0, 0, 0, byte(len(short) >> 8), byte(len(short))})+short)
	add(decode.Row{Kind: decode.RowFrame, Direction: capture.Recv, HasFields: true,
		Fields: []decode.Field{field(":status", "200"), field("content-type", "application/grpc"), field("grpc-status", short), field("grpc-message", short)},
		Header: decode.FrameHeader{Type: http2.FrameHeaders, Flags: http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream, StreamID: 3}})
	add(decode.Row{Kind: decode.RowGap, GapBytes: 1 << 63, GapReason: decode.GapLost})
	add(decode.Row{Kind: decode.RowKind(200)})
	add(decode.Row{Kind: decode.RowClose})
	return st
}

func TestHostileText(t *testing.T) {
	for name, s := range hostile {
		sizes := [][2]int{{80, 24}, {120, 36}, {200, 60}, {31, 9}, {7, 15}}
		if len(s) > 1<<17 {
			sizes = sizes[:2]
		}
		t.Run(name, func(t *testing.T) {
			st := hostileStore(s)
			for _, colours := range []bool{false, true} {
				m := newScreen(st, 80, 24, Options{Source: s, Renderer: renderer(colours), Status: func() Status {
					return Status{Text: s}
				}})
				check := func(where string) {
					t.Helper()
					if err := checkScreen(m); err != nil {
						t.Fatalf("%s at %dx%d: %v", where, m.width, m.height, err)
					}
				}
				if colours {
					sizes = sizes[:1]
				}
				for _, size := range sizes {
					do(m, tea.WindowSizeMsg{Width: size[0], Height: size[1]})
					for _, keys := range []string{"1 g", "2 g", "3 g", "4 g"} {
						press(m, keys)
						check(keys)
					}
					press(m, "3 g")
					for i := range st.Snapshot().Rows {
						check("frames")
						press(m, "4 pgdown")
						check("detail")
						press(m, "pgdown G")
						check("end of the detail")
						// The longest take a while to lay out: the DATA frame has them all.
						if size == sizes[0] && !colours && (len(s) <= 1<<17 || i == 5) {
							for range numTabs {
								press(m, "]")
								check("tab " + tabNames[m.detail.tab])
								press(m, "G left right")
								check("end of tab " + tabNames[m.detail.tab])
							}
						}
						press(m, "3 j")
					}
					// Typed and pasted text is as strange.
					press(m, "/")
					do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s[:min(len(s), 4000)]), Paste: true})
					check("prompt")
					press(m, "esc")
					press(m, "3 g ctrl+f")
					do(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(s[:min(len(s), 40)]), Paste: true})
					press(m, "enter")
					for range 4 {
						check("a match in tab " + tabNames[m.detail.tab])
						press(m, "n")
					}
					press(m, "esc esc esc")
				}
			}
		})
	}
	st := store.New(store.Options{})
	for name, s := range hostile {
		m := newScreen(st, 80, 24, Options{Live: true, Source: s, Status: func() Status { return Status{Err: errors.New(s)} }})
		if err := checkScreen(m); err != nil {
			t.Errorf("%s as an error: %v", name, err)
		}
	}
}

// Nothing of a long text is hidden without a word.
func TestLongValuesSayWhatIsNotShown(t *testing.T) {
	st := hostileStore(strings.Repeat("v", 1<<20))
	m := newScreen(st, 120, 36, Options{})
	press(m, "j j 4")
	seen := ""
	for range 300 {
		seen += m.View()
		press(m, "pgdown")
	}
	if !strings.Contains(seen, "octets more)") {
		t.Error("a value of 1 MiB was cut in silence")
	}
}

// Any text in any place, any size, any keys: the screen keeps its bounds.
func TestAnyTextAnySizeAnyKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "text"))
		if rapid.Bool().Draw(t, "runes") {
			s = rapid.String().Draw(t, "string")
		}
		m := newScreen(hostileStore(s), 80, 24, Options{Source: s, Renderer: renderer(rapid.Bool().Draw(t, "colours"))})
		drive(t, m, func() {}, 25)
	})
}

// The same on traffic that goes on, with a history that evicts.
func TestAnyKeysWhileCapturing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := newTraffic(store.MinHistory)
		k := tr.requests(5)
		stream := uint32(11)
		m := newScreen(tr.st, 80, 24, Options{Live: rapid.Bool().Draw(t, "live"), Renderer: renderer(false)})
		drive(t, m, func() {
			switch rapid.IntRange(0, 6).Draw(t, "traffic") {
			case 0:
				k.close()
				k, stream = tr.requests(1), 3
			case 1:
				k.recv().data(stream, false, strings.Repeat("z", 200<<10)) // evicts soon
			case 2:
				k.send().lose(100)
			default:
				k.more(stream, 3)
				stream += 6
			}
		}, 60)
	})
}

// drive does n random things to m, and checks the screen after each.
func drive(t *rapid.T, m *Model, traffic func(), n int) {
	keys := []string{"j", "k", "up", "down", "pgup", "pgdown", "ctrl+u", "ctrl+d", "home", "end", "g", "G", "tab", "shift+tab",
		"1", "2", "3", "4", "enter", "enter", "s", "esc", "/", "1", "3", "9", "x", "backspace", "space", "?", "q", "é", "漢",
		"[", "]", "*", "y", "c", "w", "W", "+", "-", "0", "left", "right", "h",
		"ctrl+f", "n", "N", "e", "E", "o", "O", "r", "'", "m", "|", "z", "C", "S", ":"}
	for i := range n {
		switch rapid.IntRange(0, 9).Draw(t, "do") {
		case 0:
			w, h := rapid.IntRange(-1, 210).Draw(t, "w"), rapid.IntRange(-1, 65).Draw(t, "h")
			if rapid.IntRange(0, 3).Draw(t, "tiny") == 0 {
				w, h = w%6, h%6
			}
			do(m, tea.WindowSizeMsg{Width: w, Height: h})
		case 1:
			do(m, tea.MouseMsg{X: rapid.IntRange(-2, 210).Draw(t, "x"), Y: rapid.IntRange(-2, 65).Draw(t, "y"),
				Action: tea.MouseAction(rapid.IntRange(0, 2).Draw(t, "action")), Button: tea.MouseButton(rapid.IntRange(0, 11).Draw(t, "button"))})
		case 2, 3:
			traffic()
			do(m, later(i+1))
		default:
			do(m, keyMsg(rapid.SampledFrom(keys).Draw(t, "key")))
		}
		if err := checkScreen(m); err != nil {
			t.Fatal(err)
		}
	}
}
