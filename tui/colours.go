// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"io"
	"os"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/term"
)

// newRenderer is one for the colours of the terminal out.
func newRenderer(out io.Writer) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(out)
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) &&
		r.ColorProfile() == termenv.Ascii && !termenv.EnvNoColor() && hasColours(os.Getenv("TERM")) {
		r.SetColorProfile(termenv.ANSI)
	}
	return r
}

// hasColours says whether a terminal has at least the colours of ECMA-48: those
// of which termenv does not know it, since "color" is not in their names.
func hasColours(kind string) bool {
	kind, rest, _ := strings.Cut(kind, "-")
	if rest == "mono" || rest == "m" {
		return false
	}
	kind, _, _ = strings.Cut(kind, ".") // screen.xterm
	switch kind {
	case "xterm", "screen", "tmux", "rxvt", "linux", "konsole", "gnome", "vte", "putty",
		"Eterm", "eterm", "mlterm", "mintty", "cygwin", "st", "stterm", "foot", "iterm", "iTerm2", "nsterm", "terminator", "alacritty", "kitty", "wezterm", "contour", "ghostty":
		return true
	}
	return false
}
