// SPDX-License-Identifier: Apache-2.0

package recording

import "h2sniff/capture"

// openConns carries connections over into files that begin while they are open.
//
// A connection that is open when a file begins opens in it anew with its first
// event there: under its own id, with the time and the facts that it opened
// with, its addresses, and positions that count from where the file begins. If
// octets have passed it is not Fresh there, so that readers take it for one found
// in its middle.
type openConns struct {
	conns map[capture.ConnID]*carried
	file  int // number of the newest file; 0 is before the first
	// since is when what the newest file holds began, Unix nanoseconds: what was
	// captured before, and comes late, does not begin a connection in it, and no
	// connection opens before.
	since int64
}

// carried is what is needed to open a connection anew.
type carried struct {
	open   capture.Event // Kind is 0 where it was not seen
	bind   capture.Event // the latest; Kind is 0 where there was none
	file   int           // the newest one that it has events in
	next   [2]uint64     // position reached
	origin [2]uint64     // position where that file begins
}

// eventWriter is a [Writer], or what takes events like one.
type eventWriter interface {
	Write(*capture.Event) error
}

func newOpenConns() openConns { return openConns{conns: make(map[capture.ConnID]*carried)} }

// begin says that events go to another file from now on.
func (o *openConns) begin(since int64) {
	o.file++
	o.since = since
}

// write writes an event as the newest file is to have it, and before it what
// opens its connection there. w is nil where there is no file: the event is
// only noted.
func (o *openConns) write(ev *capture.Event, w eventWriter) error {
	c := o.conns[ev.Conn]
	if c == nil || ev.Kind == capture.Open {
		c = &carried{file: o.file}
		o.conns[ev.Conn] = c
		if ev.Time < o.since {
			c.file-- // of another file, or of none
		}
	}
	if c.file != o.file && ev.Time < o.since {
		w = nil
	}
	if c.file != o.file && w != nil {
		if err := o.reopen(c, w); err != nil {
			return err
		}
	}
	e := *ev
	switch ev.Kind {
	case capture.Open:
		c.open = *ev
	case capture.Bind:
		c.bind = *ev
	case capture.Close:
		delete(o.conns, ev.Conn)
	case capture.Unsent:
		d := ev.Direction
		if ev.Offset < c.origin[d] {
			return nil // what was sent before is in an earlier file
		}
		e.Offset -= c.origin[d]
	case capture.Data, capture.Lost:
		d := ev.Direction
		if ev.Offset < c.origin[d] { // against the contract; it was in an earlier file
			return nil
		}
		e.Offset -= c.origin[d]
		c.next[d] = max(c.next[d], ev.Offset+ev.Length)
	}
	if w == nil {
		return nil
	}
	return w.Write(&e)
}

// reopen opens a connection in the newest file.
func (o *openConns) reopen(c *carried, w eventWriter) error {
	c.file, c.origin = o.file, c.next
	if c.open.Kind != 0 {
		e := c.open
		info := *e.Info
		info.Fresh = info.Fresh && c.next == [2]uint64{}
		e.Info = &info
		e.Time = max(e.Time, o.since)
		if err := w.Write(&e); err != nil {
			return err
		}
	}
	if c.bind.Kind != 0 {
		e := c.bind
		e.Time = max(e.Time, o.since)
		return w.Write(&e)
	}
	return nil
}
