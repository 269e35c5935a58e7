// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// problems is how many things are wrong, or likely to be: malformed frames are
// errors among the findings too, where there are findings at all.
func problems(malformed uint64, c store.FindingCounts) uint64 {
	return c.Warnings + max(malformed, c.Errors)
}

// worst is the highest severity of a row's findings; 0 where it has none.
func worst(e *store.Entry) decode.Severity {
	var s decode.Severity
	for i := range e.Findings {
		s = max(s, e.Findings[i].Severity)
	}
	return s
}

// label names a finding: how long a window was used up tells more than the
// code, and fits where that does not.
func label(f *store.Finding) string {
	if f.Since == 0 {
		return f.Code
	}
	text := "stalled, still" // for how long grows, the row does not
	if f.Till != 0 {
		text = "stalled " + span(f.Till-f.Since)
	}
	if f.Stream == 0 {
		text += " (conn)"
	}
	return text
}

// finding names the worst finding of a row behind its summary. A malformed
// frame's summary says what is wrong already.
func finding(s *styles, e *store.Entry) cell {
	if e.Err != nil {
		return cell{}
	}
	level := worst(e)
	for i := range e.Findings {
		if f := &e.Findings[i]; f.Severity == level {
			switch level {
			case decode.Error:
				return cell{"!" + label(f), s.bad}
			case decode.Warning:
				return cell{"!" + label(f), s.warn}
			}
		}
	}
	return cell{}
}
