// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	must(err)
	return b
}

// pairs writes fields as the RFC does.
func pairs(fields []Field) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name+": "+f.Value)
	}
	return out
}

func (t *table) pairs() (out []string) {
	for i := range t.n {
		out = append(out, t.at(i).Name+": "+t.at(i).Value)
	}
	return out
}

// fromStart is a decoder that saw its encoder begin.
func fromStart() *sectionDecoder {
	d := &sectionDecoder{sizeLimit: initialTableSize, limitKnown: true}
	d.table.start()
	return d
}

func (d *sectionDecoder) block(p []byte) *FrameError {
	d.begin()
	return d.write(p, true)
}

func TestRFC7541Integers(t *testing.T) { // C.1
	for _, c := range []struct {
		name   string
		octets string
		prefix uint
		want   uint64
	}{
		{"C.1.1", "0a", 5, 10},
		{"C.1.2", "1f9a0a", 5, 1337},
		{"C.1.3", "2a", 8, 42},
	} {
		b := unhex(c.octets)
		v, n, err := hpackInteger(b, c.prefix)
		if err != nil || v != c.want || n != len(b) {
			t.Errorf("%s: %d, %d octets, %v", c.name, v, n, err)
		}
		for i := 1; i < len(b); i++ {
			if _, _, err := hpackInteger(b[:i], c.prefix); err != errIncompleteRep {
				t.Errorf("%s cut at %d: %v", c.name, i, err)
			}
		}
	}
	for _, s := range []string{"7fffffffffffff00", "7f8080808080808080808001", "7fffffffff7f"} {
		if _, _, err := hpackInteger(unhex(s), 7); err != errHpackInteger {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestRFC7541Representations(t *testing.T) { // C.2
	for _, c := range []struct {
		name, octets, field string
		table               []string
		sensitive           bool
	}{
		{"C.2.1", "400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", []string{"custom-key: custom-header"}, false},
		{"C.2.2", "040c2f73616d706c652f70617468", ":path: /sample/path", nil, false},
		{"C.2.3", "100870617373776f726406736563726574", "password: secret", nil, true},
		{"C.2.4", "82", ":method: GET", nil, false},
	} {
		d := fromStart()
		if err := d.block(unhex(c.octets)); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := pairs(d.fields); fmt.Sprint(got) != fmt.Sprint([]string{c.field}) {
			t.Errorf("%s: %v", c.name, got)
		}
		if fmt.Sprint(d.table.pairs()) != fmt.Sprint(c.table) || d.fields[0].Sensitive != c.sensitive {
			t.Errorf("%s: table %v, sensitive %v", c.name, d.table.pairs(), d.fields[0].Sensitive)
		}
	}
}

// TestRFC7541Sequences runs the requests of C.3 and C.4 and the responses of
// C.5 and C.6, the latter with a table of 256 octets.
func TestRFC7541Sequences(t *testing.T) {
	type step struct {
		octets string
		fields []string
		table  []string
		size   uint64
	}
	requests := func(octets ...string) []step {
		authority, noCache, custom := ":authority: www.example.com", "cache-control: no-cache", "custom-key: custom-value"
		return []step{
			{octets[0], []string{":method: GET", ":scheme: http", ":path: /", authority}, []string{authority}, 57},
			{octets[1], []string{":method: GET", ":scheme: http", ":path: /", authority, noCache}, []string{noCache, authority}, 110},
			{octets[2], []string{":method: GET", ":scheme: https", ":path: /index.html", authority, custom}, []string{custom, noCache, authority}, 164},
		}
	}
	responses := func(octets ...string) []step {
		private, date, location := "cache-control: private", "date: Mon, 21 Oct 2013 20:13:21 GMT", "location: https://www.example.com"
		later, gzip := "date: Mon, 21 Oct 2013 20:13:22 GMT", "content-encoding: gzip"
		cookie := "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
		return []step{
			{octets[0], []string{":status: 302", private, date, location}, []string{location, date, private, ":status: 302"}, 222},
			{octets[1], []string{":status: 307", private, date, location}, []string{":status: 307", location, date, private}, 222},
			{octets[2], []string{":status: 200", private, later, location, gzip, cookie}, []string{cookie, gzip, later}, 215},
		}
	}
	for _, c := range []struct {
		name  string
		max   uint64
		steps []step
	}{
		{"C.3", 4096, requests(
			"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"8286 84be 5808 6e6f 2d63 6163 6865",
			"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65")},
		{"C.4", 4096, requests(
			"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
			"8286 84be 5886 a8eb 1064 9cbf",
			"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")},
		{"C.5", 256, responses(
			"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			"4803 3330 37c1 c0bf",
			"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31")},
		{"C.6", 256, responses(
			"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
			"4883 640e ffc1 c0bf",
			"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07")},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := fromStart()
			d.table.setMax(c.max)
			for i, s := range c.steps {
				if err := d.block(unhex(s.octets)); err != nil {
					t.Fatalf("block %d: %v", i+1, err)
				}
				if got := pairs(d.fields); fmt.Sprint(got) != fmt.Sprint(s.fields) {
					t.Errorf("block %d: fields %q", i+1, got)
				}
				if got := d.table.pairs(); fmt.Sprint(got) != fmt.Sprint(s.table) || d.table.size != s.size {
					t.Errorf("block %d: table %q, size %d", i+1, got, d.table.size)
				}
			}
		})
	}
}

func TestHuffmanAgainstNet(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 20000 {
		s := make([]byte, rng.IntN(60))
		for j := range s {
			if s[j] = byte(rng.Uint32()); i%2 == 0 {
				s[j] = ' ' + s[j]%95
			}
		}
		if i < 256 {
			s = []byte{byte(i)}
		}
		enc := hpack.AppendHuffmanString(nil, string(s))
		got, ok := appendHuffman(nil, enc)
		if !ok || !bytes.Equal(got, s) {
			t.Fatalf("%x: %x, %v", s, got, ok)
		}
	}
}

func TestHuffmanInvalidAgainstNet(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	valid := 0
	for i := range 300000 {
		b := randomOctets(rng, rng.IntN(12))
		for j := range b {
			if rng.IntN(3) == 0 {
				b[j] = 0xff
			}
		}
		want, err := hpack.HuffmanDecodeToString(b)
		got, ok := appendHuffman(nil, b)
		if ok != (err == nil) || ok && string(got) != want {
			t.Fatalf("%d: %x: %x %v, x/net %x %v", i, b, got, ok, want, err)
		}
		if ok {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d valid strings among the random ones", valid)
	}
}

func TestHpackErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		octets []byte
		want   *FrameError
	}{
		{"index 0", unhex("80"), errHpackIndex},
		{"index beyond the tables", unhex("be"), errHpackIndex},
		{"name index beyond the tables", unhex("7e0161"), errHpackIndex},
		{"huge index", unhex("ffffffffff7f"), errHpackInteger},
		{"cut in a string", unhex("40056162"), errHpackCut},
		{"cut in an integer", unhex("ff"), errHpackCut},
		{"EOS in a string", unhex("00016184ffffffff"), errHpackHuffman},
		{"padding of eight bits", unhex("000161 82 07ff"), errHpackHuffman},
		{"update behind a field", unhex("8220"), errHpackUpdate},
		{"update above the limit", unhex("3fe21f"), errHpackMax},
		{"a string of 2 MiB", unhex("0001617f80808001"), errHpackString},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := fromStart().block(c.octets)
			if err != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	if errHpackIndex.Code != http2.ErrCodeCompression || !strings.HasPrefix(errHpackIndex.Error(), "COMPRESSION_ERROR") {
		t.Errorf("%v", errHpackIndex)
	}
	var fe *FrameError
	if !errors.As(error(errHpackIndex), &fe) {
		t.Error("no *FrameError")
	}
}

// TestPlaceholders attaches between two blocks: what was inserted since
// resolves, what was before is told apart by its insert index.
func TestPlaceholders(t *testing.T) {
	var d sectionDecoder
	d.table.attach()
	// 62 is the newest entry there was; then one is inserted, and what was 62
	// is 63. A literal with its name is inserted too.
	if err := d.block(unhex("be bf 4001610162 be bf 7f000163 be c0")); err != nil {
		t.Fatal(err)
	}
	want := []Field{
		{Trust: UnknownSinceAttach, Unknown: 0},
		{Trust: UnknownSinceAttach, Unknown: -1},
		{Name: "a", Value: "b", NameKnown: true, ValueKnown: true},
		{Name: "a", Value: "b", NameKnown: true, ValueKnown: true},
		{Trust: UnknownSinceAttach, Unknown: 0},
		{Value: "c", ValueKnown: true, Trust: UnknownSinceAttach, Unknown: 0},
		{Value: "c", ValueKnown: true, Trust: UnknownSinceAttach, Unknown: 0},
		{Trust: UnknownSinceAttach, Unknown: 0},
	}
	got := slices.Clone(d.fields)
	for i := range got {
		got[i].Encoding = 0
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	d.table.demote()
	if err := d.block(unhex("be")); err != nil {
		t.Fatal(err)
	}
	if f := d.fields[0]; f.Trust != UnknownSinceGap || f.Unknown != 0 || f.Epoch != 1 || f.NameKnown || f.ValueKnown {
		t.Errorf("after a gap: %+v", f)
	}
	// The encoder empties its table: all is known again.
	if err := d.block(unhex("20 3fe11f be")); err != errHpackIndex {
		t.Errorf("reference into an empty table: %v", err)
	}
}

// TestLargeEntryOfUnknownTable inserts what is too large for the assumed
// table: whether the encoder holds it is unknown, but it has a place.
func TestLargeEntryOfUnknownTable(t *testing.T) {
	var d sectionDecoder
	d.table.attach()
	big := append([]byte{0x40, 0x01, 'x', 0x7f}, unhex("81f104")...)
	n := 0x7f + 1 + 0x71*128 + 4*128*128 // octets: above 64 Ki
	big = append(big, bytes.Repeat([]byte{'v'}, n)...)
	block := append([]byte{0x40, 0x01, 'o', 0x01, 'o'}, big...)
	block = append(block, 0xbe, 0xbf, 0x40, 0x01, 'n', 0x01, 'n', 0xbe, 0xbf)
	if err := d.block(block); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"o: o", "x: ", ": ", ": ", "n: n", "n: n", ": "} {
		f := d.fields[i]
		if got := pairs(d.fields[i : i+1])[0]; !strings.HasPrefix(got, want) || (want == ": ") != (f.Trust == UnknownSinceAttach) {
			t.Errorf("field %d: %.20s, %v", i, got, f.Trust)
		}
	}
	if d.fields[2].Unknown != d.fields[6].Unknown || d.fields[2].Unknown == d.fields[3].Unknown {
		t.Errorf("insert indices %d, %d, %d", d.fields[2].Unknown, d.fields[3].Unknown, d.fields[6].Unknown)
	}
}

// TestSectionBound refers to a large table entry over and over.
func TestSectionBound(t *testing.T) {
	d := fromStart()
	value := strings.Repeat("v", 3000)
	var enc bytes.Buffer
	must(hpack.NewEncoder(&enc).WriteField(hpack.HeaderField{Name: "bomb", Value: value}))
	block := append(enc.Bytes(), bytes.Repeat([]byte{0xbe}, 100_000)...)
	block = append(block, unhex("4001610162")...)
	if err := d.block(block); err != errSectionLarge {
		t.Fatalf("%v", err)
	}
	if n := len(d.fields); n < 100 || n*(3000+4+32) > maxSectionSize {
		t.Errorf("%d fields kept", n)
	}
	// The table is right all the same.
	if err := d.block(unhex("be bf")); err != nil || fmt.Sprint(pairs(d.fields)) != "[a: b bomb: "+value+"]" {
		t.Errorf("after it: %v", err)
	}
}

// TestHugeTable has an encoder with a table beyond what is held: what was
// dropped is unknown, never wrong.
func TestHugeTable(t *testing.T) {
	d := fromStart()
	d.limitKnown = false
	if err := d.block(unhex("3fe1ffff7f")); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		var b bytes.Buffer
		b.Write([]byte{0x40, 0x04})
		fmt.Fprintf(&b, "%04d", i)
		b.Write([]byte{0x7f, 0x81, 0x03})
		b.Write(bytes.Repeat([]byte{'v'}, 512))
		if err := d.block(b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if d.table.size > largestTableHeld {
		t.Errorf("%d octets held", d.table.size)
	}
	for _, i := range []int{1, 100, 1000, 2000, 2999, 3000} {
		b := unhex("ff")
		v := 61 + i - 127
		if v < 0 {
			b = []byte{0x80 | byte(61+i)}
		} else {
			for ; v >= 128; v >>= 7 {
				b = append(b, 0x80|byte(v))
			}
			b = append(b, byte(v))
		}
		if err := d.block(b); err != nil {
			t.Fatalf("index %d: %v", i, err)
		}
		f := d.fields[0]
		if f.Trust == TrustExact && f.Name != fmt.Sprintf("%04d", 3000-i) || f.Trust != TrustExact && f.NameKnown {
			t.Errorf("index %d: %s, %v", i, f.Name, f.Trust)
		}
		if (f.Trust == TrustExact) != (i <= 1900) && i != 2000 {
			t.Errorf("index %d: %v", i, f.Trust)
		}
	}
}

// TestFragments decodes the same block whole and cut at every octet.
func TestFragments(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var enc bytes.Buffer
	e := hpack.NewEncoder(&enc)
	for i := range 5 {
		for _, f := range requestFields(rng, i) {
			must(e.WriteField(f))
		}
	}
	block := enc.Bytes()
	whole := fromStart()
	if err := whole.block(block); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(whole.fields, whole.table.pairs())
	for i := range len(block) + 1 {
		for j := i; j <= len(block); j++ {
			d := fromStart()
			d.begin()
			for k, p := range [][]byte{block[:i], block[i:j], block[j:]} {
				if err := d.write(p, k == 2); err != nil {
					t.Fatalf("%d, %d: %v", i, j, err)
				}
			}
			if got := fmt.Sprint(d.fields, d.table.pairs()); got != want {
				t.Fatalf("cut at %d and %d: %s\nwant %s", i, j, got, want)
			}
		}
	}
}
