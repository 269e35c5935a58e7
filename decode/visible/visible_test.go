// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestString(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"plain ASCII", "GET /index.html?q=~%20", "GET /index.html?q=~%20"},
		{"other scripts", "größe 日本語 привет 🎉", "größe 日本語 привет 🎉"},
		{"combining accent", "e\u0301tude", "e\u0301tude"},
		{"C0", "a\x00b\tc\r\nd", "a␀b␉c␍␊d"},
		{"DEL", "\x7f", "␡"},
		{"OSC 52", "\x1b]52;c;aGk=\x07", "␛]52;c;aGk=␇"},
		{"CSI 2J", "\x1b[2J", "␛[2J"},
		{"C1 as a rune", "\u009b2J", "‹U+009B›2J"},
		{"C1 as an octet", "\x9b2J", `\x9b2J`},
		{"cut rune", "a\xe2\x82", `a\xe2\x82`},
		{"overlong NUL", "\xc0\x80", `\xc0\x80`},
		{"surrogate", "\xed\xa0\x80", `\xed\xa0\x80`},
		{"replacement rune sent as such", "\ufffd", "\ufffd"},
		{"bidi override", "a\u202eb", "a‹U+202E›b"},
		{"bidi isolate", "\u2066x\u2069", "‹U+2066›x‹U+2069›"},
		{"marks of direction", "\u200e\u200f\u061c", "‹U+200E›‹U+200F›‹U+061C›"},
		{"zero width", "a\u200bb\u200dc\u2060d\ufeffe", "a‹U+200B›b‹U+200D›c‹U+2060›d‹U+FEFF›e"},
		{"separators", "\u2028\u2029\u0085", "‹U+2028›‹U+2029›‹U+0085›"},
		{"no-break space", "a\u00a0b\u3000c", "a‹U+00A0›b‹U+3000›c"},
		{"soft hyphen", "a\u00adb", "a‹U+00AD›b"},
		{"variation selectors", "❤\ufe0f\U000e0100", "❤‹U+FE0F›‹U+E0100›"},
		{"tag", "x\U000e0041", "x‹U+E0041›"},
		{"fillers", "\u3164\u115f\uffa0\u2800", "‹U+3164›‹U+115F›‹U+FFA0›‹U+2800›"},
		{"noncharacter", "\ufffe\U0010ffff", "‹U+FFFE›‹U+10FFFF›"},
		{"mark without a base", "\u0301a", "‹U+0301›a"},
		{"five marks", "a\u0301\u0302\u0303\u0304\u0305b", "a\u0301\u0302\u0303\u0304‹U+0305›b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := String(tt.in)
			if got != tt.want {
				t.Errorf("String(%q) = %q, want %q", tt.in, got, tt.want)
			}
			if a := string(Append([]byte("> "), tt.in)); a != "> "+got {
				t.Errorf("Append(%q) = %q, want %q", tt.in, a, "> "+got)
			}
		})
	}
}

func TestCleanStringsDoNotAllocate(t *testing.T) {
	for _, s := range []string{"", "content-type", "größe 日本語 e\u0301", strings.Repeat("x", 4096)} {
		if n := testing.AllocsPerRun(10, func() { _ = String(s) }); n != 0 {
			t.Errorf("String(%.20q) allocates %v times", s, n)
		}
	}
}

// harmful is written without the tables that the package uses, so that a
// mistake there shows.
func harmful(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f, r == 0xad, r == 0x34f, r == 0x61c,
		r >= 0x180b && r <= 0x180f, r >= 0x200b && r <= 0x200f,
		r >= 0x2028 && r <= 0x202e, r >= 0x2060 && r <= 0x206f,
		r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff, r >= 0xfff9 && r <= 0xfffb,
		r >= 0xe0000 && r <= 0xe0fff, r >= 0xd800 && r <= 0xdfff:
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

func TestEveryRune(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		s := "a" + string(r) + "b"
		check(t, s)
		if utf8.ValidRune(r) && Rune(r) != (String(s) == s) {
			t.Errorf("Rune(%U) is %v, but String gives %q", r, Rune(r), String(s))
		}
	}
	for c := range 256 {
		check(t, string([]byte{byte(c)}))
	}
}

func check(t *testing.T, in string) {
	got := String(in)
	if !utf8.ValidString(got) {
		t.Fatalf("String(%q) = %q is not UTF-8", in, got)
	}
	for _, r := range got {
		if harmful(r) {
			t.Fatalf("String(%q) = %q lets %U through", in, got, r)
		}
	}
	if again := String(got); again != got {
		t.Fatalf("String(%q) = %q, and again %q", in, got, again)
	}
	if len(in) > 0 && len(got) == 0 {
		t.Fatalf("String(%q) is empty", in)
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"", "plain", "\x1b]52;c;aGk=\x07", "\x9b2J\u009b", "\u202eabc\u2066",
		"a\u0301\u0302\u0303\u0304\u0305", "\xe2\x82", "❤\ufe0f", "\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		check(t, s)
		if got, app := String(s), string(Append(nil, s)); got != app {
			t.Fatalf("String(%q) = %q but Append gives %q", s, got, app)
		}
	})
}

func BenchmarkString(b *testing.B) {
	for _, bb := range []struct{ name, s string }{
		{"clean", "text/html; charset=utf-8, application/json"},
		{"hostile", "\x1b]52;c;aGk=\x07 \u202e"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.s)))
			b.ReportAllocs()
			for b.Loop() {
				_ = String(bb.s)
			}
		})
	}
}
