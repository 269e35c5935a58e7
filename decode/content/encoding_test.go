// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"h2sniff/decode"
)

// coders encode with each coding that is undone.
var coders = map[string]func(io.Writer) io.WriteCloser{
	"gzip":        func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"x-gzip":      func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate":     func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"raw deflate": func(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 6); return f },
	"br":          func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd":        func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
}

func encoded(t testing.TB, coding string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := coders[coding](&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// prose is text that compresses as text does.
func prose(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of %x is not like line %d\n", i, i*i*2654435761, i*7919%1000)
	}
	return b.Bytes()[:n]
}

func fields(nv ...string) []decode.Field {
	list := []decode.Field{}
	for i := 0; i < len(nv); i += 2 {
		list = append(list, decode.Field{Name: nv[i], Value: nv[i+1], NameKnown: true, ValueKnown: true})
	}
	return list
}

func whole(data []byte) *Body {
	return &Body{Data: data, Octets: uint64(len(data)), Ended: true}
}

func response(b *Body, nv ...string) *Message {
	return &Message{Request: fields(":method", "GET", ":path", "/"), Response: fields(append([]string{":status", "200"}, nv...)...), FromServer: true, Body: b}
}

func TestCodings(t *testing.T) {
	for name := range coders {
		t.Run(name, func(t *testing.T) {
			size := 80_000
			if name == "zstd" {
				size = 400_000 // its decoder gives out whole blocks of 128 KiB
			}
			text := prose(size)
			coding := strings.TrimPrefix(name, "raw ")
			in := encoded(t, name, text)
			b, problem := Decoded(response(whole(in), "content-encoding", coding), Limits{})
			if problem != "" || !b.whole() || !bytes.Equal(b.Data, text) {
				t.Fatalf("%d octets, holes %v, problem %q", len(b.Data), b.Holes, problem)
			}
			// Cut anywhere: what comes out is a beginning of the text, and it
			// is said that it is not all.
			longest := 0
			for n := 0; n < len(in); n += 1 + len(in)/151 {
				cut := &Body{Data: in[:n], Octets: uint64(n)}
				b, _ := Decoded(response(cut, "content-encoding", coding), Limits{})
				if !bytes.HasPrefix(text, b.Data) {
					t.Fatalf("cut at %d: not a beginning of the text", n)
				}
				if n < len(in)-8 && len(b.Holes) == 0 {
					t.Fatalf("cut at %d of %d: nothing says so", n, len(in))
				}
				longest = max(longest, len(b.Data))
			}
			if longest < len(text)/2 {
				t.Errorf("of cut bodies at most %d octets of %d came out", longest, len(text))
			}
			// A hole ends it, with what stands before.
			at := len(in) * 2 / 3
			holed := &Body{Data: append(bytes.Clone(in[:at]), in[at+10:]...), Octets: uint64(len(in)), Ended: true,
				Holes: []Hole{{At: at, Size: 10, Exact: true, Reason: "lost"}}}
			b, _ = Decoded(response(holed, "content-encoding", coding), Limits{})
			if !bytes.HasPrefix(text, b.Data) || len(b.Data) == 0 || !strings.Contains(b.Problem(), "10 octets missing") {
				t.Errorf("with a hole: %d octets, %q", len(b.Data), b.Problem())
			}
			// Damage is no panic and is said, unless the coding cannot tell.
			for i := range in {
				if i%(1+len(in)/97) != 0 {
					continue
				}
				bad := bytes.Clone(in)
				bad[i] ^= 0x55
				Decoded(response(whole(bad), "content-encoding", coding), Limits{})
			}
		})
	}
}

func TestCodingsOnTop(t *testing.T) {
	text := prose(5000)
	in := encoded(t, "br", encoded(t, "gzip", text))
	b, problem := Decoded(response(whole(in), "content-encoding", "gzip, identity, BR"), Limits{})
	if problem != "" || !bytes.Equal(b.Data, text) {
		t.Errorf("%d octets, %q", len(b.Data), problem)
	}
	m := response(whole(in), "content-encoding", strings.Repeat("gzip,", 5))
	if _, problem := Decoded(m, Limits{}); !strings.Contains(problem, "more content codings") {
		t.Errorf("problem %q", problem)
	}
	if b, problem := Decoded(response(whole(in), "content-encoding", "compress"), Limits{}); b.Data[0] != in[0] || !strings.Contains(problem, "not a coding") {
		t.Errorf("problem %q", problem)
	}
}

// A bomb is cut, and the cut can be seen.
func TestBombs(t *testing.T) {
	for name := range coders {
		coding := strings.TrimPrefix(name, "raw ")
		in := encoded(t, name, make([]byte, 12<<20))
		for _, c := range []struct {
			limits Limits
			most   int
			says   string
		}{
			{Limits{}, 8 << 20, "decoding stopped"},
			{Limits{Decoded: 3 << 20, Ratio: 1 << 20}, 3 << 20, "decoding stopped at 3145728 octets, the most that are decoded"},
			{Limits{Decoded: 1 << 30, Ratio: 2}, max(1<<20, 2*len(in)), "times the encoded size"},
		} {
			b, _ := Decoded(response(whole(in), "content-encoding", coding), c.limits)
			if len(b.Data) > c.most || !strings.Contains(b.Problem(), c.says) {
				t.Errorf("%s: %d octets, %q; at most %d and %q are wanted", name, len(b.Data), b.Problem(), c.most, c.says)
			}
		}
		part := Describe(response(whole(in), "content-encoding", coding), Options{})
		if out := string(AppendText(nil, "", part)); !strings.Contains(out, "decoding stopped at") {
			t.Errorf("%s: the cut is not shown: %.200s", name, out)
		}
	}
}

// An encoding that is not known is not guessed.
func TestUnknownEncoding(t *testing.T) {
	in := encoded(t, "gzip", []byte(`{"a":1}`))
	m := response(whole(in), "content-type", "application/json")
	m.Response = append(m.Response, decode.Field{Name: "content-encoding", NameKnown: true, Trust: decode.UnknownSinceAttach})
	part := Describe(m, Options{})
	if find(part, KindJSON) != nil || len(part.Problems) == 0 || !strings.Contains(part.Problems[0], "content-encoding is not known") {
		t.Errorf("%s", AppendText(nil, "", part))
	}
	m.Response = nil
	if part := Describe(m, Options{}); find(part, KindOctets) == nil || len(part.Problems) == 0 {
		t.Errorf("%s", AppendText(nil, "", part))
	}
}
