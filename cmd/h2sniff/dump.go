// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/lines"
	"h2sniff/decode/store"
)

// errEnough ends a dump that has printed as many frames as were asked for.
var errEnough = errors.New("enough frames")

// runDump prints lines until the source ends, ctx does, or -n frames are out.
func runDump(ctx context.Context, o *options, std stdio) error {
	if err := o.content.load(o.format); err != nil {
		return err
	}
	o.filter.hint(std.stderr)
	spill, err := o.spill.open(o.history)
	if err != nil {
		return err
	}
	boundMemory(o.history)
	if out, ok := std.out.(*os.File); ok && o.read == "" && isStream(out) {
		// Probes are not to stay for lines that nobody reads.
		var stop func()
		ctx, stop = whileRead(ctx, out)
		defer stop()
	}
	st := store.New(store.Options{History: o.history, Spill: spill})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopSpill := runSpill(ctx, cancel, st, spill)
	s, err := openSession(ctx, o)
	if err != nil {
		return errors.Join(err, stopSpill())
	}
	src, err := o.tee(s, std.stderr)
	if err != nil {
		return errors.Join(err, stopSpill())
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	if s.live == nil && o.eachRowAlone() {
		return errors.Join(dumpDirect(ctx, o, s, src, out, std), stopSpill(), src.Close())
	}
	printer := newPrinter(out, o, s.start, st)
	if s.goesOn() {
		printer.caughtUp = out.Flush
	}
	p := &pump{src: src, store: st}
	p.assumeHTTP2 = o.assumeH2
	p.dropData = !o.body && !o.content.show
	p.diagnose = printer.filter.asksFindings()
	consume := printer.follow
	if s.live == nil {
		// Nothing is harmed by letting a recording wait for its reader.
		p.after, consume = printer.print, nil
	}
	err = errors.Join(runSession(ctx, s, p, consume), printer.flushContent())
	covers := s.live.coverage()
	if err == nil && covers != (coverage{}) {
		err = printer.unfollowed(covers)
	}
	err = flushed(err, out)
	snap := st.Snapshot()
	if printer.enough() {
		snap.Frames = printer.seen // more may have come meanwhile
	}
	summarise(std.stderr, snap, s.Stats(), covers)
	if printer.missed > 0 && err == nil {
		err = &missedError{printer.missed}
	}
	return errors.Join(err, stopSpill(), src.Close())
}

// flushed writes what waits in out. A failure that err tells of is not told again.
func flushed(err error, out *bufio.Writer) error {
	if flushErr := out.Flush(); flushErr != nil && !errors.Is(err, flushErr) {
		return errors.Join(err, fmt.Errorf("writing lines: %w", flushErr))
	}
	return err
}

// missedError says that the lines have holes.
type missedError struct{ rows uint64 }

func (e *missedError) Error() string {
	return fmt.Sprintf("%s left the history before they could be printed: raise --history, or read the lines faster", plural(e.rows, "row"))
}

// printer writes the rows of a store as lines.
type printer struct {
	follower
	writer *lines.Writer
	stream streamFlag
	// conns is what the rows printed so far have said of each connection, so
	// that a line depends on nothing but the lines before it.
	conns  map[capture.ConnID]*store.ConnSummary
	ends   *store.Ends
	limit  uint64 // frames; 0 for no limit
	frames uint64 // printed
	seen   uint64 // frames, printed or not
	// content, where set, prints bodies.
	content *contentPrinter
	// caughtUp, where set, is called when all that is in the store is printed.
	caughtUp func() error
}

func newPrinter(out io.Writer, o *options, start int64, st *store.Store) *printer {
	p := &printer{
		follower: follower{store: st}, limit: o.count, stream: o.stream, conns: make(map[capture.ConnID]*store.ConnSummary),
		writer: lines.NewWriter(out, lines.Options{
			Format: o.format, Body: o.body, Verbose: o.verbose, Stream: o.stream.id, HasStream: o.stream.set, Start: start,
		}),
	}
	p.ends = store.NewEnds(func(id, peer capture.ConnID) {
		if c := p.conns[id]; c != nil {
			c.Peer = peer
		}
	})
	if o.content.show {
		p.content = newContentPrinter(out, o)
	}
	p.filter = newRowFilter(st, o.filter.expr, start)
	return p
}

// follow prints until done is closed and all is printed.
func (p *printer) follow(ctx context.Context, done <-chan struct{}) error {
	for {
		if err := p.print(); err != nil {
			return err
		}
		select {
		case <-p.store.Changed():
		case <-done:
			return p.print()
		case <-ctx.Done():
			<-done // what was captured until now is still printed
			return p.print()
		}
	}
}

// print prints every row that is in the store.
func (p *printer) print() error {
	if err := p.read(p.row, p.gone); err != nil || p.caughtUp == nil {
		return err
	}
	if err := p.caughtUp(); err != nil {
		return fmt.Errorf("writing lines: %w", err)
	}
	return nil
}

// row prints a row, and the bodies that end with it.
func (p *printer) row(e *store.Entry) error {
	conn, shown := p.conn(e), p.filter.shows(e)
	if shown {
		if err := p.writer.Write(*e, conn); err != nil {
			return fmt.Errorf("writing lines: %w", err)
		}
	}
	if p.content != nil {
		if err := p.content.row(e, shown); err != nil {
			return fmt.Errorf("writing lines: %w", err)
		}
	}
	if e.Kind != decode.RowFrame {
		return nil
	}
	p.seen++
	if shown && (!p.stream.set || e.Header.StreamID == p.stream.id) {
		p.frames++
		if p.enough() {
			return errEnough
		}
	}
	return nil
}

// enough says that as many frames are printed as were asked for.
func (p *printer) enough() bool { return p.limit > 0 && p.frames == p.limit }

// gone prints that rows are missing.
func (p *printer) gone(rows uint64) error {
	if p.content != nil {
		p.content.collector.Missed(rows)
	}
	if err := p.writer.Missed(rows); err != nil {
		return fmt.Errorf("writing lines: %w", err)
	}
	return nil
}

// unfollowed prints, for programs, that processes are missing: others read it in
// the summary.
func (p *printer) unfollowed(c coverage) error {
	err := p.writer.Unfollowed(lines.Unfollowed{Processes: c.Ended, AtLeast: c.Unsure, Late: c.Late, LateBy: c.LateBy})
	if err != nil {
		return fmt.Errorf("writing lines: %w", err)
	}
	return nil
}

// flushContent prints bodies that have not ended.
func (p *printer) flushContent() error {
	if p.content == nil {
		return nil
	}
	return p.content.flush()
}

// conn takes in what a row says of its connection.
func (p *printer) conn(e *store.Entry) store.ConnSummary {
	c := p.conns[e.Conn]
	if c == nil {
		c = &store.ConnSummary{ID: e.Conn}
		if p.store != nil { // else this is its first row
			if known, ok := p.store.Conn(e.Conn); ok {
				c.Info = known.Info // its first rows were evicted
			}
		}
		p.conns[e.Conn] = c
	}
	c.Role = e.Role
	switch e.Kind {
	case decode.RowOpen:
		c.Info = *e.Info
	case decode.RowBind:
		c.Local, c.Remote, c.Evidence = e.Binding.Local, e.Binding.Remote, e.Binding.Evidence
		p.ends.Bind(e.Conn, e.Binding.Local, e.Binding.Remote, c.Info.Container)
	case decode.RowClose:
		p.ends.Close(e.Conn)
		delete(p.conns, e.Conn)
	}
	return *c
}

// summarise says what a session came to.
func summarise(w io.Writer, snap store.Snapshot, stats capture.Stats, covers coverage) {
	text := fmt.Sprintf("%s, %d bytes, %s, %d bytes lost",
		plural(snap.Frames, "frame"), stats.Bytes, plural(uint64(snap.Conns), "connection"), stats.LostBytes)
	if stats.NotCopied > 0 {
		text += fmt.Sprintf(", %d not copied", stats.NotCopied)
	}
	if stats.Missed > 0 {
		text += fmt.Sprintf(", %s not followed", plural(stats.Missed, "call"))
	}
	if unfollowed := covers.String(); unfollowed != "" {
		text += ", " + unfollowed
	}
	say(w, "%s", text)
}

func plural[N int | uint64](n N, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ss"):
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
