// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"

	"h2sniff/capture"
	"h2sniff/decode"
	"h2sniff/decode/stream"
	"h2sniff/decode/visible"

	"golang.org/x/net/http2"
)

// Tracker diagnoses one connection.
type Tracker struct {
	id    capture.ConnID
	conn  *stream.Conn
	sides [2]side // by direction
	now   counts
	// reports counts the diagnoses of each code; those above maxReports were
	// not handed out.
	reports  [numRules]uint64
	withheld uint64
	lastTime int64
	empty    []emptied // not told of, oldest first
	told     map[toldKey]bool
	ended    bool
	fresh    bool // the connection was seen from its start
	preface  bool // the client's was seen

	seq  uint64
	row  *decode.Row
	emit func(*Diagnosis)
}

// side is what is followed of one direction beyond package stream.
type side struct {
	// The field block in progress or ended last.
	blockOpen     bool
	blockStream   uint32
	blockEnds     bool // END_STREAM
	continuations int

	pings      []ping // not acknowledged, oldest first
	goAwayAt   int64  // 0 for none
	unackedSeq uint64 // SETTINGS reported as unacknowledged
	notCopied  bool   // octets that were not copied were reported

	gap  uint64 // octets missing since the last frame
	held []held // waits for this direction's next frame

	// early is that the first octets are no preface. It waits for the direction's
	// next row: they are the beginning of one where that tells of a loss.
	early *Diagnosis

	windowSure bool // what is left of the windows that this direction uses was known
}

type ping struct {
	data     [8]byte
	seq      uint64
	time     int64
	reported bool
}

// counts are what happened in the current span.
type counts struct {
	start    int64
	messages uint64 // HEADERS, and DATA that is not empty, both directions
	dirs     [2]struct{ headers, pings, settings, empty, resets uint64 }
}

// New returns a Tracker for a connection of which no row was seen yet.
func New(id capture.ConnID) *Tracker {
	return &Tracker{id: id, conn: stream.NewConn()}
}

// Withheld is the number of diagnoses that were not handed out because there
// were too many of their code.
func (t *Tracker) Withheld() uint64 { return t.withheld }

// Row takes the next row of the connection, whose number among all rows is seq.
// emit is called for each diagnosis, which it may keep a copy of.
func (t *Tracker) Row(seq uint64, row *decode.Row, emit func(*Diagnosis)) {
	t.seq, t.row, t.emit = seq, row, emit
	t.lastTime = max(t.lastTime, row.TimeEnd)
	if row.Kind == decode.RowFrame || row.Kind == decode.RowGap {
		t.judgeStart(row.Direction, row.Kind == decode.RowGap && row.GapReason != decode.GapSkipped)
	}
	switch row.Kind {
	case decode.RowFrame:
		t.release(row.Direction & 1)
		t.overdue(row.TimeEnd)
		t.frame()
	case decode.RowGap:
		t.gap()
		t.conn.Apply(seq, row)
	case decode.RowClose:
		t.finish(row.Time, row.Time, " until the connection ended")
		t.conn.Apply(seq, row)
	default:
		switch row.Kind {
		case decode.RowOpen:
			t.fresh = row.Info != nil && row.Info.Fresh
		case decode.RowPreface:
			if t.preface {
				t.anew()
			}
			t.preface = true
		case decode.RowProtocol:
			if row.OneWay {
				t.other()
			}
		}
		t.conn.Apply(seq, row)
	}
	t.row, t.emit = nil, nil
}

// other reports that a side speaks another protocol than HTTP/2.
func (t *Tracker) other() {
	if t.row.Role != capture.RoleUnknown {
		t.conn.SetRole(t.row.Role)
	}
	what := "does not speak HTTP/2: what it sends is not HTTP"
	if p := t.row.Protocol; p != decode.OtherProtocol {
		what = "speaks " + p.String() + " where HTTP/2 is due"
	}
	t.report(otherProtocol, 0, "The %s %s.", t.sender(t.row.Direction), what)
}

