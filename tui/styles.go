// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// sgr is a style as the octets that switch it on and off. Rows are built from
// these: rendering each cell through lipgloss costs about a hundred times more.
type sgr struct{ on, off string }

func (s sgr) append(dst []byte, text string) []byte {
	dst = append(dst, s.on...)
	dst = append(dst, text...)
	return append(dst, s.off...)
}

// styles are the looks of the screen for one output.
type styles struct {
	colour bool // false where the output takes no colours (NO_COLOR, TERM=dumb), or the theme has none

	plain, bold, dim     sgr
	good, warn, bad      sgr // bad is the alarm style: it stays on selected rows
	send, recv           sgr
	headers, control     sgr // frame types: field sections; settings and the like
	selected, unselected sgr // row under the cursor of the focused pane, of another
	border, focus        sgr // frame of a pane, of the focused one
	key                  sgr
}

// newStyles makes the styles of a theme, with what the user wants otherwise.
func newStyles(r *lipgloss.Renderer, t theme, other map[string]look) *styles {
	s := &styles{colour: r.ColorProfile() != termenv.Ascii && t.colour}
	for name, place := range s.roles() {
		l := t.looks[name]
		if o, ok := other[name]; ok {
			l = o
		}
		*place = sgrOf(l.style(r))
	}
	return s
}

// roles are the styles by the names that the configuration has for them.
func (s *styles) roles() map[string]*sgr {
	return map[string]*sgr{
		"plain": &s.plain, "bold": &s.bold, "dim": &s.dim,
		"good": &s.good, "warn": &s.warn, "bad": &s.bad,
		"send": &s.send, "recv": &s.recv,
		"headers": &s.headers, "control": &s.control,
		"selected": &s.selected, "unselected": &s.unselected,
		"border": &s.border, "focus": &s.focus, "key": &s.key,
	}
}

// sgrOf takes a lipgloss style apart into what it writes before and after a
// text. SGR sequences hold no 'x'.
func sgrOf(s lipgloss.Style) sgr {
	on, off, _ := strings.Cut(s.Render("x"), "x")
	return sgr{on, off}
}
