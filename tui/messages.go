// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"time"

	"github.com/charmbracelet/bubbles/key"
)

const (
	// noticeShown is for how long a notice stands that no key takes away: what it
	// says may not be true any more.
	noticeShown = 8 * time.Second
	// maxSaid is how many notices are kept to be read whole.
	maxSaid = 100
)

// ageNotice takes a notice away that has stood for long. An alarm, and a question
// that waits for a key, stay.
func (m *Model) ageNotice(t time.Time) {
	switch {
	case m.notice == "" || m.noticeAlarm || m.chord != noChord:
	case m.noticeAt.IsZero():
		m.noticeAt = t
	case t.Sub(m.noticeAt) >= noticeShown:
		m.notice, m.dirty = "", true
	}
}

// keepNotice keeps a notice for messagesOverlay, once where it is repeated.
func (m *Model) keepNotice(text string) {
	if n := len(m.said); n > 0 && m.said[n-1] == text {
		return
	}
	if len(m.said) == maxSaid {
		m.said = append(m.said[:0], m.said[1:]...)
	}
	m.said = append(m.said, text)
}

// messagesOverlay shows whole what the last line has said, or has room for a
// part of only: the state of the source, and then the notices, the newest first.
type messagesOverlay struct{ helpOverlay }

func (m *Model) showMessages(string) error {
	m.overlay = &messagesOverlay{}
	return nil
}

func (*messagesOverlay) hints(m *Model) []key.Binding {
	return []key.Binding{hint(m.keys.Back, "", "close"), hint(m.keys.Up, "↑↓", "scroll")}
}

// maxMessage is how much of a message is shown, in cells.
const maxMessage = 4000

func (o *messagesOverlay) draw(m *Model, lines [][]byte, w int) {
	type styled struct {
		text  string
		style sgr
	}
	var all []styled
	add := func(text string, style sgr) {
		for i, line := range wrapWords(peer(text, maxMessage), max(1, w-4)) {
			before := "   "
			if i == 0 {
				before = " · "
			}
			all = append(all, styled{before + line, style})
		}
	}
	s := m.sty
	all = append(all, styled{" Messages, the newest first", s.bold})
	if m.status.Err != nil {
		add(m.status.Err.Error(), s.bad)
	}
	if m.status.Text != "" {
		add(m.status.Text, s.plain)
	}
	for i := len(m.said) - 1; i >= 0; i-- {
		add(m.said[i], s.plain)
	}
	if len(all) == 1 {
		add("none yet", s.dim)
	}
	o.top = min(o.top, max(0, len(all)-len(lines)))
	for i := range lines {
		if at := o.top + i; at < len(all) {
			lines[i] = appendStyled(lines[i], all[at].text, w, all[at].style)
		} else {
			lines[i] = appendSpaces(lines[i], w)
		}
	}
}
