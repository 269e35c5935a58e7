// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"

	"h2sniff/capture"
	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// unconfirmed is said of what stays held to the end.
const unconfirmed = " Nothing of the other side was seen after it, so what would allow it may have been lost."

// hold is report for what rests on something that was not seen in the other
// direction. A loss there shows only with that direction's next row: until then
// it is not known whether nothing was sent or it was lost. A frame that came whole
// late, or never, can stand behind that row.
func (t *Tracker) hold(id ruleID, streamID uint32, format string, args ...any) {
	t.holdAs(id, rules[id].Severity, rules[id].Section, streamID, format, args...)
}

func (t *Tracker) holdAs(id ruleID, sev decode.Severity, section string, streamID uint32, format string, args ...any) {
	other := t.row.Direction.Reverse() & 1
	sd := &t.sides[other]
	if t.row.Overtaken && sd.gap == 0 {
		t.reportAs(id, sev, section, streamID, format, args...)
		return
	}
	if len(sd.held) == maxHeld {
		t.unconfirmed(&sd.held[0])
		sd.held = sd.held[:copy(sd.held, sd.held[1:])]
	}
	sd.held = append(sd.held, held{id, Diagnosis{
		Code: rules[id].Code, Severity: sev, Conn: t.id, Direction: t.row.Direction, Stream: streamID,
		Seq: t.seq, Time: t.row.Time, Text: fmt.Sprintf(format, args...), Section: section,
	}})
}

// release decides on what waits for the present frame of direction d: it comes
// out, unless frames before this one were lost or it may itself be what was not
// seen.
func (t *Tracker) release(d capture.Direction) {
	sd := &t.sides[d]
	gap, row := sd.gap, t.row
	sd.gap = 0
	if len(sd.held) == 0 {
		return
	}
	// A hole inside the frame is accounted for by what the frame lacks. Of DATA
	// its header tells all that matters here.
	if gap <= uint64(row.Missing) && (row.Missing == 0 || row.Header.Type == http2.FrameData) {
		for i := range sd.held {
			if h := &sd.held[i]; !t.full(h.id) {
				t.emit(&h.diagnosis)
			}
		}
	}
	sd.held = nil
}

// releaseLast decides at the end on what still waits.
func (t *Tracker) releaseLast() {
	for d := range t.sides {
		sd := &t.sides[d]
		if sd.gap == 0 {
			for i := range sd.held {
				t.unconfirmed(&sd.held[i])
			}
		}
		sd.held = nil
	}
}

func (t *Tracker) unconfirmed(h *held) {
	if t.full(h.id) {
		return
	}
	h.diagnosis.Severity = min(h.diagnosis.Severity, decode.Warning)
	h.diagnosis.Text += unconfirmed
	t.emit(&h.diagnosis)
}

// held is a diagnosis that waits.
type held struct {
	id        ruleID
	diagnosis Diagnosis
}