// anew forgets what was before: a client whose early data was rejected begins
// again, and what it had sent never reached the server.
func (t *Tracker) anew() {
	for d := range t.sides {
		t.endStalls(capture.Direction(d), t.row.Time, " until the client began anew")
	}
	*t = Tracker{id: t.id, conn: stream.NewConn(), seq: t.seq, row: t.row, emit: t.emit,
		lastTime: t.lastTime, fresh: t.fresh, withheld: t.withheld}
}

// Finish says that there will be no more rows, of any connection, after the time
// now: what still waits is diagnosed. It does nothing after the connection's
// RowClose.
func (t *Tracker) Finish(now int64, emit func(*Diagnosis)) {
	t.emit = emit
	t.finish(t.lastTime, max(t.lastTime, now), " until the end of what was captured")
	t.emit = nil
}

// finish judges what is overdue at the end of the connection, and windows that
// are used up until the time till.
func (t *Tracker) finish(now, till int64, until string) {
	if t.ended {
		return
	}
	t.ended = true
	t.releaseLast()
	t.overdue(now)
	for d := range t.sides {
		t.judgeStart(capture.Direction(d), false)
		doubt := ""
		if d := capture.Direction(d); !t.conn.WindowSure(d) {
			doubt = ", unless octets that were lost refilled it"
		}
		t.endStalls(capture.Direction(d), till, until+doubt)
	}
}

// report hands out a diagnosis of the present row with the rule's own severity
// and section.
func (t *Tracker) report(id ruleID, streamID uint32, format string, args ...any) {
	t.reportAs(id, rules[id].Severity, rules[id].Section, streamID, format, args...)
}

func (t *Tracker) reportAs(id ruleID, sev decode.Severity, section string, streamID uint32, format string, args ...any) {
	if t.full(id) {
		return
	}
	t.emit(&Diagnosis{
		Code: rules[id].Code, Severity: sev, Conn: t.id, Direction: t.row.Direction, Stream: streamID,
		Seq: t.seq, Time: t.row.Time, Text: fmt.Sprintf(format, args...), Section: section,
	})
}

// earlier hands out a diagnosis that hangs on a row before the present one.
func (t *Tracker) earlier(id ruleID, sev decode.Severity, seq uint64, at int64, d capture.Direction, streamID uint32, format string, args ...any) {
	if t.full(id) {
		return
	}
	t.emit(&Diagnosis{
		Code: rules[id].Code, Severity: sev, Conn: t.id, Direction: d, Stream: streamID,
		Seq: seq, Time: at, Text: fmt.Sprintf(format, args...), Section: rules[id].Section,
	})
}

// full counts a diagnosis and tells whether there were too many of its code.
func (t *Tracker) full(id ruleID) bool {
	t.reports[id]++
	if t.reports[id] > maxReports {
		t.withheld++
		return true
	}
	return false
}

func (t *Tracker) gap() {
	s := &t.sides[t.row.Direction&1]
	s.blockOpen = false
	s.gap += t.row.GapBytes
	s.pings = s.pings[:0]
	t.sides[t.row.Direction.Reverse()&1].pings = nil
	h := t.conn.Half(t.row.Direction)
	if t.row.GapReason == decode.GapSkipped && t.fresh && h.Frames == 0 && h.Complete() && !t.preface {
		s.early = &Diagnosis{
			Code: rules[connectionPreface].Code, Severity: rules[connectionPreface].Severity, Conn: t.id, Direction: t.row.Direction,
			Seq: t.seq, Time: t.row.Time, Section: rules[connectionPreface].Section,
			Text: fmt.Sprintf("The first %d octets are neither a connection preface nor frames.", t.row.GapBytes),
		}
		return
	}
	how := "were lost before they reached h2sniff"
	switch t.row.GapReason {
	case decode.GapNotCopied:
		if s.notCopied {
			return // as with redaction, each DATA frame would have one
		}
		s.notCopied = true
		how = "were not copied (the first of this direction)"
	case decode.GapSkipped:
		how = "were skipped to find a frame boundary"
	case decode.GapNotSent:
		how = "of the frames before were not sent, since the program's call failed"
	}
	t.report(captureGap, 0, "%d octets %s: what depends on them is not judged.", t.row.GapBytes, how)
}

