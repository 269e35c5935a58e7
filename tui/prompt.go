// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"strconv"
	"strings"

	"h2sniff/decode/store"
	"h2sniff/decode/visible"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// errNotStream is the answer to what is no stream id.
var errNotStream = errors.New("not a stream id: a number from 0 to 2147483647")

const promptLimit = 64 // characters

func newPrompt() textinput.Model {
	t := textinput.New()
	t.CharLimit = promptLimit
	// It would run a program to read the desktop's clipboard; terminals paste
	// by themselves.
	t.KeyMap.Paste.SetEnabled(false)
	return t
}

// parseFilter reads a filter: a bare stream id, or nothing.
func parseFilter(s string) (stream uint32, ok bool, err error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, false, errNotStream
	}
	return uint32(n), true, nil
}

func (m *Model) openPrompt() tea.Cmd {
	m.prompting, m.promptErr = true, ""
	m.prompt.SetValue("") // what is typed replaces the filter
	m.prompt.Focus()      // its command makes the cursor blink; ours does not
	return nil
}

func (m *Model) promptKey(msg tea.KeyMsg) tea.Cmd {
	switch {
	case key.Matches(msg, m.keys.Cancel):
		m.closePrompt()
	case key.Matches(msg, m.keys.Accept):
		stream, ok, err := parseFilter(m.prompt.Value())
		if err != nil {
			m.promptErr = err.Error()
			return nil
		}
		m.closePrompt()
		m.filter(stream, ok)
	default:
		m.prompt, _ = m.prompt.Update(msg)
		m.promptErr = ""
		if _, _, err := parseFilter(m.prompt.Value()); err != nil {
			m.promptErr = err.Error()
		}
	}
	return nil
}

func (m *Model) closePrompt() {
	m.prompting, m.promptErr = false, ""
	m.prompt.Blur()
}

// filter narrows the frames to a stream id, within the chosen connection if
// there is one; without a stream id it widens them again.
func (m *Model) filter(stream uint32, ok bool) {
	v := store.View{Conn: m.view.Conn, Stream: stream, HasStream: ok}
	m.narrow(v, paneFrames)
}

func (m *Model) appendPrompt(dst []byte, w int) []byte {
	s := m.sty
	value := []rune(m.prompt.Value())
	at := min(m.prompt.Position(), len(value))
	// The cursor is drawn as a sign: reverse video is nothing without colours.
	text := " / stream id: " + visible.String(string(value[:at])) + "▏" + visible.String(string(value[at:]))
	switch {
	case m.promptErr != "":
	case len(value) == 0 && m.view.HasStream:
		dst, used := appendCut(dst, text, w)
		now := strconv.FormatUint(uint64(m.view.Stream), 10)
		return appendStyled(dst, now+"   type another, enter alone shows all, esc keeps "+now, w-used, s.dim)
	case len(value) == 0:
		return appendFit(dst, text+"   enter alone shows all, esc cancels", w)
	default:
		return appendFit(dst, text+"   enter filters, esc cancels", w)
	}
	dst, used := appendCut(dst, text+"  ", w)
	return appendStyled(dst, m.promptErr, w-used, s.bad)
}
