// SPDX-License-Identifier: Apache-2.0

package tui

import tea "github.com/charmbracelet/bubbletea"

// mouse does what a button or the wheel asks for.
func (m *Model) mouse(e tea.MouseEvent) {
	if e.Action != tea.MouseActionPress {
		return
	}
	if m.overlay != nil {
		switch e.Button {
		case tea.MouseButtonWheelUp:
			m.overlay.scroll(-wheelLines)
		case tea.MouseButtonWheelDown:
			m.overlay.scroll(wheelLines)
		}
		m.dirty = true
		return
	}
	b, i := m.lay.boxAt(e.X, e.Y)
	if i < 0 {
		return
	}
	t := m.panes[b.pane].position()
	switch e.Button {
	case tea.MouseButtonWheelUp:
		t.scroll(-wheelLines)
	case tea.MouseButtonWheelDown:
		t.scroll(wheelLines)
	case tea.MouseButtonLeft:
		m.notice = ""
		m.click(b, e.X, e.Y)
	default:
		return
	}
	m.refresh()
}

// click focuses a pane, and points at the row or chooses the tab under the
// mouse. A click on the row under the cursor opens it.
func (m *Model) click(b box, x, y int) {
	if !b.bare && y == b.y {
		if p, sub, ok := m.tabAt(b, x); ok {
			m.focusOn(p)
			if sub >= 0 {
				m.detail.chooseTab(m, sub)
			}
			return
		}
	}
	opens := m.focus == b.pane
	m.focusOn(b.pane)
	p := m.panes[b.pane]
	t := p.position()
	line := y - b.y
	if !b.bare {
		line--
	}
	_, h := b.inner()
	line -= h - t.height // column titles
	if l, ok := p.(sorter); ok && line == -1 {
		l.titleAt(x - b.x - 2) // the edge, and the sign before each row
		return
	}
	was := t.cursor
	hit := t.point(line)
	if b.pane == paneDetail {
		m.detail.pointAt(x-b.x-1, line)
	}
	if hit && opens && was == t.cursor {
		p.open(m)
	}
}
