// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"

	"h2sniff/decode"
)

// TestImages: what Go's encoders make is recognised with its size, also where
// the media type is another; nothing else is.
func TestImages(t *testing.T) {
	img := image.NewPaletted(image.Rect(0, 0, 320, 77), color.Palette{color.Black, color.White})
	encoded := map[string][]byte{}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	encoded["png"] = bytes.Clone(b.Bytes())
	b.Reset()
	if err := gif.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	encoded["gif"] = bytes.Clone(b.Bytes())
	b.Reset()
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	encoded["jpeg"] = bytes.Clone(b.Bytes())
	// The heads of WebP files as RFC 9649 lays them out, 320 by 77.
	encoded["webp"] = []byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\x3f\x01\x00\x4c\x00\x00")
	describe := func(media string, data []byte) *Part {
		f := []decode.Field{{Name: "content-type", Value: media, NameKnown: true, ValueKnown: true}}
		return Describe(&Message{Request: []decode.Field{}, Response: f, FromServer: true, Body: &Body{Data: data, Octets: uint64(len(data)), Ended: true}}, Options{})
	}
	for format, data := range encoded {
		p := describe("image/"+format, data)
		if len(p.Children) != 1 || p.Children[0].Kind != KindImage || p.Children[0].Attr("format") != format ||
			p.Children[0].Attr("pixels") != "320x77" || len(p.Children[0].Problems) > 0 || !bytes.Equal(p.Children[0].Data, data) {
			t.Errorf("%s: %+v", format, p.Children[0])
		}
		if p := describe("text/plain", data); p.Children[0].Kind != KindImage || len(p.Children[0].Problems) != 1 {
			t.Errorf("%s as text: %+v", format, p.Children[0])
		}
		for n := range min(len(data), 64) {
			describe("image/"+format, data[:n])
		}
	}
	for _, size := range []struct{ head, want string }{
		{"VP8 \x00\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x40\x01\x4d\x00", "320x77"},
		{"VP8L\x00\x00\x00\x00\x2f\x3f\x01\x13\x00", "320x77"},
	} {
		p := describe("image/webp", []byte("RIFF\x00\x00\x00\x00WEBP"+size.head))
		if got := p.Children[0].Attr("pixels"); got != size.want {
			t.Errorf("%q: %s", size.head, got)
		}
	}
	if p := describe("image/png", []byte("no image")); p.Children[0].Kind != KindText {
		t.Errorf("%+v", p.Children[0])
	}
}
