// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// overlay is shown in place of the panes, and gets the keys, until it closes.
type overlay interface {
	draw(m *Model, lines [][]byte, w int)
	key(m *Model, msg tea.KeyMsg)
	hints(m *Model) []key.Binding
	// scroll is what the wheel does.
	scroll(by int)
}

// label names a column for people, and in the configuration.
func (c *column) label() string {
	if c.name != "" {
		return c.name
	}
	return c.title
}

func labels(cols []column) (names []string) {
	for i := range cols {
		names = append(names, cols[i].label())
	}
	return names
}

// listNames are the panes that have columns, by the names that the
// configuration has for them.
var listNames = map[string]paneID{"connections": paneConns, "streams": paneStreams, "frames": paneFrames}

// lister is a pane with columns.
type lister interface{ columns() *list }

func (l *list) columns() *list { return l }

// choose shows the named columns and no others.
func (l *list) choose(names []string) error {
	if err := knownColumns(l.cols, names); err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	for i := range l.cols {
		l.cols[i].off = !wanted[l.cols[i].label()]
	}
	l.asked = true
	return nil
}

func knownColumns(cols []column, names []string) error {
	known := labels(cols)
	for _, n := range names {
		if !contains(known, n) {
			return fmt.Errorf("no column %q: there are %s", n, strings.Join(known, ", "))
		}
	}
	if len(names) == 0 {
		return errors.New("one column is needed at least")
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// checkColumns finds what is wrong with the columns of a list.
func checkColumns(name string, columns []string) error {
	var cols []column
	switch name {
	case "connections":
		cols = newConnPane().cols
	case "streams":
		cols = newStreamPane().cols
	case "frames":
		cols = newFramePane().cols
	default:
		return fmt.Errorf("no list %q: there are connections, streams, frames", name)
	}
	return knownColumns(cols, columns)
}

// chooser is the overlay in which columns are chosen.
type chooser struct {
	name string
	list *list
	at   int
	top  int
}

// chooseColumns opens the chooser for the focused list.
func (m *Model) chooseColumns() {
	l, ok := m.panes[m.focus].(lister)
	if !ok {
		l = m.frames
	}
	m.overlay = &chooser{list: l.columns(), name: m.listName(l)}
}

func (m *Model) listName(l lister) string {
	for name, id := range listNames {
		if m.panes[id].(lister).columns() == l.columns() {
			return name
		}
	}
	return ""
}

func (c *chooser) key(m *Model, msg tea.KeyMsg) {
	k, last := &m.keys, len(c.list.cols)-1
	switch {
	case key.Matches(msg, k.Back, k.Columns):
		m.overlay = nil
	case key.Matches(msg, k.Up):
		c.scroll(-1)
	case key.Matches(msg, k.Down):
		c.scroll(1)
	case key.Matches(msg, k.Home, k.PageUp):
		c.at = 0
	case key.Matches(msg, k.End, k.PageDown):
		c.at = last
	case key.Matches(msg, k.Enter, k.Pause):
		c.toggle(m)
	}
}

func (c *chooser) scroll(by int) { c.at = max(0, min(c.at+by, len(c.list.cols)-1)) }

// toggle shows the column or leaves it out; the last one stays.
func (c *chooser) toggle(m *Model) {
	shown := 0
	for i := range c.list.cols {
		if !c.list.cols[i].off {
			shown++
		}
	}
	col := &c.list.cols[c.at]
	if !col.off && shown == 1 {
		m.say("one column is needed at least", false)
		return
	}
	col.off = !col.off
	c.list.asked = true
	m.arrange()
}

func (c *chooser) hints(m *Model) []key.Binding {
	return []key.Binding{hint(m.keys.Back, "", "close"), hint(m.keys.Pause, "", "show or leave out"), hint(m.keys.Up, "↑↓", "move")}
}

func (c *chooser) draw(m *Model, lines [][]byte, w int) {
	s := m.sty
	head := []string{" Columns of the " + c.name, ""}
	rows := len(lines) - len(head)
	if rows < 1 {
		head, rows = nil, len(lines)
	}
	c.top = max(0, min(c.top, c.at), c.at-rows+1)
	for i := range lines {
		at := c.top + i - len(head)
		switch {
		case i < len(head):
			lines[i] = appendStyled(lines[i], head[i], w, s.bold)
		case at < len(c.list.cols):
			col := &c.list.cols[at]
			mark, box, style := "  ", "[x] ", s.plain
			if col.off {
				box = "[ ] "
			}
			if at == c.at {
				mark, style = markCursor+" ", s.selected
			}
			text := mark + box + col.label()
			if !col.off && col.width == 0 {
				text += "  (no room here)"
			}
			lines[i] = appendStyled(lines[i], text, w, style)
		default:
			lines[i] = appendSpaces(lines[i], w)
		}
	}
}
