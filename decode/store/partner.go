// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/net/http2"

	"h2sniff/decode"
)

// ErrNoPartner is returned for rows that nothing answers.
var ErrNoPartner = errors.New("nothing answers a row of this kind")

// ErrPartnerUnknown is returned where the partner is not held, or where frames
// that were not seen leave open which one it is.
var ErrPartnerUnknown = errors.New("its partner is not in the history, or cannot be told")

// Partner looks for the row that answers another, or that it answers:
//
//   - the first field section of the other side on a stream, interim responses
//     left out: request and response (RFC 9113, section 8.1);
//   - SETTINGS and its acknowledgement, which come in the same order (section
//     6.5.3);
//   - PING and its acknowledgement, which has the same opaque data (6.7): of several
//     PINGs with the same data the oldest one;
//   - DATA and the WINDOW_UPDATE that gave its octets back: the first one later
//     by which as many octets were given back as had been sent (6.9). That of
//     the stream is taken, or, where the stream gets none, of the connection;
//   - PUSH_PROMISE and the response on the promised stream (8.4).
//
// It is used by one goroutine at a time.
type Partner struct {
	st    *Store
	row   Entry
	walks []walk
	at    uint64 // ordinal of the next row in the view of walks[0]
	spare uint64 // taken where the walk finds nothing better
	found uint64
	err   error
	lost  bool // frames were, since the last row that was looked at
	ledger
}

// walk is a way through the rows of a view, in their order.
type walk struct {
	view View
	// whole says that it counts from the beginning, which must be there.
	whole bool
	// look looks at a row and reports whether the walk can end.
	look func(p *Partner, e *Entry) bool
}

// ledger matches what asks with what answers: an answer is for all that asked
// before it, as far as the sum of the answers goes.
type ledger struct {
	asked, answered uint64
	open            []ask
}

type ask struct{ seq, sum uint64 }

func (l *ledger) ask(seq, n uint64) {
	l.asked += n
	l.open = append(l.open, ask{seq, l.asked})
}

// answer returns those that are answered.
func (l *ledger) answer(n uint64) []ask {
	l.answered += n
	i := 0
	for i < len(l.open) && l.open[i].sum <= l.answered {
		i++
	}
	done := l.open[:i]
	l.open = l.open[i:]
	return done
}

// Partner begins to look for the partner of the row seq.
func (s *Store) Partner(seq uint64) (*Partner, error) {
	e, err := s.Frame(seq)
	if err != nil {
		return nil, err
	}
	if e.Kind != decode.RowFrame {
		return nil, ErrNoPartner
	}
	p := &Partner{st: s, row: e}
	stream := View{Conn: e.Conn, Stream: e.Header.StreamID, HasStream: true}
	conn := View{Conn: e.Conn}
	switch e.Header.Type {
	case http2.FrameHeaders, http2.FrameContinuation:
		p.walks = []walk{{stream, false, (*Partner).message}}
	case http2.FramePushPromise:
		promise, err := decode.ParsePayload(e.Header, e.Payload)
		if err != nil || e.Missing > 0 {
			return nil, ErrPartnerUnknown
		}
		stream.Stream = promise.PromisedStream
		p.walks = []walk{{stream, false, (*Partner).pushed}}
	case http2.FrameSettings:
		p.walks = []walk{{conn, true, (*Partner).settings}}
	case http2.FramePing:
		if e.Missing > 0 {
			return nil, ErrPartnerUnknown
		}
		p.walks = []walk{{conn, false, (*Partner).ping}}
	case http2.FrameData:
		p.walks = []walk{{stream, true, (*Partner).window}, {conn, true, (*Partner).window}}
	case http2.FrameWindowUpdate:
		if e.Header.StreamID == 0 {
			stream = conn
		}
		p.walks = []walk{{stream, true, (*Partner).window}}
	default:
		return nil, ErrNoPartner
	}
	p.begin()
	return p, nil
}

func (p *Partner) begin() {
	w := &p.walks[0]
	p.at, _ = p.st.Span(w.view)
	p.ledger, p.lost = ledger{}, false
	if w.whole && !p.seenWhole(w) {
		p.end()
	}
}

// seenWhole says whether all rows of the walk were seen and are held.
func (p *Partner) seenWhole(w *walk) bool {
	c, ok := p.st.Conn(p.row.Conn)
	first := p.st.Rows(w.view, 0, 1)
	if !ok || c.Gaps > 0 || p.at != 0 || len(first) == 0 {
		return false
	}
	if w.view.HasStream { // one that began before the capture begins with another frame
		return first[0].Header.Type == http2.FrameHeaders
	}
	return c.Info.Fresh
}

// partnerChunk is how many rows are read at once: each may be large.
const partnerChunk = 64

