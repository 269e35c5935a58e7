// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"h2sniff/decode"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// maxProblems is how many findings of a connection, and of a stream, are
// listed: the newest.
const maxProblems = 200

// problems lists what was found wrong, or worth knowing, with the frame, its
// stream and its connection.
func (d *details) problems() {
	e := d.e
	d.line(d.m.sty.bold, "This row")
	switch {
	case e.Err != nil && e.Err.Code == http2.ErrCodeNo:
		d.text(d.m.sty.bad, "! "+frameError(e.Err, 400))
	case e.Err != nil:
		d.text(d.m.sty.bad, "! malformed: "+frameError(e.Err, 400))
	}
	for i := range e.Findings {
		d.finding(&store.Found{Seq: e.Seq, Finding: e.Findings[i]})
	}
	if len(e.Findings) == 0 && e.Err == nil {
		d.line(d.m.sty.dim, "nothing found")
	}
	stream := uint32(0)
	if e.Kind == decode.RowFrame && e.Header.StreamID != 0 {
		stream = e.Header.StreamID
		d.heading("Stream " + itoa(stream))
		d.found(func(f *store.Found) bool { return f.Stream == stream && f.Seq != e.Seq })
	}
	d.heading("Connection " + e.Conn.String())
	d.found(func(f *store.Found) bool { return (f.Stream != stream || stream == 0) && f.Seq != e.Seq })
}

// found lists the findings of the connection's rows that want chooses.
func (d *details) found(want func(*store.Found) bool) {
	list, more := d.m.st.FindingsOf(d.e.Conn, maxProblems, want)
	if len(list) == 0 {
		d.line(d.m.sty.dim, "nothing else found")
	}
	if more {
		d.line(d.m.sty.dim, "the newest "+commas(maxProblems))
	}
	for i := range list {
		d.finding(&list[i])
	}
}

// problem is a finding of the row itself, in the headers tab.
func (d *details) problem(f *store.Finding) {
	text := f.Message
	if f.Section != "" {
		text += " (" + f.Section + ")"
	}
	style := d.m.severityStyle(f.Severity)
	d.prose([]cell{{f.Severity.String(), style}}, []int{d.nameWidth()}, peer(text, 2000), style)
}

func (m *Model) severityStyle(severity decode.Severity) sgr {
	switch severity {
	case decode.Error:
		return m.sty.bad
	case decode.Warning:
		return m.sty.warn
	}
	return m.sty.plain
}

// finding is one finding: how bad, where, what, and the rule.
func (d *details) finding(f *store.Found) {
	s := d.m.sty
	style := d.m.severityStyle(f.Severity)
	d.seq = f.Seq
	before := []cell{{f.Severity.String(), style}, {"#" + commas(f.Seq), s.dim}}
	widths := []int{7, max(4, width(before[1].text))}
	text := f.Message
	if f.Stream != 0 && d.e.Header.StreamID != f.Stream {
		text = "stream " + itoa(f.Stream) + ": " + text
	}
	if f.Section != "" {
		text += " (" + f.Section + ")"
	}
	d.prose(before, widths, peer(text, 2000), s.plain)
	d.seq = 0
}
