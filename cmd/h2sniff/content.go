// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"

	"github.com/spf13/pflag"
	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/content"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
)

// contentFlags choose how bodies are shown.
type contentFlags struct {
	show   bool
	proto  string // path of a descriptor set
	schema *content.Schema
}

func addContentFlags(f *pflag.FlagSet, c *contentFlags) {
	f.BoolVar(&c.show, "content", false, "with --format text: bodies, decoded, under the last frame of each message (64 KiB of each)")
	addProtoFlag(f, c, "with --content: ")
}

func addProtoFlag(f *pflag.FlagSet, c *contentFlags, when string) {
	f.StringVar(&c.proto, "proto", "", when+"names of gRPC messages and fields from the descriptor set `FILE` (protoc --include_imports --descriptor_set_out=FILE)")
}

// load checks the flags and reads the descriptor set.
func (c *contentFlags) load(format lines.Format) error {
	switch {
	case c.proto != "" && !c.show:
		return usageError{errors.New("--proto needs --content")}
	case c.show && format != lines.Text:
		return usageError{errors.New("--content needs --format text")}
	}
	return c.open()
}

// open reads the descriptor set, if there is one.
func (c *contentFlags) open() (err error) {
	if c.proto != "" {
		c.schema, err = content.OpenSchema(c.proto)
	}
	return err
}

// contentPrinter writes described bodies.
type contentPrinter struct {
	collector *content.Collector
	stream    streamFlag
	filter    bool
	shown     map[messageKey]struct{} // messages with a frame that is shown
	buf       []byte
	err       error
}

// messageKey names a message that has not ended.
type messageKey struct {
	conn   capture.ConnID
	stream uint32
	dir    capture.Direction
}

// maxShown bounds the messages that are remembered.
const maxShown = 1 << 16

// contentText is how many octets of one body are printed.
const contentText = 64 << 10

// contentIndent stands before the lines of a body, as far in as what stands
// under a frame.
const contentIndent = "          "

func newContentPrinter(w io.Writer, o *options) *contentPrinter {
	p := &contentPrinter{stream: o.stream, filter: o.filter.expr != nil, shown: make(map[messageKey]struct{})}
	p.collector = content.NewCollector(content.Limits{}, func(x *content.Exchange, d capture.Direction) {
		if p.stream.set && x.Stream != p.stream.id {
			return
		}
		if key := (messageKey{x.Conn, x.Stream, d}); p.filter {
			if _, shown := p.shown[key]; !shown {
				return
			}
			delete(p.shown, key)
		}
		m := x.Message(d)
		part := content.Describe(m, content.Options{Schema: o.content.schema, Limits: content.Limits{Text: contentText}})
		if m.Body.Octets == 0 && len(part.Children) == 0 && len(part.Problems) == 0 || p.err != nil {
			return
		}
		p.buf = content.AppendText(p.buf[:0], contentIndent, part)
		_, p.err = w.Write(p.buf)
	}, nil)
	return p
}

// row takes in a row whose line was just written, or which is not shown.
func (p *contentPrinter) row(e *store.Entry, shown bool) error {
	if p.filter && shown && e.Kind == decode.RowFrame {
		switch e.Header.Type {
		case http2.FrameData, http2.FrameHeaders, http2.FrameContinuation:
			if len(p.shown) == maxShown {
				clear(p.shown) // of messages that never end
			}
			p.shown[messageKey{e.Conn, e.Header.StreamID, e.Direction}] = struct{}{}
		}
	}
	p.collector.Add(e.Seq, &e.Row)
	return p.err
}

// flush writes what is there of messages that have not ended.
func (p *contentPrinter) flush() error {
	p.collector.Flush()
	return p.err
}
