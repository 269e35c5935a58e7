// SPDX-License-Identifier: Apache-2.0

package content

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// maxCodings is how many content codings on top of each other are undone.
const maxCodings = 4

// zstdWindow is the largest window that a decoder of the coding has to support
// (RFC 9659).
const zstdWindow = 8 << 20

// codings lists what a Content-Encoding names, in the order in which it was
// applied; identity is left out.
func codings(value string) []string {
	var list []string
	for c := range strings.SplitSeq(value, ",") {
		c = strings.ToLower(strings.TrimSpace(c))
		if c != "" && c != "identity" {
			list = append(list, c)
		}
	}
	return list
}

// errCoding says that a coding is not one that can be undone.
var errCoding = errors.New("not a coding that h2sniff undoes")

// reader gives the decoder of a coding.
func reader(coding string, in io.Reader) (io.Reader, error) {
	switch coding {
	case "gzip", "x-gzip":
		return gzip.NewReader(in)
	case "deflate":
		// Meant is zlib; some send the bare DEFLATE (RFC 9110, section 8.4.1.2).
		br := bufio.NewReader(in)
		if head, _ := br.Peek(2); len(head) == 2 && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
			return zlib.NewReader(br)
		}
		return flate.NewReader(br), nil
	case "br":
		return brotli.NewReader(in), nil
	case "zstd":
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case "snappy": // of gRPC, in the framing format
		return snappy.NewReader(in), nil
	}
	return nil, errCoding
}

// decoded undoes one coding. What comes out ends with a hole where decoding
// stopped before the end of the content, whose Reason says why. The error is
// errCoding, and then nothing was done.
func decoded(coding string, b *Body, l Limits) (out Body, err error) {
	in := b.Prefix()
	out = Body{Ended: true}
	counted := &countingReader{r: bytes.NewReader(in)}
	stopped := func(why string) {
		out.Ended = false
		out.Holes = []Hole{{At: len(out.Data), Reason: why}}
	}
	defer func() {
		// The decoders are other people's code, fed with anybody's octets.
		if v := recover(); v != nil {
			stopped(fmt.Sprintf("the %s decoder failed", coding))
			err = nil
		}
	}()
	if len(in) == 0 {
		if !b.whole() {
			stopped(b.Problem())
		}
		return out, nil
	}
	r, err := reader(coding, counted)
	if err == errCoding {
		return out, err
	}
	if err == nil {
		if c, ok := r.(io.Closer); ok {
			defer c.Close()
		}
		limit := min(l.Decoded, max(ratioFrom, l.Ratio*len(in)))
		var buf bytes.Buffer
		_, err = io.Copy(&buf, io.LimitReader(r, int64(limit)+1))
		out.Data = buf.Bytes()
		if len(out.Data) > limit {
			out.Data = out.Data[:limit]
			out.Over = 1
			if limit < l.Decoded {
				stopped(fmt.Sprintf("decoding stopped at %d octets, %d times the encoded size", limit, l.Ratio))
			} else {
				stopped(fmt.Sprintf("decoding stopped at %d octets, the most that are decoded", limit))
			}
			out.Octets = uint64(len(out.Data))
			return out, nil
		}
	}
	out.Octets = uint64(len(out.Data))
	switch {
	case err == nil && (len(b.Holes) > 0 || coding == "snappy" && !b.whole()):
		// More can follow the end of a member, frame or block.
		stopped(fmt.Sprintf("after octet %d of the %s: %s", len(in), coding, b.Problem()))
	case err == nil:
	case !b.whole():
		stopped(fmt.Sprintf("after octet %d of the %s: %s", len(in), coding, b.Problem()))
	default:
		stopped(fmt.Sprintf("the %s is damaged or cut near its octet %d", coding, counted.n))
	}
	return out, nil
}

// countingReader counts what was read.
type countingReader struct {
	r *bytes.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