// Advance looks for about as long as slice, at some rows in any case, and reports whether it has come to
// an end.
func (p *Partner) Advance(slice time.Duration) (done bool) {
	deadline := time.Now().Add(slice)
	for begun := false; p.found == 0 && p.err == nil; begun = true {
		if begun && time.Now().After(deadline) {
			return false
		}
		w := &p.walks[0]
		rows := p.st.Rows(w.view, p.at, partnerChunk)
		if len(rows) == 0 {
			p.end()
			continue
		}
		p.at += uint64(len(rows))
		for i := range rows {
			if w.look(p, &rows[i]) {
				p.end()
				break
			}
		}
	}
	return true
}

// end ends a walk with what it found, or goes on to the next one.
func (p *Partner) end() {
	switch {
	case p.found != 0:
	case p.spare != 0:
		p.found = p.spare
	case len(p.walks) > 1:
		p.walks = p.walks[1:]
		p.begin()
	default:
		p.err = ErrPartnerUnknown
	}
}

// Found gives the Seq of the partner once Advance has come to an end.
func (p *Partner) Found() (uint64, error) {
	if p.found == 0 && p.err == nil {
		return 0, ErrNotYet
	}
	return p.found, p.err
}

func (p *Partner) otherWay(e *Entry) bool { return e.Direction != p.row.Direction }

func (p *Partner) message(e *Entry) bool {
	if e.Header.Type != http2.FrameHeaders || !p.otherWay(e) {
		return false
	}
	if interim(e.Fields) {
		if p.spare == 0 {
			p.spare = e.Seq
		}
		return false
	}
	p.found = e.Seq
	return true
}

// interim says whether a field section is a 1xx response.
func interim(fields []decode.Field) bool {
	for i := range fields {
		if f := &fields[i]; f.NameKnown && f.Name == ":status" {
			return f.ValueKnown && strings.HasPrefix(f.Value, "1")
		}
	}
	return false
}

func (p *Partner) pushed(e *Entry) bool {
	if e.Header.Type != http2.FrameHeaders || p.otherWay(e) {
		return false
	}
	p.found = e.Seq
	return true
}

// ping takes them in their order, of those with the same data: an acknowledgement
// is for the oldest PING that has none. Where frames were lost it may be for
// another one.
func (p *Partner) ping(e *Entry) bool {
	if e.Kind == decode.RowGap {
		p.lost = true
	}
	if e.Kind != decode.RowFrame || e.Header.Type != http2.FramePing || e.Missing > 0 || string(e.Payload) != string(p.row.Payload) {
		return false
	}
	ack := e.Header.Flags.Has(http2.FlagPingAck)
	if rowAck := p.row.Header.Flags.Has(http2.FlagPingAck); (ack == rowAck) == p.otherWay(e) {
		return false // of the other side's PINGs
	}
	if p.lost && (!ack || len(p.open) > 1) {
		p.ledger, p.lost = ledger{}, false
	}
	switch {
	case !ack:
		p.ask(e.Seq, 1)
	case len(p.open) > 0: // else its PING was not seen
		return p.settle(e, p.answer(1))
	}
	return e.Seq == p.row.Seq && ack
}

func (p *Partner) settings(e *Entry) bool {
	if e.Kind != decode.RowFrame || e.Header.Type != http2.FrameSettings {
		return false
	}
	ack := e.Header.Flags.Has(http2.FlagSettingsAck)
	if rowAck := p.row.Header.Flags.Has(http2.FlagSettingsAck); (ack == rowAck) == p.otherWay(e) {
		return false // of the other side's settings
	}
	if !ack {
		p.ask(e.Seq, 1)
		return false
	}
	return p.settle(e, p.answer(1))
}

// window follows the octets of DATA one way, and what was given back of them.
func (p *Partner) window(e *Entry) bool {
	if e.Kind != decode.RowFrame {
		return false
	}
	data := p.row.Direction
	if p.row.Header.Type == http2.FrameWindowUpdate {
		data = data.Reverse()
	}
	switch {
	case e.Header.Type == http2.FrameData && e.Direction == data:
		p.ask(e.Seq, uint64(e.Header.Length))
	case e.Header.Type == http2.FrameWindowUpdate && e.Direction != data &&
		(p.walks[0].view.HasStream || e.Header.StreamID == 0):
		w, err := decode.ParsePayload(e.Header, e.Payload)
		if err != nil || e.Missing > 0 {
			return false
		}
		return p.settle(e, p.answer(uint64(w.Increment)))
	}
	return false
}

// settle sees whether the row is the answer e or among the asks that it
// answers.
func (p *Partner) settle(e *Entry, asks []ask) bool {
	for _, a := range asks {
		if a.seq == p.row.Seq {
			p.found = e.Seq
			return true
		}
	}
	if e.Seq != p.row.Seq {
		return false
	}
	if len(asks) > 0 {
		p.found = asks[len(asks)-1].seq
	}
	return true
}
