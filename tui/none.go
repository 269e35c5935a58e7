// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"
	"strings"

	"h2sniff/decode/store"
)

// whyNoFrames is what to show where the view has no rows.
func (m *Model) whyNoFrames() []string {
	switch {
	case m.paused && m.pausedOnGone():
		return []string{"The rows that were paused on have left the history; space resumes."}
	case m.filter != nil && m.filter.done && m.filter.hidden > 0:
		return []string{commas(m.filter.hidden) + " match among the rows that wait; " + keyName(m.keys.Pause.Keys()[0]) + " shows them."}
	case m.filter != nil && m.filter.done && m.now.Rows > 0:
		lines := []string{"Nothing here matches the filter.", "esc goes back, / and enter show everything."}
		if hint := m.filter.expr.Hint(); hint != "" {
			lines = append(lines, strings.SplitAfter(hint, ": ")...)
		}
		return lines
	case m.filter != nil && m.now.Rows > 0:
		return []string{"Nothing yet matches the filter."}
	case m.view != store.View{} && m.now.Rows > 0:
		return []string{"Nothing here matches " + m.viewName() + ".", "esc goes back, / and enter show everything."}
	case m.status.Err != nil:
		return []string{"No frames.", peer(m.status.Err.Error(), 200)}
	case m.status.Exit != 0:
		return []string{"No frames.", "The command exited with status " + strconv.Itoa(m.status.Exit) + "."}
	case m.status.Done || !m.o.Live:
		lines := []string{"No frames."}
		if m.status.Text != "" {
			lines = append(lines, peer(m.status.Text, 200))
		}
		return lines
	}
	lines := []string{"Waiting for HTTP/2 frames."}
	if m.status.Text != "" {
		lines = append(lines, peer(m.status.Text, 200))
	}
	return append(lines, "",
		"What is open already shows with its next octets.",
		"If nothing comes: h2sniff targets lists what can be",
		"captured, h2sniff doctor tries whether capture works here.")
}

// pausedOnGone says whether rows of the view that were there at the moment of
// the pause have been evicted since, or before.
func (m *Model) pausedOnGone() bool {
	first, _ := m.st.Span(m.frameView())
	return first > 0 || m.shown.Rows > 0 && m.now.Evicted >= m.shown.Rows ||
		m.filter == nil && m.now.Evicted > m.shown.Evicted
}
