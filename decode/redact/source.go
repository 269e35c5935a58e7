// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"h2sniff/capture"
	"h2sniff/decode"
)

// Options choose what is taken for a secret, beyond what always is: the values
// of authorization, proxy-authorization, cookie, set-cookie, and of never-indexed
// representations, and those in queries.
type Options struct {
	// Fields are the names of further fields whose values are secrets.
	Fields []string
	// KeepData leaves the content of DATA frames as it is.
	KeepData bool
	// AssumeHTTP2 is for decode.Conn.AssumeHTTP2.
	AssumeHTTP2 bool
}

// Source is a capture.Source without the secrets of another. Read is called by
// one goroutine at a time, the other methods by any.
type Source struct {
	src   capture.Source
	opts  Options
	names map[string]bool // of fields whose values are secrets, in lower case

	conns  map[capture.ConnID]*conn
	queue  []capture.Event // to be read
	read   int             // how many of them were
	err    error           // of src
	hidden atomic.Uint64   // octets made not captured
}

// New returns a Source of what src yields. It owns src from now on.
func New(src capture.Source, o Options) *Source {
	s := &Source{src: src, opts: o, conns: make(map[capture.ConnID]*conn), names: map[string]bool{
		"authorization": true, "proxy-authorization": true, "cookie": true, "set-cookie": true,
	}}
	for _, name := range o.Fields {
		s.names[strings.ToLower(name)] = true
	}
	return s
}

// Read implements capture.Source.
func (s *Source) Read(ev *capture.Event) error {
	for s.read == len(s.queue) {
		if s.err != nil {
			return s.err
		}
		s.queue, s.read = s.queue[:0], 0
		if s.err = s.src.Read(ev); s.err != nil {
			for _, id := range slices.Sorted(maps.Keys(s.conns)) {
				s.conns[id].finish()
			}
			continue
		}
		c := s.conns[ev.Conn]
		if c == nil {
			c = newConn(s, ev.Conn)
			s.conns[ev.Conn] = c
		}
		c.take(ev)
		if ev.Kind == capture.Close {
			delete(s.conns, ev.Conn)
		}
	}
	*ev = s.queue[s.read]
	s.read++
	return nil
}

// Stats gives the counters of the source, with what was hidden counted as not
// copied.
func (s *Source) Stats() capture.Stats {
	st := s.src.Stats()
	st.NotCopied += s.hidden.Load()
	return st
}

// Ignore implements capture.Ignorer where the source does.
func (s *Source) Ignore(id capture.ConnID) {
	if i, ok := s.src.(capture.Ignorer); ok {
		i.Ignore(id)
	}
}

// Close closes the source.
func (s *Source) Close() error { return s.src.Close() }

// conn is a connection that is open.
type conn struct {
	s    *Source
	dec  *decode.Conn
	dirs [2]direction
}

func newConn(s *Source, id capture.ConnID) *conn {
	c := &conn{s: s, dec: decode.NewConn(id)}
	c.dec.DropData() // nothing of it is looked at
	if s.opts.AssumeHTTP2 {
		c.dec.AssumeHTTP2()
	}
	for d := range c.dirs {
		c.dirs[d] = direction{conn: c, held: held{s: s, conn: id, dir: capture.Direction(d)}}
	}
	return c
}

// take takes in an event of the source, and queues what can be read by now.
func (c *conn) take(ev *capture.Event) {
	moves := (ev.Kind == capture.Data || ev.Kind == capture.Lost) && ev.Direction <= capture.Recv
	if moves {
		c.dirs[ev.Direction].held.add(ev)
	}
	c.dec.Feed(ev, c.row)
	switch {
	case moves:
		if p := c.dec.Protocol(); p == decode.HTTP1 || p == decode.OtherProtocol {
			c.hide()
			return
		}
		c.dirs[ev.Direction].afterEvent()
	case ev.Kind == capture.Close:
		c.hide()
		c.s.queue = append(c.s.queue, *ev)
	case ev.Kind == capture.Open, ev.Kind == capture.Bind:
		c.s.queue = append(c.s.queue, *ev)
	case ev.Kind == capture.Unsent:
		e := *ev
		e.Data = nil
		c.s.queue = append(c.s.queue, e)
	}
}

// row looks at what the decoder found.
func (c *conn) row(r *decode.Row) {
	switch r.Kind {
	case decode.RowPreface:
		c.dirs[r.Direction].preface(r)
	case decode.RowFrame:
		c.dirs[r.Direction].frame(r)
	}
}

// hide makes holes of all that is held.
func (c *conn) hide() {
	for d := range c.dirs {
		c.dirs[d].block = c.dirs[d].block[:0]
		c.dirs[d].held.hideAll()
	}
}

// finish ends a connection that may go on after the last event. Of a frame in
// progress the header is shown.
func (c *conn) finish() {
	for d := range c.dirs {
		c.dirs[d].showHeader()
	}
	c.hide()
}
