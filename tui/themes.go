// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// look is how a text looks. Colours are numbers of the terminal's palette, or
// #rrggbb; empty: the terminal's own.
type look struct {
	fg, bg               string
	bold, faint, reverse bool
}

func (l look) style(r *lipgloss.Renderer) lipgloss.Style {
	s := r.NewStyle()
	if l.fg != "" {
		s = s.Foreground(lipgloss.Color(l.fg))
	}
	if l.bg != "" {
		s = s.Background(lipgloss.Color(l.bg))
	}
	if l.bold {
		s = s.Bold(true)
	}
	if l.faint {
		s = s.Faint(true)
	}
	if l.reverse {
		s = s.Reverse(true)
	}
	return s
}

// parseLook reads a look as the configuration has it: a colour, "on" and
// another one, and bold, faint or reverse, each of them optional.
func parseLook(text string) (look, error) {
	var l look
	place := &l.fg
	for _, word := range strings.Fields(text) {
		switch word {
		case "on":
			place = &l.bg
			continue
		case "bold":
			l.bold = true
			continue
		case "faint":
			l.faint = true
			continue
		case "reverse":
			l.reverse = true
			continue
		}
		colour, ok := parseColour(word)
		switch {
		case !ok:
			return look{}, fmt.Errorf("%q is no colour: a name, a number from 0 to 255, or #rrggbb", word)
		case *place != "":
			return look{}, fmt.Errorf("%q is one colour too many", word)
		}
		*place = colour
	}
	return l, nil
}

var colourNames = []string{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"}

func parseColour(word string) (string, bool) {
	if n, err := strconv.ParseUint(word, 10, 8); err == nil {
		return strconv.FormatUint(n, 10), true
	}
	if hex, ok := strings.CutPrefix(word, "#"); ok {
		_, err := strconv.ParseUint(hex, 16, 24)
		return word, err == nil && len(hex) == 6
	}
	base := 0
	if rest, ok := strings.CutPrefix(word, "bright-"); ok {
		word, base = rest, 8
	}
	for i, name := range colourNames {
		if name == word {
			return strconv.Itoa(base + i), true
		}
	}
	return "", false
}

// theme is a look for every role.
type theme struct {
	name, about string
	colour      bool
	looks       map[string]look
}

// DefaultTheme uses the terminal's own 16 colours, so that it fits light and
// dark backgrounds without asking the terminal for its own.
const DefaultTheme = "16"

func themes() []theme {
	bold, faint := look{bold: true}, look{faint: true}
	return []theme{
		{DefaultTheme, "the terminal's own 16 colours", true, map[string]look{
			"bold": bold, "dim": faint,
			"good": {fg: "2"}, "warn": {fg: "3"}, "bad": {fg: "15", bg: "1", bold: true},
			"send": {fg: "2"}, "recv": {fg: "12"}, "headers": {fg: "6"}, "control": {fg: "5"},
			"selected": {fg: "15", bg: "4"}, "unselected": {fg: "15", bg: "8"},
			"border": faint, "focus": {fg: "6", bold: true}, "key": {fg: "6"},
		}},
		{"dark", "256 colours, for dark backgrounds", true, map[string]look{
			"plain": {fg: "252"}, "bold": {fg: "255", bold: true}, "dim": {fg: "245"},
			"good": {fg: "114"}, "warn": {fg: "221"}, "bad": {fg: "231", bg: "160", bold: true},
			"send": {fg: "114"}, "recv": {fg: "117"}, "headers": {fg: "80"}, "control": {fg: "176"},
			"selected": {fg: "231", bg: "25"}, "unselected": {fg: "252", bg: "238"},
			"border": {fg: "240"}, "focus": {fg: "80", bold: true}, "key": {fg: "80"},
		}},
		{"light", "256 colours, for light backgrounds", true, map[string]look{
			"plain": {fg: "236"}, "bold": {fg: "232", bold: true}, "dim": {fg: "242"},
			"good": {fg: "22"}, "warn": {fg: "94"}, "bad": {fg: "231", bg: "160", bold: true},
			"send": {fg: "22"}, "recv": {fg: "25"}, "headers": {fg: "24"}, "control": {fg: "90"},
			"selected": {fg: "231", bg: "25"}, "unselected": {fg: "232", bg: "252"},
			"border": {fg: "246"}, "focus": {fg: "24", bold: true}, "key": {fg: "24"},
		}},
		// The colours of Okabe and Ito, which stay apart for most kinds of colour
		// blindness: blue and orange in place of green and red.
		{"colour-blind", "blue and orange in place of green and red", true, map[string]look{
			"bold": bold, "dim": faint,
			"good": {fg: "#56b4e9"}, "warn": {fg: "#e69f00"}, "bad": {fg: "#000000", bg: "#f0e442", bold: true},
			"send": {fg: "#e69f00"}, "recv": {fg: "#56b4e9"}, "headers": {fg: "#009e73"}, "control": {fg: "#f0e442"},
			"selected": {fg: "#ffffff", bg: "#0072b2"}, "unselected": {fg: "#ffffff", bg: "#555555"},
			"border": faint, "focus": {fg: "#56b4e9", bold: true}, "key": {fg: "#56b4e9"},
		}},
		{"mono", "no colours: bold, faint and reversed", false, map[string]look{
			"bold": bold, "dim": faint, "warn": bold, "bad": {bold: true, reverse: true},
			"selected": {reverse: true}, "unselected": bold, "border": faint, "focus": bold, "key": bold,
		}},
	}
}

// Themes are the names of the themes.
func Themes() []string { return themeNames() }

func themeNames() (names []string) {
	for _, t := range themes() {
		names = append(names, t.name)
	}
	return names
}

func themeNamed(name string) (theme, bool) {
	for _, t := range themes() {
		if t.name == name {
			return t, true
		}
	}
	return theme{}, false
}

// setTheme turns to a theme.
func (m *Model) setTheme(t theme) {
	m.sty = newStyles(m.renderer, t, m.colours)
	m.theme = t.name
	for _, p := range m.panes {
		p.forget()
	}
	m.refresh()
}
