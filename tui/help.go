// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"slices"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// hintWidth is the cells that a hint takes, with the space before it.
func hintWidth(b key.Binding) int { return width(b.Help().Key) + width(b.Help().Desc) + 3 }

func hintsWidth(bs []key.Binding) (n int) {
	for _, b := range bs {
		n += hintWidth(b)
	}
	return n
}

// hints are the keys that matter most now, and those that are dropped last.
func (m *Model) hints() (first, last []key.Binding) {
	if m.overlay != nil {
		return nil, m.overlay.hints(m)
	}
	return m.keys.hints(m.focus, situation{narrowed: m.narrowed(), whole: m.view.HasStream && m.filter == nil || m.frames.empty(), live: m.o.Live, paused: m.paused,
		left: !m.frames.follow && m.focus >= paneFrames, leads: m.detail.leads() != 0}), m.keys.lastHints()
}

// appendHints appends exactly w cells: as many hints as fit whole.
func (m *Model) appendHints(dst []byte, first, last []key.Binding, w int) []byte {
	room, n := w-hintsWidth(last), 0
	for n < len(first) && hintsWidth(first[:n+1]) <= room {
		n++
	}
	used := 0
	for _, b := range slices.Concat(first[:n], last) {
		n := hintWidth(b)
		if used+n > w {
			break
		}
		used += n
		dst = appendSpaces(dst, 1)
		dst = m.sty.key.append(dst, b.Help().Key)
		dst = append(dst, ' ')
		dst = m.sty.dim.append(dst, b.Help().Desc)
		dst = appendSpaces(dst, 1)
	}
	return appendSpaces(dst, w-used)
}

// legend explains the signs on the screen.
func legend() [][2]string {
	return [][2]string{
		{"Signs"},
		{"→ ←", "sent, received by the process"},
		{"ES EH", "END_STREAM, END_HEADERS"},
		{"PD PR", "PADDED, PRIORITY"},
		{"! !3", "malformed; so many problems"},
		{"⋯", "octets lost or skipped"},
		{"~", "an inferred address"},
		{"‹unknown›", "not seen: attach or gap"},
		{"● ○", "opened or found; closed"},
		{"▶ •", "cursor; chosen"},
		{"Δms", "begin to begin; rows by ends"},
		{"▒ █ ▓", "request, response, both"},
		{"· ┈ ▷", "waits, idle, goes on"},
		{"░ ?", "no window; may wait for it"},
		{"◆ ✗", "gRPC message, reset"},
		{"OK g14", "grpc-status in place of 200"},
		{"idx inc", "indexed; literal that adds"},
		{"lit nev", "literal; never to be indexed"},
		{"s2 d62 H", "static, dynamic index; Huffman"},
	}
}

// helpBlocks is the help, each block a heading and lines of keys and what they
// do.
func (m *Model) helpBlocks() [][][2]string {
	var out [][][2]string
	for _, g := range m.keys.groups() {
		block := [][2]string{{g.title}}
		for _, a := range g.actions {
			if a.key.Enabled() {
				block = append(block, [2]string{a.key.Help().Key, a.key.Help().Desc})
			}
		}
		out = append(out, append(block, g.more...))
	}
	return append(out, legend())
}

const (
	helpKeyWidth    = 10
	helpColumnWidth = 40
)

// helpOverlay is the help: the keys and the signs.
type helpOverlay struct{ top int }

func (m *Model) toggleHelp() {
	if _, ok := m.overlay.(*helpOverlay); ok {
		m.overlay = nil
		return
	}
	m.overlay = &helpOverlay{}
}

func (*helpOverlay) hints(m *Model) []key.Binding { return m.keys.helpHints() }

// draw fills lines with the help, in as many columns as there is room for;
// where that is not enough, what is below can be scrolled to.
func (h *helpOverlay) draw(m *Model, lines [][]byte, w int) {
	columns := helpColumns(m.helpBlocks(), max(1, w/helpColumnWidth), len(lines))
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, len(c))
	}
	h.top = min(h.top, max(0, tallest-len(lines)))
	for i := range lines {
		d, rest := lines[i], w
		for c, column := range columns {
			n := min(rest, helpColumnWidth)
			if c == len(columns)-1 {
				n = rest
			}
			rest -= n
			if at := h.top + i; at < len(column) {
				d = m.appendHelpLine(d, column[at], n)
			} else {
				d = appendSpaces(d, n)
			}
		}
		lines[i] = d
	}
}

// helpColumns puts the blocks into at most n columns, no taller than they must
// be where height is not enough.
func helpColumns(blocks [][][2]string, n, height int) [][][2]string {
	for {
		var columns [][][2]string
		for _, b := range blocks {
			last := len(columns) - 1
			if last < 0 || len(columns[last])+1+len(b) > height && len(columns) <= n {
				columns = append(columns, append([][2]string(nil), b...))
				continue
			}
			columns[last] = append(append(columns[last], [2]string{}), b...)
		}
		if len(columns) <= n {
			return columns
		}
		height++
	}
}

func (m *Model) appendHelpLine(d []byte, l [2]string, w int) []byte {
	s := m.sty
	if l[1] == "" {
		return appendStyled(d, " "+l[0], w, s.bold)
	}
	n := min(helpKeyWidth, w)
	d = appendStyled(d, " "+l[0], n, s.key)
	if w > n {
		d = append(d, ' ')
		d = appendFit(d, l[1], w-n-1)
	}
	return d
}

func (h *helpOverlay) key(m *Model, msg tea.KeyMsg) {
	k, page := &m.keys, max(1, m.lay.h-3)
	switch {
	case key.Matches(msg, k.Back):
		m.overlay = nil
	case key.Matches(msg, k.Down):
		h.scroll(1)
	case key.Matches(msg, k.Up):
		h.scroll(-1)
	case key.Matches(msg, k.PageDown, k.Pause): // space pages, as in less
		h.scroll(page)
	case key.Matches(msg, k.PageUp):
		h.scroll(-page)
	case key.Matches(msg, k.HalfDown):
		h.scroll(max(1, page/2))
	case key.Matches(msg, k.HalfUp):
		h.scroll(-max(1, page/2))
	case key.Matches(msg, k.Home):
		h.top = 0
	case key.Matches(msg, k.End):
		h.top = 1 << 30 // draw knows the last
	}
}

func (h *helpOverlay) scroll(by int) { h.top = max(0, h.top+by) }
