// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// menuKey takes a key while the choices of what to copy are shown. Any other
// than one of theirs closes them.
func (m *Model) menuKey(msg tea.KeyMsg) {
	m.choosing = false
	if key.Matches(msg, m.keys.Cancel) {
		return
	}
	for _, c := range copyChoices() {
		if msg.String() == c.key {
			m.copyRow(c)
			return
		}
	}
}

// appendMenu appends exactly w cells: the choices.
func (m *Model) appendMenu(dst []byte, w int) []byte {
	s := m.sty
	var b []byte
	used := 0
	add := func(text string, style sgr) {
		n := min(width(text), w-used)
		b = appendStyled(b, text, n, style)
		used += n
	}
	add(" copy ", s.bold)
	for _, c := range copyChoices() {
		add(" "+c.key, s.key)
		add(" "+c.name+" ", s.plain)
	}
	add(" esc", s.key)
	add(" cancel", s.dim)
	return appendSpaces(append(dst, b...), w-used)
}
