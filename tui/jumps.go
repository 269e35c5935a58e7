// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
)

// chord is a key that waits for the letter of a mark.
type chord int

const (
	noChord chord = iota
	chordMark
	chordToMark
)

// lastPlace is the mark of where the last jump began.
const lastPlace = '\''

// chordKey takes the letter of a mark.
func (m *Model) chordKey(msg tea.KeyMsg) {
	c := m.chord
	m.chord = noChord
	if len(msg.Runes) != 1 || msg.Alt {
		return // esc, for example
	}
	r := msg.Runes[0]
	switch {
	case (r < 'a' || r > 'z') && (r != lastPlace || c == chordMark):
		m.say("a mark is a letter from a to z", false)
	case c == chordMark:
		e := m.frames.selected()
		if e == nil {
			m.say("no row to mark", false)
			return
		}
		m.marks[r] = e.Seq
		m.say("row "+commas(e.Seq)+" is mark "+string(r), false)
		m.frames.forget()
		m.refresh()
	default:
		seq, ok := m.marks[r]
		if !ok {
			m.say("no mark "+string(r), false)
			return
		}
		from := m.frames.selected()
		if m.notice = ""; m.jump(seq) && m.notice == "" && from != nil {
			m.say(m.between(from, seq), false)
		}
	}
}

// between says how far a row is from another in time.
func (m *Model) between(from *store.Entry, seq uint64) string {
	e, err := m.st.Frame(seq)
	if err != nil || seq == from.Seq {
		return "row " + commas(seq)
	}
	d, side := e.Time-from.Time, "after"
	if d < 0 {
		d, side = -d, "before"
	}
	return "row " + commas(seq) + ", " + span(d) + " " + side + " row " + commas(from.Seq)
}

// markOf is the mark of a row; empty where it has none.
func (m *Model) markOf(seq uint64) string {
	found := ""
	for r, marked := range m.marks {
		if marked == seq && r != lastPlace && (found == "" || string(r) < found) {
			found = string(r)
		}
	}
	return found
}

// holds says whether a row is in a view.
func (m *Model) holds(v store.View, seq uint64) bool {
	rows := m.st.Rows(v, m.st.Find(v, seq), 1)
	return len(rows) > 0 && rows[0].Seq == seq
}

// jump puts the cursor on a row. Where it is not among those that are shown,
// the view is widened until it is.
func (m *Model) jump(seq uint64) bool {
	e, err := m.st.Frame(seq)
	switch {
	case errors.Is(err, store.ErrEvicted):
		if _, ok := m.frames.keptPlace(m.frameView(), seq); ok {
			break
		}
		m.say("row "+commas(seq)+" has left the history", false)
		return false
	case errors.Is(err, store.ErrNotYet):
		yet := ""
		if m.o.Live && !m.status.Done {
			yet = " yet"
		}
		m.say("there is no row "+commas(seq)+yet+"; the last is "+commas(m.st.Snapshot().Rows), false)
		return false
	case err != nil:
		m.say("row "+commas(seq)+": "+err.Error(), false)
		return false
	case m.paused && seq > m.shown.Rows:
		m.say("row "+commas(seq)+" is not shown yet; "+keyName(m.keys.Pause.Keys()[0])+" resumes", false)
		return false
	}
	if from := m.frames.selected(); from != nil {
		m.marks[lastPlace] = from.Seq
	}
	if err == nil && !m.holds(m.frameView(), seq) {
		m.remember()
		m.filter = nil
		switch {
		case m.holds(m.view, seq):
		case m.view.Conn == e.Conn:
			m.view = store.View{Conn: e.Conn}
		default:
			m.view = store.View{}
		}
		m.say("row "+commas(seq)+" was not among those shown; esc goes back", false)
	}
	m.frames.goTo(m, m.frameView(), seq, false)
	if m.focus != paneFrames && m.focus != paneDetail {
		m.focusOn(paneFrames)
	}
	m.refresh()
	return true
}

// maxReach is how many rows of a stream are looked through for one that the
// filter lets pass.
const maxReach = 1 << 12

// ofStream goes to the next or the previous frame of the stream of the row
// under the cursor that is among those shown.
func (m *Model) ofStream(back bool) {
	e := m.frames.selected()
	if e == nil || !hasStream(e) {
		m.say("this row belongs to no stream", false)
		return
	}
	v := store.View{Conn: e.Conn, Stream: e.Header.StreamID, HasStream: true}
	if seq, ok := m.nextOf(v, e.Seq, back); ok {
		m.jump(seq)
		return
	}
	if back {
		m.say("no earlier frame of this stream", false)
	} else {
		m.say("no later frame of this stream", false)
	}
}

// nextOf is the row of a view next to seq that is among those shown.
func (m *Model) nextOf(v store.View, seq uint64, back bool) (uint64, bool) {
	first, end := m.st.Span(v)
	at := m.st.Find(v, seq)
	for range maxReach {
		if back {
			if at <= first {
				return 0, false
			}
			at--
		}
		rows := m.st.Rows(v, at, 1)
		if len(rows) == 0 {
			return 0, false
		}
		if found := rows[0].Seq; found != seq && m.among(&rows[0]) {
			return found, true
		}
		if !back {
			if at++; at >= end {
				return 0, false
			}
		}
	}
	return 0, false
}

// among says whether a row is among those shown.
func (m *Model) among(e *store.Entry) bool {
	if m.paused && e.Seq > m.shown.Rows {
		return false
	}
	v := m.view
	return (v.Conn == 0 || v.Conn == e.Conn) && (!v.HasStream || hasStream(e) && e.Header.StreamID == v.Stream) &&
		(m.filter == nil || m.filter.sel.Has(e.Seq))
}

// partner goes to the row that answers the one under the cursor, or that it
// answers.
func (m *Model) partner() {
	e := m.frames.selected()
	if e == nil {
		return
	}
	p, err := m.st.Partner(e.Seq)
	if err != nil {
		m.say(err.Error(), false)
		return
	}
	m.begin(workPartner, &work{
		what: "looking for the partner",
		step: func(context.Context) bool { return p.Advance(slice) },
		after: func(m *Model, done bool) {
			if !done {
				return
			}
			m.end(workPartner)
			if seq, err := p.Found(); err != nil {
				m.say(err.Error(), false)
			} else {
				m.jump(seq)
			}
		},
	})
}
