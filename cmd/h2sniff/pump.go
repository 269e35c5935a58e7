// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/diagnose"
	"h2sniff/decode/store"
)

// sink takes what a pump decodes: a store, of which the pump is the one writer,
// or what prints rows as they come.
type sink interface {
	Append(*decode.Row) (seq uint64)
	SetConn(capture.ConnID, decode.Protocol, capture.Role)
	Diagnose(seq uint64, f store.Finding)
}

// pump moves events from a source through decoders into the store.
type pump struct {
	src   capture.Source
	store sink
	// after, where set, is called when an event's rows are stored. It may
	// block: only for sources that wait.
	after func() error
	// assumeHTTP2 takes every connection for HTTP/2.
	assumeHTTP2 bool
	// dropData keeps what DATA frames carry out of the store, where nothing
	// asks for it.
	dropData bool
	// diagnose adds findings to the rows.
	diagnose bool

	// live says that more may come at any time: what lasts is told of before it ends.
	live bool

	conns     map[capture.ConnID]*decoder
	latest    int64     // time of the newest event
	looked    int64     // time at which what lasts was looked for last
	idleSince time.Time // when idle was called first since the newest event; zero: not yet
}

// decoder is a connection and what the store was last told of it.
type decoder struct {
	*decode.Conn
	protocol decode.Protocol
	role     capture.Role
	tracker  *diagnose.Tracker // nil where nothing asks for findings
}

// run ends with nil at the end of the source.
func (p *pump) run() error {
	p.conns = make(map[capture.ConnID]*decoder)
	var d *decoder
	appendRow := func(row *decode.Row) {
		seq := p.store.Append(row)
		if d.tracker != nil {
			d.tracker.Row(seq, row, p.found)
		}
	}
	// finish tells of what the end of the source leaves open.
	finish := func() error {
		// In the order of their ids, so that the rows are the same each time.
		for _, id := range slices.Sorted(maps.Keys(p.conns)) {
			d = p.conns[id]
			d.End(appendRow)
			if d.tracker != nil {
				d.tracker.Finish(max(p.latest, p.looked), p.found)
			}
		}
		if p.after != nil {
			return p.after()
		}
		return nil
	}
	ignorer, _ := p.src.(capture.Ignorer)
	var ev capture.Event
	for {
		if err := p.src.Read(&ev); err != nil {
			if errors.Is(err, io.EOF) {
				return finish()
			}
			return errors.Join(err, finish())
		}
		p.latest, p.idleSince = max(p.latest, ev.Time), time.Time{}
		p.look(p.latest)
		d = p.conns[ev.Conn]
		if d == nil {
			d = &decoder{Conn: decode.NewConn(ev.Conn)}
			if p.assumeHTTP2 {
				d.AssumeHTTP2()
			}
			if p.dropData {
				d.DropData()
			}
			if p.diagnose {
				d.tracker = diagnose.New(ev.Conn)
			}
			p.conns[ev.Conn] = d
		}
		d.Feed(&ev, appendRow)
		if protocol, role := d.Protocol(), d.Role(); protocol != d.protocol || role != d.role {
			if protocol != d.protocol && ignorer != nil && (protocol == decode.HTTP1 || protocol == decode.OtherProtocol) {
				ignorer.Ignore(ev.Conn)
			}
			d.protocol, d.role = protocol, role
			p.store.SetConn(ev.Conn, protocol, role)
		}
		if ev.Kind == capture.Close {
			delete(p.conns, ev.Conn)
		}
		if p.after != nil {
			if err := p.after(); err != nil {
				return err
			}
		}
	}
}

// lookInterval is how often what lasts is looked for.
const lookInterval = int64(time.Second / 4)

// look has what lasts told of, as of the time now, if it is time to.
func (p *pump) look(now int64) {
	if !p.live || !p.diagnose || now-p.looked < lookInterval {
		return
	}
	p.looked = now
	for _, d := range p.conns {
		if d.tracker.Waits() {
			d.tracker.Now(now, p.found)
		}
	}
}

// idle is for a source that has waited for events in vain, within its Read. The
// time goes on from that of the newest event: the wall clock may have been set.
// What time it is then it returns.
func (p *pump) idle() (now int64) {
	if p.idleSince.IsZero() {
		p.idleSince = time.Now()
	}
	now = p.latest + int64(time.Since(p.idleSince))
	p.look(now)
	return now
}

// found puts a diagnosis to its row.
func (p *pump) found(d *diagnose.Diagnosis) {
	p.store.Diagnose(d.Seq, store.Finding{
		Code: d.Code, Severity: d.Severity, Message: d.Text, Section: d.Section, Stream: d.Stream,
		Conn: d.Conn, Direction: d.Direction, Since: d.Since, Till: d.Till, Again: d.Again,
	})
}
