// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"testing"
)

func hiddenIn(t *testing.T, o *object) string {
	t.Helper()
	all := make([]*rule, len(rules))
	for i := range rules {
		all[i] = &rules[i]
	}
	hidden, err := o.findHidden(all)
	if err != nil {
		t.Fatal(err)
	}
	if hidden == nil {
		return ""
	}
	return hidden.Library
}

func TestHidden(t *testing.T) {
	for text, want := range map[string]string{
		"../../third_party/boringssl/src/ssl/ssl_lib.cc\x00": "BoringSSL",
		"../ssl/ssl_lib.c\x00":                               "OpenSSL",
		"OpenSSL 3.0.15 3 Sep 2024\x00":                      "", // what it was compiled for, not what it holds
		"ssl/ssl_lib.cpp\x00":                                "",
	} {
		// A text on the boundary of a chunk must not be missed.
		for shift := range len(text) + 1 {
			b := append(make([]byte, chunkSize-shift), text...)
			b = append(b, make([]byte, 100)...)
			all := extent{0, uint64(len(b))}
			o := &object{r: bytes.NewReader(b), size: uint64(len(b)), constant: []extent{all}}
			if got := hiddenIn(t, o); got != want {
				t.Fatalf("%q at %d: %q, want %q", text, chunkSize-shift, got, want)
			}
		}
	}
}

// TestHiddenBounds: constants among the code are found, and no more is read
// than the bound.
func TestHiddenBounds(t *testing.T) {
	b := append(make([]byte, 1000), "ssl/ssl_lib.c\x00"...)
	o := &object{r: bytes.NewReader(b), size: uint64(len(b)), segments: []segment{{offset: 0, size: uint64(len(b))}}}
	if got := hiddenIn(t, o); got != "OpenSSL" {
		t.Errorf("among the code: %q", got)
	}
	r := &countingReader{}
	o = &object{r: r, size: 1 << 40, constant: []extent{{0, 1 << 39}, {1 << 39, 1 << 39}}}
	if got := hiddenIn(t, o); got != "" || r.n < maxConstants || r.n > maxConstants+maxConstants/16 {
		t.Errorf("%q, %d octets read, want %d", got, r.n, maxConstants)
	}
}

// countingReader is a file without end of zeros.
type countingReader struct{ n int }

func (r *countingReader) ReadAt(b []byte, _ int64) (int, error) {
	r.n += len(b)
	return len(b), nil
}

func TestFamilyNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, family := range Families() {
		if name := family.Option(); name == "unknown" || seen[name] {
			t.Errorf("family %d is called %q", family, name)
		} else {
			seen[name] = true
		}
	}
	if Family(0).String() != "unknown" {
		t.Error("0 is a family")
	}
}
