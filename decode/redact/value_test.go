// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"h2sniff/decode"
)

// TestValueKeepsLengths: whatever a value is, what stands in for it has the same
// length, coded and decoded, and depends on nothing else.
func TestValueKeepsLengths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octets := rapid.SampledFrom([]*rapid.Generator[byte]{
			rapid.Byte(), rapid.ByteRange('0', '9'), rapid.ByteRange(' ', '~'), rapid.ByteRange(0, 31), rapid.SampledFrom([]byte("aX\\\x00\xff")),
		}).Draw(t, "octets")
		value := string(rapid.SliceOfN(octets, 1, 60).Draw(t, "value"))
		a := rapid.IntRange(0, len(value)-1).Draw(t, "from")
		b := rapid.IntRange(a+1, len(value)).Draw(t, "to")
		secrets := []span{{a, b}}
		encoded := hpack.AppendHuffmanString(nil, value)
		got, ok := rewriteValue(nil, value, secrets, encoded, true)
		if !ok || len(got) != len(encoded) {
			t.Fatalf("%q: %d octets for %d, %v", value, len(got), len(encoded), ok)
		}
		s, err := hpack.HuffmanDecodeToString(got)
		if err != nil || len(s) != len(value) || s[:a] != value[:a] || s[b:] != value[b:] {
			t.Fatalf("%q became %q, %v", value, s, err)
		}
		// The same of any other secret with the same lengths.
		other := []byte(value)
		slices.Reverse(other[a:b])
		again, ok := rewriteValue(nil, string(other), secrets, encoded, true)
		if !ok || string(again) != string(got) {
			t.Fatalf("%q and %q are told apart: %q, %q", value, other, got, again)
		}
		plain, ok := rewriteValue(nil, value, secrets, []byte(value), false)
		if !ok || len(plain) != len(value) || string(plain[:a])+string(plain[b:]) != value[:a]+value[b:] {
			t.Fatalf("%q became %q", value, plain)
		}
		for _, c := range plain[a:b] {
			if c != mask {
				t.Fatalf("%q became %q", value, plain)
			}
		}
	})
}

func TestSecrets(t *testing.T) {
	s := New(nil, Options{Fields: []string{"X-Api-Key"}})
	for _, test := range []struct {
		name, value string
		sensitive   bool
		unknown     bool
		want        string // with _ for what is a secret
	}{
		{name: "authorization", value: "abc", want: "___"},
		{name: "Proxy-Authorization", value: "abc", want: "___"},
		{name: "cookie", value: "a=b", want: "___"},
		{name: "set-cookie", value: "a=b; Path=/", want: "___________"},
		{name: "x-api-key", value: "abc", want: "___"},
		{name: "x-other", value: "abc", want: "abc"},
		{name: "x-other", value: "abc", sensitive: true, want: "___"},
		{value: "abc", unknown: true, want: "___"},
		{name: "authorization", value: "", want: ""},
		{name: ":path", value: "/a=1/b", want: "/a=1/b"},
		{name: ":path", value: "/a?b=c&dd=ee;f=&g", want: "/a?b=_&dd=__;f=&_"},
		{name: ":path", value: "/a?b=c=d?e=f", want: "/a?b=___?e=_"},
		{name: "location", value: "https://x/?t=1#access_token=xyz", want: "https://x/?t=_#access_token=___"},
		{name: "referer", value: "/x#token", want: "/x#_____"},
		{name: "user-agent", value: "a?b=c", want: "a?b=c"},
		{name: ":path", value: "/?", want: "/?"},
	} {
		f := &decode.Field{Name: test.name, Value: test.value, NameKnown: !test.unknown, ValueKnown: true, Sensitive: test.sensitive}
		got := []byte(test.value)
		for _, sp := range s.secrets(f) {
			for i := sp.from; i < sp.to; i++ {
				got[i] = '_'
			}
		}
		if string(got) != test.want {
			t.Errorf("%s: %s: got %s, want %s", test.name, test.value, got, test.want)
		}
	}
}

// TestValueLooks: what stands in for a secret can be told from one.
func TestValueLooks(t *testing.T) {
	const value = "Basic dXNlcjpwYXNzd29yZA=="
	out, ok := rewriteValue(nil, value, []span{{0, len(value)}}, hpack.AppendHuffmanString(nil, value), true)
	if s, err := hpack.HuffmanDecodeToString(out); !ok || err != nil || s != "--------------xxxxxxxxxxxx" {
		t.Errorf("%q, %v", s, err)
	}
}
