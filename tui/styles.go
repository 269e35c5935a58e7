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

// styles are the looks of the screen for one output. Only the terminal's own
// 16 colours are used, so that they fit light and dark themes without asking
// the terminal for its background.
type styles struct {
	colour bool // false where the output takes no colours (NO_COLOR, TERM=dumb)

	plain, bold, dim     sgr
	good, warn, bad      sgr // bad is the alarm style: it stays on selected rows
	send, recv           sgr
	headers, control     sgr // frame types: field sections; settings and the like
	selected, unselected sgr // row under the cursor of the focused pane, of another
	border, focus        sgr // frame of a pane, of the focused one
	key                  sgr
}

func newStyles(r *lipgloss.Renderer) *styles {
	style := func() lipgloss.Style { return r.NewStyle() }
	fg := func(c string) lipgloss.Style { return style().Foreground(lipgloss.Color(c)) }
	return &styles{
		colour:     r.ColorProfile() != termenv.Ascii,
		plain:      sgrOf(style()),
		bold:       sgrOf(style().Bold(true)),
		dim:        sgrOf(style().Faint(true)),
		good:       sgrOf(fg("2")),
		warn:       sgrOf(fg("3")),
		bad:        sgrOf(fg("15").Background(lipgloss.Color("1")).Bold(true)),
		send:       sgrOf(fg("2")),
		recv:       sgrOf(fg("12")),
		headers:    sgrOf(fg("6")),
		control:    sgrOf(fg("5")),
		selected:   sgrOf(fg("15").Background(lipgloss.Color("4"))),
		unselected: sgrOf(fg("15").Background(lipgloss.Color("8"))),
		border:     sgrOf(style().Faint(true)),
		focus:      sgrOf(fg("6").Bold(true)),
		key:        sgrOf(fg("6")),
	}
}

// sgrOf takes a lipgloss style apart into what it writes before and after a
// text. SGR sequences hold no 'x'.
func sgrOf(s lipgloss.Style) sgr {
	on, off, _ := strings.Cut(s.Render("x"), "x")
	return sgr{on, off}
}
