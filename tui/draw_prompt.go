// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"strings"
	"unicode/utf8"

	"h2sniff/decode/visible"
)

// appendPrompt is the line that is being typed, and what is to be said of it.
func (m *Model) appendPrompt(dst []byte, w int) []byte {
	s, p := m.sty, m.typing
	text, style := m.promptResult()
	value := p.input.Value()
	typedWidth := width(visible.String(value)) + len(p.kind.sign()) + 3
	n := min(width(text)+2, max(w/2, w-typedWidth))
	at := octetsOf(value, p.input.Position())
	bad := len(value)
	if p.errAt >= 0 {
		bad = min(p.errAt, len(value))
	}
	// The cursor is drawn as a sign: reverse video is nothing without colours.
	dst, used := appendCut(dst, " "+p.kind.sign()+" ", w-n)
	room := w - n - used
	before := keepLast(visible.String(value[:at]), room-1-min(room/4, width(visible.String(value[at:]))))
	typed := before + "▏" + visible.String(value[at:])
	if bad < at { // what is wrong begins before the cursor
		good := keepLast(visible.String(value[:bad]), max(0, width(before)-width(visible.String(value[bad:at]))))
		if rest, ok := strings.CutPrefix(typed, good); ok {
			var c int
			dst, c = appendCut(dst, good, room)
			return appendStyled(appendStyled(dst, rest, room-c, s.warn), " "+text, n, style)
		}
	}
	dst = appendFit(dst, typed, room)
	return appendStyled(dst, " "+text, n, style)
}

// keepLast is the end of a text, w cells of it, with a sign where it was cut.
func keepLast(text string, w int) string {
	n := width(text)
	if n <= w {
		return text
	}
	for len(text) > 0 && n > max(w-1, 0) {
		_, size, cells := next(text)
		text = text[size:]
		n -= cells
	}
	return ellipsis + text
}

// searchInstead points to the search where a filter is but a word that is no field
// and like none.
func (m *Model) searchInstead() string {
	p := m.typing
	text := strings.TrimSpace(p.input.Value())
	if p.kind != promptFilter || p.errAt != 0 || strings.ContainsAny(text, " =<>!&|()\"") || strings.HasSuffix(p.err.Error(), "?") {
		return ""
	}
	return "; " + keyName(m.keys.Search.Keys()[0]) + " finds text"
}

// promptResult is what is to be said of the line as it is.
func (m *Model) promptResult() (string, sgr) {
	s, p := m.sty, m.typing
	empty := strings.TrimSpace(p.input.Value()) == ""
	switch {
	case errors.Is(p.err, errNoSaved) && !p.refused && m.savedFrom() != "":
		return m.savedFrom(), s.dim
	case p.err != nil && !p.refused && p.errAt >= len(strings.TrimRight(p.input.Value(), " ")):
		// What is not finished is not wrong yet.
		return ellipsis + " " + peer(p.err.Error(), 100), s.dim
	case p.err != nil && p.errAt >= 0:
		return "✗ at " + commas(uint64(utf8.RuneCountInString(p.input.Value()[:min(p.errAt, len(p.input.Value()))])+1)) + ": " + peer(p.err.Error(), 100) + m.searchInstead(), s.bad
	case p.err != nil:
		return "✗ " + peer(p.err.Error(), 100), s.bad
	case p.preview != nil && !p.preview.done:
		return "✓ " + p.preview.count(), s.warn
	case p.preview != nil && p.preview.far.Matched == 0 && p.preview.expr.Hint() != "":
		return p.preview.expr.Hint(), s.warn
	case p.preview != nil && p.preview.expr.Lacking() != "":
		return "✓ " + p.preview.count() + ", rows without " + peer(p.preview.expr.Lacking(), 30) + " too", s.warn
	case p.preview != nil:
		return "✓ " + p.preview.count() + " · tab completes", s.good
	case p.kind == promptFilter && empty && m.filter != nil:
		return "enter alone shows all, tab completes", s.dim
	case p.kind == promptFilter:
		return "tab completes, ↑ older, @name saved", s.dim
	case p.kind == promptSearch && empty:
		return "text, or octets as 0x00ff", s.dim
	case p.kind == promptCommand:
		return m.aboutCommand(p.input.Value()), s.dim
	}
	return "enter searches", s.dim
}

// maxItems is how many items of a completion are shown at once.
const maxChoices = 10

// drawChoice draws what may stand at the cursor over the lines above the
// prompt.
func (m *Model) drawChoice(lines [][]byte, w int) {
	c := &m.typing.choice
	n := min(len(c.items), maxChoices, len(lines))
	if n <= 0 {
		return
	}
	first := max(0, min(c.at-n/2, len(c.items)-n))
	names := 8
	for _, i := range c.items[first : first+n] {
		names = max(names, min(width(visible.String(i.Text)), 30))
	}
	for i := range n {
		item := c.items[first+i]
		mark, style := "   ", m.sty.plain
		if first+i == c.at {
			mark, style = " "+markCursor+" ", m.sty.selected
		}
		line := appendFit([]byte(nil), mark+peer(item.Text, names), min(w, names+4))
		about := peer(item.About, 80)
		if i == n-1 && len(c.items) > n {
			about += "  (" + commas(uint64(len(c.items))) + " in all)"
		}
		line = append(line, ' ')
		at := len(lines) - n + i
		lines[at] = appendStyled(lines[at][:0], string(line)+about, w, style)
	}
}
