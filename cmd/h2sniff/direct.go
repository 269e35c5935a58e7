// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// eachRowAlone tells whether what is printed of a row depends on nothing that is
// learnt later or kept of others.
func (o *options) eachRowAlone() bool { return !o.content.show && o.filter.expr == nil }

// dumpDirect prints the rows of a file as they are decoded. Nothing is stored:
// no reader is behind, and nothing looks back.
func dumpDirect(ctx context.Context, o *options, s *session, src capture.Source, out *bufio.Writer, std stdio) error {
	d := &direct{printer: newPrinter(out, o, s.start, nil), conns: make(map[capture.ConnID]*store.Blocks)}
	p := &pump{src: src, store: d, assumeHTTP2: o.assumeH2, dropData: !o.body}
	p.after = func() error {
		if d.err == nil && s.goesOn() {
			d.err = out.Flush()
		}
		return d.err
	}
	err := flushed(runSession(ctx, s, p, nil), out)
	summarise(std.stderr, store.Snapshot{Frames: d.frames, Conns: d.opened}, s.Stats(), coverage{})
	return err
}

// direct is a sink that prints.
type direct struct {
	printer *printer
	entry   store.Entry
	conns   map[capture.ConnID]*store.Blocks
	frames  uint64
	opened  int
	err     error // of the printer; what comes behind it is left out
}

// Append prints a row. Those behind an error do not count.
func (d *direct) Append(row *decode.Row) uint64 {
	if d.err != nil {
		return d.entry.Seq
	}
	d.entry.Seq++
	e := &d.entry
	blocks := d.conns[row.Conn]
	if blocks == nil {
		blocks = new(store.Blocks)
		d.conns[row.Conn] = blocks
		d.opened++
	}
	e.Row = *row
	e.BlockSeq, _ = blocks.Row(row, e.Seq)
	switch row.Kind {
	case decode.RowFrame:
		d.frames++
	case decode.RowClose:
		delete(d.conns, row.Conn)
	}
	d.err = d.printer.row(e)
	return e.Seq
}

// SetConn is for sinks that say what changes of a connection.
func (d *direct) SetConn(capture.ConnID, decode.Protocol, capture.Role) {}

// Diagnose is for sinks that keep rows.
func (d *direct) Diagnose(uint64, store.Finding) {}
