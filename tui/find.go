// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// finder goes from match to match of a condition, among the rows that are
// shown.
type finder struct {
	kind  workKind
	name  string // of what is found, for notices
	match func(*Model) store.Predicate
	// field is the condition on a field that makes its row match; nil: none.
	field  func(*decode.Field) bool
	needle needle // that is looked for, of a search
	// bodies looks into bodies, of a search; nil: nothing does.
	bodies *bodySearch
	// seams looks across the DATA frames of a body, of a search.
	seams *seams

	base store.View
	sel  *store.Selection
	far  store.Progress
	done bool // all rows there were when it was asked last are examined
	// from, back and until are of a jump that waits for rows to be examined: of
	// those up to until, which there were when it was asked for.
	waits bool
	from  uint64
	back  bool
	until uint64
}

// find goes to the match next to the cursor.
func (m *Model) find(f *finder, back bool) {
	if f.sel == nil || f.base != m.view || f.cut() {
		f.base, f.sel, f.far, f.done = m.view, m.st.Select(m.view, f.match(m)), store.Progress{}, false
		m.end(f.kind)
	}
	f.waits, f.back, f.from = true, back, 0
	if e := m.frames.selected(); e != nil {
		f.from = e.Seq
	}
	if f.until = m.st.Snapshot().Rows; m.paused {
		f.until = m.shown.Rows
	}
	f.examined()
	if m.answer(f) {
		return
	}
	sel, bodies := f.sel, f.bodies
	w := &work{
		what: "looking for " + f.name,
		step: func(ctx context.Context) bool {
			if bodies != nil {
				bodies.during(ctx)
			}
			return sel.Advance(ctx, slice)
		},
		far: func() string { return hundredths(part(f.far)) },
		after: func(m *Model, _ bool) {
			if f.cut() { // by the end of the work before this one
				m.find(f, f.back)
				return
			}
			f.examined()
			m.answer(f)
			if f.done {
				m.end(f.kind)
			}
		},
	}
	m.begin(f.kind, w)
}

// examined notes how far the rows are examined. Those that come meanwhile are
// not waited for: they may come faster than they can be examined.
func (f *finder) examined() {
	f.far = f.sel.Progress()
	f.done = f.far.End > f.until
}

// cut says that what was examined is of no use.
func (f *finder) cut() bool { return f.bodies != nil && f.bodies.cut.Load() }

// answer goes to the match that was asked for, if that is known by now, and
// reports whether the question is answered.
func (m *Model) answer(f *finder) bool {
	if !f.waits {
		return true
	}
	v := store.View{Selection: f.sel}
	var seq uint64
	ok, wrapped := false, false
	if f.back {
		// What is before the cursor must have been examined.
		if !f.done && f.sel.Progress().End <= f.from {
			return false
		}
		if seq, ok = m.nextOf(v, f.from, true); !ok {
			if !f.done {
				return false // the newest one is not known yet
			}
			seq, ok = m.nextOf(v, 1<<63, true)
			wrapped = true
		}
	} else {
		seq, ok = m.nextOf(v, f.from, false)
		if !ok && !f.done {
			return false
		}
		if !ok {
			seq, ok = m.nextOf(v, 0, false)
			wrapped = true
		}
	}
	f.waits = false
	switch {
	case !ok:
		m.say("no "+f.name+m.amongRows(), false)
		return true
	case seq == f.from:
		m.detail.lightMatch(m, f)
		m.say("no other "+f.name+" than this", false)
		return true
	}
	if !m.jump(seq) {
		return true
	}
	m.detail.lightMatch(m, f)
	text := f.name + " " + m.placeOf(f, seq)
	if f.bodies != nil && m.detail.light.field == 0 && !f.needle.in(m.detail.entry.Payload) {
		if f.seams.at(seq) {
			text += ", which begins in a frame before this"
		} else {
			text += ", in the decoded body that ends here"
		}
	}
	if wrapped && f.back {
		text += ", going on from the newest"
	} else if wrapped {
		text += ", going on from the oldest"
	}
	m.say(text, false)
	return true
}

// amongRows says where nothing was found.
func (m *Model) amongRows() string {
	if m.filter == nil && m.view == (store.View{}) {
		return " in any row"
	}
	return " among the rows shown; esc shows more"
}

// placeOf is which of the matches a row is.
func (m *Model) placeOf(f *finder, seq uint64) string {
	v := store.View{Selection: f.sel}
	first, end := m.st.Span(v)
	text := commas(m.st.Find(v, seq)-first+1) + " of " + commas(end-first)
	if !f.done {
		text += " so far"
	}
	return text
}

// newProblems finds malformed frames, gaps, and rows with a warning or an error
// among their findings.
func newProblems() *finder {
	return &finder{kind: workProblems, name: "problem", match: func(*Model) store.Predicate {
		return store.Predicate{Findings: true, Stateless: true, Match: func(r *store.Record) bool {
			if r.Kind() == decode.RowGap {
				return true
			}
			if _, malformed := r.Malformed(); malformed {
				return true
			}
			for _, f := range r.Findings() {
				if f.Severity >= decode.Warning {
					return true
				}
			}
			return false
		}}
	}}
}

// errNoHex is the answer to what is no hex.
var errNoHex = errors.New("hex: digits in pairs are needed, as in 0x00ff1a")

// newSearch finds text in names and values of header fields, or from one to the
// other as in "name: value", and in what frames carry, without regard to the case of ASCII letters, or, after 0x, octets in
// payloads. Bodies are searched as they are on the wire, also across their
// frames; those with content codings also with these undone, as a whole.
func newSearch(text string) (*finder, error) {
	n := textNeedle(text)
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil || len(b) == 0 {
			return nil, errNoHex
		}
		n = needle{b, true}
	}
	if len(n.b) == 0 {
		return nil, errors.New("nothing to search for")
	}
	f := &finder{kind: workSearch, name: "match of " + peer(text, 30), needle: n}
	if !n.octets {
		f.field = func(f *decode.Field) bool {
			return n.inField(knownOctets([]byte(f.Name), f.NameKnown), knownOctets([]byte(f.Value), f.ValueKnown))
		}
	}
	f.match = func(m *Model) store.Predicate {
		bodies := newBodySearch(m.st, n)
		across := newSeams(n)
		f.bodies, f.seams = bodies, across
		return store.Predicate{Memos: 2, Match: func(r *store.Record) bool {
			// Asked of each row: they keep count of what is in progress.
			inBody, atSeam := bodies.match(r, 1), across.match(r)
			return inBody || atSeam || onWire(r, n)
		}}
	}
	return f, nil
}

// knownOctets is b, which is not nil, or nil where it is not known.
func knownOctets(b []byte, known bool) []byte {
	switch {
	case !known:
		return nil
	case b == nil:
		return []byte{}
	}
	return b
}

// onWire says whether a row has the needle in its fields or, as it is, in what
// it carries. The memo 0 is for the needle.
func onWire(r *store.Record, n needle) bool {
	if n.octets {
		return n.in(r.Payload())
	}
	if r.HasFields() && r.AnyField(0, func(f *store.RawField) bool {
		return n.inField(knownOctets(f.Name, f.NameKnown), knownOctets(f.Value, f.ValueKnown))
	}) {
		return true
	}
	if !r.IsFrame() {
		return false
	}
	switch r.Type() { // their payloads are compressed fields
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise:
		return false
	}
	return n.in(r.Payload())
}
