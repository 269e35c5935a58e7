// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"
	"strings"
)

// View draws what Update fetched. It is never wider or taller than the screen,
// and costs next to nothing where nothing changed since the last call.
func (m *Model) View() string {
	if m.dirty {
		m.dirty = false
		m.screen = m.draw()
	}
	return m.screen
}

func (m *Model) draw() string {
	w, h := m.lay.w, m.lay.h
	if w == 0 || h == 0 {
		return ""
	}
	for len(m.lines) < h {
		m.lines = append(m.lines, nil)
	}
	lines := m.lines[:h]
	for i := range lines {
		lines[i] = lines[i][:0]
	}
	if m.lay.status {
		lines[0] = m.appendStatus(lines[0], w)
	}
	top, end := 1, h
	if m.lay.filter && m.filter != nil {
		lines[1] = m.appendFilter(lines[1], w)
		top = 2
	}
	if m.lay.hints {
		end--
		lines[end] = m.appendBottom(lines[end], w)
	} else if m.typing != nil && h > 1 {
		end--
		lines[end] = m.appendPrompt(lines[end], w)
	}
	body := lines[top:end]
	if m.overlay != nil {
		m.overlay.draw(m, body, w)
	} else {
		for _, b := range m.lay.boxes {
			m.drawBox(lines[b.y:min(b.y+b.h, end)], b)
		}
	}
	if m.typing != nil {
		m.drawChoice(body, w)
	}
	size := h
	for _, l := range lines {
		size += len(l)
	}
	var out strings.Builder
	out.Grow(size)
	for i, l := range lines {
		if i > 0 {
			out.WriteByte('\n')
		}
		out.Write(l)
	}
	return out.String()
}

// frame is the characters that a box is drawn with.
type frame struct{ tl, tr, bl, br, h, v string }

// heavy stands for the colour of the focused pane where there are no colours.
func frames() (light, heavy frame) {
	return frame{"╭", "╮", "╰", "╯", "─", "│"}, frame{"┏", "┓", "┗", "┛", "━", "┃"}
}

const thumb = "█"

func (m *Model) drawBox(lines [][]byte, b box) {
	p := m.panes[b.pane]
	focused := m.focus == b.pane
	if b.bare {
		p.draw(m, lines, b.w, focused)
		return
	}
	s := m.sty
	fr, heavy := frames()
	style := s.border
	if focused {
		style = s.focus
		if !s.colour {
			fr = heavy
		}
	}
	n := len(lines)
	lines[0] = m.appendTitle(lines[0], b, fr, style, focused)
	inside := lines[1 : n-1]
	for i := range inside {
		inside[i] = style.append(inside[i], fr.v)
	}
	w, h := b.inner()
	p.draw(m, inside, w, focused)
	t := p.position()
	from, to := t.thumb()
	head := h - t.height
	for i := range inside {
		right := fr.v
		if i-head >= from && i-head < to {
			right = thumb
		}
		inside[i] = style.append(inside[i], right)
	}
	last := append(lines[n-1], style.on...)
	last = append(last, fr.bl...)
	last = appendRepeat(last, fr.h, b.w-2)
	last = append(last, fr.br...)
	lines[n-1] = append(last, style.off...)
}

// tab is a title in the upper edge of a box, from cell x of the box on.
type tab struct {
	pane paneID
	sub  int // the tab of the pane itself, from 0; -1: the pane
	text string
	x, w int
}

// tabs are the titles of a box: in full where there is room, else the others
// in short, so that the pane that it shows is always named.
func (m *Model) tabs(b box) []tab {
	room := b.w - 4
	var out []tab
	own := 0 // what the tabs of the pane itself take
	if b.pane == paneDetail {
		own = m.subTabsWidth()
	}
	for short := range 3 {
		out = out[:0]
		x := 2
		for _, id := range b.tabs {
			text := m.tabText(b, id, short)
			w := width(text)
			out = append(out, tab{id, -1, text, x, w})
			x += w + 1
		}
		if x-3+own <= room || short == 2 && x-3 <= room {
			return m.subTabs(b, out, x)
		}
	}
	cut, used := appendCut(nil, m.tabText(b, b.pane, 0), room)
	if used == 0 {
		return nil
	}
	return append(out[:0], tab{b.pane, -1, string(cut), 2, used})
}

// subTabsWidth is what all tabs of the detail take.
func (m *Model) subTabsWidth() (n int) {
	names, _ := m.detail.subTabs()
	for _, name := range names {
		n += width(name) + 1
	}
	return n + len("[]")
}

// tabText is the title of a pane: with what it has to say of itself, or, of
// panes that are not in sight, its name, or only its number.
func (m *Model) tabText(b box, id paneID, short int) string {
	text := strconv.Itoa(int(id) + 1)
	if id == b.pane || short < 2 {
		text += " " + m.panes[id].name()
	}
	if id == b.pane || short < 1 {
		if info := m.panes[id].info(m); info != "" {
			text += " " + info
		}
	}
	if id == b.pane && len(b.tabs) > 1 {
		text = "[" + text + "]"
	}
	return text
}

// subTabs adds the tabs of the pane itself, or only the chosen one where there
// is no room for all, from cell x on.
func (m *Model) subTabs(b box, out []tab, x int) []tab {
	if b.pane != paneDetail {
		return out
	}
	names, chosen := m.detail.subTabs()
	names[chosen] = "[" + names[chosen] + "]"
	fits := x+m.subTabsWidth()-3 <= b.w-4
	for i, name := range names {
		w := width(name)
		if !fits && i != chosen || x+w-2 > b.w-4 {
			continue
		}
		out = append(out, tab{b.pane, i, name, x, w})
		x += w + 1
	}
	return out
}

// tabAt is the pane whose title is at cell x of the screen, and the tab of it;
// -1 for the title itself.
func (m *Model) tabAt(b box, x int) (pane paneID, sub int, ok bool) {
	for _, t := range m.tabs(b) {
		if at := x - b.x - t.x; at >= 0 && at < t.w {
			return t.pane, t.sub, true
		}
	}
	return 0, -1, false
}

func (m *Model) appendTitle(dst []byte, b box, fr frame, style sgr, focused bool) []byte {
	s := m.sty
	dst = append(dst, style.on...)
	dst = append(dst, fr.tl...)
	used := 1
	for _, t := range m.tabs(b) {
		dst = appendRepeat(dst, fr.h, t.x-used)
		dst = append(dst, style.off...)
		look := s.plain
		switch {
		case t.sub >= 0 && t.sub != int(m.detail.tab):
			look = s.dim
		case t.pane == b.pane && focused:
			look = s.focus
		case t.pane == b.pane:
			look = s.bold
		case len(b.tabs) > 1:
			look = s.dim
		}
		dst = look.append(dst, t.text)
		dst = append(dst, style.on...)
		used = t.x + t.w
	}
	dst = appendRepeat(dst, fr.h, b.w-1-used)
	dst = append(dst, fr.tr...)
	return append(dst, style.off...)
}
