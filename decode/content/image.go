// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/jpeg"
	"strings"
)

// image adds an image: its format and its size, by its first octets, whatever
// the media type says. It returns false where the body is none that it knows.
func (t *builder) image(root *Part, media string, b *Body) bool {
	format, w, h := imageSize(b.Prefix())
	if format == "" {
		return false
	}
	p := t.child(root, KindImage)
	if p == nil {
		return true
	}
	p.attr("format", format)
	if w > 0 && h > 0 {
		p.attr("pixels", fmt.Sprintf("%dx%d", w, h))
	}
	if sub, ok := strings.CutPrefix(media, "image/"); !ok || sub != format {
		p.problem("the content-type says otherwise")
	}
	t.setData(p, b.Prefix())
	t.afterHole(root, b)
	return true
}

// imageSize tells formats of images by how they begin, and the size in pixels
// where it stands near the beginning; 0 where it does not.
func imageSize(b []byte) (format string, w, h int) {
	be, le := binary.BigEndian, binary.LittleEndian
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")): // RFC 2083, section 4.1.1
		if len(b) >= 24 && string(b[12:16]) == "IHDR" {
			w, h = int(be.Uint32(b[16:])), int(be.Uint32(b[20:]))
		}
		return "png", w, h
	case bytes.HasPrefix(b, []byte("GIF87a")), bytes.HasPrefix(b, []byte("GIF89a")):
		if len(b) >= 10 {
			w, h = int(le.Uint16(b[6:])), int(le.Uint16(b[8:]))
		}
		return "gif", w, h
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		if c, err := jpeg.DecodeConfig(bytes.NewReader(b)); err == nil {
			w, h = c.Width, c.Height
		}
		return "jpeg", w, h
	case len(b) >= 16 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP": // RFC 9649, section 2
		w, h = webpSize(b[12:])
		return "webp", w, h
	case len(b) >= 12 && string(b[4:12]) == "ftypavif":
		return "avif", 0, 0
	}
	return "", 0, 0
}

// webpSize reads the size of the first chunk.
func webpSize(b []byte) (w, h int) {
	le := binary.LittleEndian
	switch string(b[:4]) {
	case "VP8 ":
		if len(b) >= 18 && string(b[11:14]) == "\x9d\x01\x2a" {
			return int(le.Uint16(b[14:]) & 0x3fff), int(le.Uint16(b[16:]) & 0x3fff)
		}
	case "VP8L":
		if len(b) >= 13 && b[8] == 0x2f {
			v := le.Uint32(b[9:])
			return int(v&0x3fff) + 1, int(v>>14&0x3fff) + 1
		}
	case "VP8X":
		if len(b) >= 18 {
			return (int(le.Uint32(b[12:])) & 0xffffff) + 1, int(le.Uint32(b[14:])>>8) + 1
		}
	}
	return 0, 0
}
