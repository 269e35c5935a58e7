// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/net/http2"

	"h2sniff/capture"
	"h2sniff/capture/recording"
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// replay turns rows back into the events that give them when they are decoded
// again. The octets are those of the frames; how the program divided them into
// calls is not kept, nor is the reserved bit of a frame header.
//
// Octets that are missing stay missing: the payload of a frame of which some
// are not known to be there is left out, since their places are not known
// either. A connection whose beginning has left the store is one that was found
// in its middle.
type replay struct {
	store *store.Store
	out   *recording.Writer
	conns map[capture.ConnID]*replayed
	left  int // frames whose payload was left out
	buf   []byte
}

// replayed is a connection.
type replayed struct {
	offset [2]uint64
	gap    [2]*store.Entry // rows on gaps that are held back, the sum in one
}

func newReplay(st *store.Store, out *recording.Writer) *replay {
	return &replay{store: st, out: out, conns: make(map[capture.ConnID]*replayed)}
}

// row takes the next row, of any connection.
func (r *replay) row(e *store.Entry) error {
	c := r.conns[e.Conn]
	if c == nil {
		c = &replayed{}
		r.conns[e.Conn] = c
		if e.Kind != decode.RowOpen {
			if err := r.found(e); err != nil {
				return err
			}
		}
	}
	ev := capture.Event{Conn: e.Conn, Direction: e.Direction, TID: e.TID, Time: e.Time}
	d := e.Direction & 1
	switch e.Kind {
	case decode.RowOpen:
		if e.Info == nil {
			return nil
		}
		ev.Kind, ev.Info = capture.Open, e.Info
	case decode.RowBind:
		if e.Binding == nil {
			return nil
		}
		ev.Kind, ev.Binding = capture.Bind, e.Binding
	case decode.RowPreface:
		return r.data(c, &ev, []byte(http2.ClientPreface), uint64(len(http2.ClientPreface)))
	case decode.RowGap:
		return r.gap(c, e)
	case decode.RowFrame:
		return r.frame(c, e, &ev)
	case decode.RowClose:
		for d := range c.gap {
			if err := r.flush(c, capture.Direction(d)); err != nil {
				return err
			}
		}
		delete(r.conns, e.Conn)
		ev.Kind = capture.Close
	default:
		return nil
	}
	ev.Offset = c.offset[d]
	err := r.out.Write(&ev)
	if e.Kind == decode.RowOpen {
		// What was found out later can be told from the start.
		if s, ok := r.store.Conn(e.Conn); ok && s.Evidence != 0 && s.Evidence != capture.Withdrawn {
			r.out.Foretell(e.Conn, &capture.Binding{Local: s.Local, Remote: s.Remote, Evidence: s.Evidence})
		}
	}
	return err
}

// found opens a connection whose beginning is not there.
func (r *replay) found(e *store.Entry) error {
	s, ok := r.store.Conn(e.Conn)
	if !ok {
		return nil
	}
	info := s.Info
	info.Fresh = false
	if info.Role == capture.RoleUnknown {
		info.Role = s.Role
	}
	err := r.out.Write(&capture.Event{Kind: capture.Open, Conn: e.Conn, TID: info.TID, Time: e.Time, Info: &info})
	if err != nil || s.Evidence == 0 || s.Evidence == capture.Withdrawn || e.Kind == decode.RowBind {
		return err
	}
	return r.out.Write(&capture.Event{Kind: capture.Bind, Conn: e.Conn, Time: e.Time,
		Binding: &capture.Binding{Local: s.Local, Remote: s.Remote, Evidence: s.Evidence}})
}

// gap holds a gap back: a frame that follows may account for it.
func (r *replay) gap(c *replayed, e *store.Entry) error {
	d := e.Direction & 1
	if e.GapReason == decode.GapNotSent {
		// Of octets before, which are there: nothing is missing here.
		n := min(e.GapBytes, c.offset[d])
		return r.out.Write(&capture.Event{Kind: capture.Unsent, Conn: e.Conn, Direction: d, TID: e.TID, Time: e.Time,
			Offset: c.offset[d] - n, Length: n})
	}
	if held := c.gap[d]; held != nil && held.GapReason == e.GapReason {
		held.GapBytes += e.GapBytes
		return nil
	}
	if err := r.flush(c, d); err != nil {
		return err
	}
	held := *e
	c.gap[d] = &held
	return nil
}

// flush writes the gap that is held back.
func (r *replay) flush(c *replayed, d capture.Direction) error {
	e := c.gap[d]
	if e == nil {
		return nil
	}
	c.gap[d] = nil
	ev := capture.Event{Kind: capture.Lost, Conn: e.Conn, Direction: d, TID: e.TID, Time: e.Time, Offset: c.offset[d], Length: e.GapBytes}
	if e.GapReason != decode.GapLost {
		ev.Kind = capture.Data // known of, but not there
	}
	c.offset[d] += e.GapBytes
	return r.out.Write(&ev)
}

// frame writes the octets of a frame.
func (r *replay) frame(c *replayed, e *store.Entry, ev *capture.Event) error {
	d := e.Direction & 1
	reason := decode.GapLost
	if gap := c.gap[d]; gap != nil {
		if uint64(e.Missing) >= gap.GapBytes {
			c.gap[d], reason = nil, gap.GapReason // they are the octets that the frame lacks
		} else if err := r.flush(c, d); err != nil {
			return err
		}
	}
	h := &e.Header
	b := binary.BigEndian.AppendUint32(r.buf[:0], h.Length<<8|uint32(h.Type))
	b = append(b, byte(h.Flags))
	b = binary.BigEndian.AppendUint32(b, h.StreamID)
	length := uint64(len(b)) + uint64(h.Length)
	if e.Missing > 0 {
		r.left++
		r.buf = b
		if err := r.data(c, ev, b, uint64(len(b))); err != nil {
			return err
		}
		c.gap[d] = &store.Entry{Row: decode.Row{Kind: decode.RowGap, Conn: e.Conn, Direction: d, TID: e.TID, Time: e.Time,
			GapBytes: uint64(h.Length), GapReason: reason}}
		return r.flush(c, d)
	}
	b = append(b, e.Payload...)
	if e.Err != nil && e.Err.Unfinished {
		length = uint64(len(b)) // the rest was never sent
	}
	r.buf = b
	return r.data(c, ev, b, max(length, uint64(len(b))))
}

// data writes octets as one event, length of them with those that are not
// there.
func (r *replay) data(c *replayed, ev *capture.Event, b []byte, length uint64) error {
	d := ev.Direction & 1
	if err := r.flush(c, d); err != nil {
		return err
	}
	ev.Kind, ev.Data, ev.Length, ev.Offset = capture.Data, b, length, c.offset[d]
	c.offset[d] += length
	return r.out.Write(ev)
}

// errOvertaken says that the history went faster than the writing.
var errOvertaken = errors.New("rows left the history while they were written: try again, or with a larger --history")

// missed says that rows were evicted before they could be read. At the
// beginning they are what the history no longer holds anyway.
func (r *replay) missed(uint64) error {
	if len(r.conns) > 0 {
		return errOvertaken
	}
	return nil
}

// end writes what is held back.
func (r *replay) end() error {
	for _, c := range r.conns {
		for d := range c.gap {
			if err := r.flush(c, capture.Direction(d)); err != nil {
				return err
			}
		}
	}
	return nil
}
