// SPDX-License-Identifier: Apache-2.0

package tui

func (p *detailPane) draw(m *Model, lines [][]byte, w int, focused bool) {
	if w <= 0 {
		return
	}
	margin := 0
	if w > 2 {
		margin = 1
	}
	room := w - 2*margin
	if p.tab == tabHex && p.hex.len() > 0 {
		p.drawHex(m, lines, room, margin, focused)
		return
	}
	from, n := p.window()
	left := room
	if p.hex.len() > 0 {
		left = room - p.hex.width() - 3
	}
	look := hexLook{sty: m.sty, cursor: -1}
	if part := p.lit(focused); part != nil {
		look.from, look.to = part.from, part.to
	}
	hexTop := p.hexTop()
	for i := range lines {
		d := lines[i]
		at := int(from) + i
		var lit *sgr
		mark := ""
		switch {
		case i >= n || at >= len(p.lines):
		case focused && uint64(at) == p.cursor:
			lit, mark = &m.sty.selected, markCursor
		case p.found(at):
			lit, mark = &m.sty.unselected, markChosen
		}
		if margin > 0 && lit != nil {
			d = lit.append(d, mark)
		} else {
			d = appendSpaces(d, margin)
		}
		switch {
		case i >= n || at >= len(p.lines):
			d = appendSpaces(d, left)
		case p.lines[at].octets > 0:
			l := &p.lines[at]
			d = appendHexFit(d, &p.octets[l.octets-1], l.octetLine, left, &hexLook{sty: m.sty, cursor: -1})
		default:
			d = p.lines[at].append(d, left, lit)
		}
		if left < room {
			d = append(d, ' ')
			d = m.sty.border.append(d, "│")
			d = append(d, ' ')
			d = p.hex.appendLine(d, hexTop+i, &look)
		}
		lines[i] = appendSpaces(d, margin)
	}
}

// drawHex draws the hex tab: what the octet under the cursor is, then the
// octets.
func (p *detailPane) drawHex(m *Model, lines [][]byte, room, margin int, focused bool) {
	if len(lines) > p.height {
		d := appendSpaces(lines[0], margin)
		d = appendStyled(d, p.octetText(m), room, m.sty.headers)
		lines[0] = appendSpaces(d, margin)
		lines = lines[1:]
	}
	octet := p.octet()
	look := hexLook{sty: m.sty, cursor: -1}
	if n := p.hex.partAt(octet); n >= 0 {
		look.from, look.to = p.hex.parts[n].from, p.hex.parts[n].to
	}
	if from, to := p.lightOctets(); octet >= from && octet < to {
		look.from, look.to = from, to
	}
	if focused {
		look.cursor = octet
	}
	for i := range lines {
		d := appendSpaces(lines[i], margin)
		d = appendHexFit(d, &p.hex, int(p.top)+i, room, &look)
		lines[i] = appendSpaces(d, margin)
	}
}

// appendHexFit appends a line of octets, exactly w cells of it.
func appendHexFit(dst []byte, v *hexView, line, w int, look *hexLook) []byte {
	if used := v.width(); used <= w {
		return appendSpaces(v.appendLine(dst, line, look), w-used)
	}
	plain := v.appendLine(nil, line, &hexLook{sty: &styles{}, cursor: -1})
	return appendFit(dst, string(plain), w)
}

// lit is the part of the frame that the line under the cursor tells of.
func (p *detailPane) lit(focused bool) *octetPart {
	if l := p.chosen(); p.tab == tabHeaders && l != nil && (focused || p.found(int(p.cursor))) && l.part > 0 && l.part <= len(p.parts) {
		return &p.parts[l.part-1]
	}
	return nil
}

// hexTop is the first line of the octets beside the headers: such that those
// of the line under the cursor are in sight.
func (p *detailPane) hexTop() int {
	l := p.chosen()
	if l == nil || l.part == 0 || l.part > len(p.parts) || p.hex.perLine == 0 {
		return 0
	}
	line := p.parts[l.part-1].from / p.hex.perLine
	if line < p.h-1 {
		return 0
	}
	return min(line-p.h/3, max(0, p.hex.lines()-p.h))
}

// append appends the line, exactly w cells of it, in one style where it is lit.
func (l *detailLine) append(dst []byte, w int, lit *sgr) []byte {
	if lit != nil {
		dst = append(dst, lit.on...)
	}
	for i, c := range l.cells {
		if w <= 0 {
			break
		}
		n := w
		if i < len(l.widths) {
			n = min(l.widths[i], w)
		}
		style := c.style
		if lit != nil {
			style = sgr{}
		}
		if c.text != "" {
			dst = append(dst, style.on...)
		}
		dst = appendFit(dst, c.text, n)
		if c.text != "" {
			dst = append(dst, style.off...)
		}
		w -= n
		if i < len(l.widths) && w > 0 {
			dst = append(dst, ' ')
			w--
		}
	}
	dst = appendSpaces(dst, w)
	if lit != nil {
		dst = append(dst, lit.off...)
	}
	return dst
}