// judgeStart tells that the first octets of a direction are no preface, if it waits for
// that and nothing behind them was lost.
func (t *Tracker) judgeStart(d capture.Direction, lost bool) {
	s := &t.sides[d&1]
	if s.early != nil && !lost && !t.full(connectionPreface) {
		t.emit(s.early)
	}
	s.early = nil
}

// frame judges a frame by what was before it, applies it, and judges what came
// of it.
func (t *Tracker) frame() {
	row := t.row
	d := row.Direction & 1
	h := t.conn.Half(d)
	sd := &t.sides[d]
	hd := row.Header
	if row.Role != t.conn.Role() && row.Role != capture.RoleUnknown {
		// Apply learns the role from its row; the checks need it before.
		t.conn.SetRole(row.Role)
	}
	doubted := h.Doubted()
	wasOpen := sd.blockOpen && sd.blockStream == hd.StreamID
	if row.Err != nil && !doubted {
		t.malformed(h, sd)
	}
	var s *stream.Stream
	if hd.StreamID != 0 {
		s = t.conn.Stream(hd.StreamID)
		if !doubted {
			t.state(d, h, s)
		}
	}
	if hd.Type == http2.FramePushPromise && !doubted {
		t.push(d)
	}
	switch hd.Type {
	case http2.FrameHeaders, http2.FramePushPromise:
		sd.blockOpen = !hd.Flags.Has(http2.FlagHeadersEndHeaders)
		sd.blockStream = hd.StreamID
		sd.blockEnds = hd.Type == http2.FrameHeaders && hd.Flags.Has(http2.FlagHeadersEndStream)
		sd.continuations = 0
		t.priority()
	case http2.FrameContinuation:
		if wasOpen {
			sd.continuations++
			if sd.continuations == minContinuations {
				t.report(continuationFlood, hd.StreamID, "The field block goes on over %d CONTINUATION frames and more.", minContinuations)
			}
			sd.blockOpen = !hd.Flags.Has(http2.FlagContinuationEndHeaders)
		}
	case http2.FrameGoAway:
		if !doubted {
			t.goAway(d, sd)
		}
	case http2.FrameRSTStream:
		if !doubted {
			t.rst(d, s)
		}
	case http2.FramePriority:
		t.priority()
	}

	if !doubted {
		t.count(d)
	}
	ch := t.conn.Apply(t.seq, row)
	t.loseWindows(d.Reverse())
	if doubted {
		return
	}
	switch hd.Type {
	case http2.FrameData:
		t.data(d, &ch)
		t.emptied(d, ch.Stream)
	case http2.FrameWindowUpdate:
		t.windowUpdate(d, ch.Stream)
	case http2.FrameSettings:
		t.settings(d, &ch)
		if ch.Lowered {
			t.lowered(d)
		}
	case http2.FramePing:
		t.ping(d)
	case http2.FrameHeaders, http2.FramePushPromise, http2.FrameContinuation:
		t.emptied(d, ch.Stream)
		t.sectionSize(d, &ch)
		if row.HasFields {
			t.fields(d, &ch)
		}
		if ch.Stream != nil && sd.blockEnds && hd.Flags.Has(http2.FlagHeadersEndHeaders) {
			t.length(d, ch.Stream, 0)
		}
	}
	if ch.Stalls[0].Seq != 0 {
		t.stalled(streamWindowExhausted, hd.StreamID, ch.Stalls[0], "")
	}
	if ch.Stalls[1].Seq != 0 {
		t.stalled(connectionWindowExhausted, 0, ch.Stalls[1], "")
	}
}

// quote makes a peer's string harmless and short.
func quote(s string) string {
	if len(s) > maxNameText {
		return "“" + visible.String(s[:maxNameText]) + "…”"
	}
	return "“" + visible.String(s) + "”"
}
