// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"strings"
	"unicode/utf8"

	"h2sniff/decode/filter"
	"h2sniff/decode/visible"

	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// promptKind is what a line is typed for.
type promptKind int

const (
	promptFilter promptKind = iota
	promptSearch
	promptCommand
	numPrompts
)

// sign stands before what is typed.
func (k promptKind) sign() string { return [numPrompts]string{"/", "^f", ":"}[k] }

// prompt is a line that is being typed.
type prompt struct {
	kind  promptKind
	input textinput.Model
	// err is what is wrong with the line as it is; errAt is where, in octets,
	// or -1.
	err   error
	errAt int
	// refused says that it was handed in as it is.
	refused bool
	// preview is the filter as it is typed, nil where it is none.
	preview *query
	choice  completion
	// line of the history that is shown; its length: the typed one.
	line  int
	typed string
}

// completion is what may stand at the cursor.
type completion struct {
	from, to int // octets of the line that an item takes the place of
	items    []filter.Item
	at       int // item that was put in; -1: none yet
}

func (m *Model) openPrompt(kind promptKind, text string) {
	t := textinput.New()
	t.CharLimit = filter.MaxText
	// It would run a program to read the desktop's clipboard; terminals paste
	// by themselves.
	t.KeyMap.Paste.SetEnabled(false)
	t.SetValue(text)
	t.CursorEnd()
	t.Focus() // its command makes the cursor blink; ours does not
	m.typing = &prompt{kind: kind, input: t, line: len(m.history[kind].lines)}
	m.promptChanged()
}

func (m *Model) closePrompt() {
	m.end(workPreview)
	m.typing = nil
}

func (m *Model) promptKey(msg tea.KeyMsg) tea.Cmd {
	p, k := m.typing, &m.keys
	switch {
	case key.Matches(msg, k.Cancel):
		if p.choice.items != nil {
			p.choice = completion{}
			return nil
		}
		m.closePrompt()
	case key.Matches(msg, k.Accept):
		m.accept()
	case key.Matches(msg, k.Complete):
		m.complete(1)
	case key.Matches(msg, k.CompleteBack):
		m.complete(-1)
	case key.Matches(msg, k.Older):
		m.recall(-1)
	case key.Matches(msg, k.Newer):
		m.recall(1)
	default:
		before := p.input.Value()
		p.input, _ = p.input.Update(msg)
		if now := p.input.Value(); now != before {
			p.choice, p.line = completion{}, len(m.history[p.kind].lines)
			m.promptChanged()
		}
	}
	return nil
}

// accept takes the line as it is, if it can be taken.
func (m *Model) accept() {
	p := m.typing
	text := strings.TrimSpace(p.input.Value())
	var err error
	switch p.kind {
	case promptFilter:
		err = m.filterBy(text)
	case promptSearch:
		err = m.search(text)
	case promptCommand:
		m.typing = nil // commands may open one of their own
		if err = m.command(text); err != nil && m.typing == nil {
			m.typing = p
		}
	}
	if err != nil {
		p.err, p.errAt, p.refused = err, placeOf(err), true
		return
	}
	if text != "" {
		m.history[p.kind].add(text)
	}
	if m.typing == p {
		m.closePrompt()
	}
}

// placeOf is where an error is, -1 where it does not say.
func placeOf(err error) int {
	var where *filter.Error
	if errors.As(err, &where) {
		return where.At
	}
	return -1
}

// promptChanged looks at the line as it is now.
func (m *Model) promptChanged() {
	p := m.typing
	p.err, p.errAt, p.preview, p.refused = nil, -1, nil, false
	m.end(workPreview)
	text := strings.TrimSpace(p.input.Value())
	if text == "" {
		return
	}
	switch p.kind {
	case promptFilter:
		expr, err := m.parseFilter(p.input.Value())
		if err != nil {
			p.err, p.errAt = err, placeOf(err)
			return
		}
		p.preview = m.newQuery(text, expr)
		m.begin(workPreview, p.preview.examine("", func(m *Model, q *query) {
			if q.done {
				m.end(workPreview)
			}
		}))
	case promptSearch:
		_, p.err = newSearch(text)
	case promptCommand:
		p.err = m.checkCommand(text)
	}
}

// parseFilter reads an expression, or the name of a saved one after an @.
func (m *Model) parseFilter(text string) (*filter.Expr, error) {
	if name, ok := strings.CutPrefix(strings.TrimSpace(text), "@"); ok {
		saved, ok := m.saved[name]
		if !ok {
			return nil, errors.New("no saved filter of that name")
		}
		text = saved
	}
	return filter.Parse(text)
}

// filterBy shows only what an expression selects; all where it is empty.
func (m *Model) filterBy(text string) error {
	if text == "" {
		m.setFilter(nil)
		return nil
	}
	expr, err := m.parseFilter(text)
	if err != nil {
		return err
	}
	q := m.newQuery(text, expr)
	if p := m.typing; p != nil && p.preview != nil && p.preview.text == text {
		q = p.preview // goes on where it is
		m.end(workPreview)
	}
	m.setFilter(q)
	return nil
}

// search goes to the next match of a text; of the last one where it is empty.
func (m *Model) search(text string) error {
	if text != "" {
		f, err := newSearch(text)
		if err != nil {
			return err
		}
		m.searched = f
	}
	if m.searched == nil {
		return errors.New("nothing to search for")
	}
	m.find(m.searched, false)
	return nil
}

// complete puts in what may stand at the cursor; asked again, the next one.
func (m *Model) complete(by int) {
	p := m.typing
	c := &p.choice
	text := p.input.Value()
	if c.items == nil {
		*c = m.completions(p.kind, text, octetsOf(text, p.input.Position()))
		c.at = -1
		switch len(c.items) {
		case 0:
			return
		case 1:
			c.at = 0
		default:
			if common := commonStart(c.items); len(common) > c.to-c.from {
				m.putIn(common)
				return
			}
			return // they are shown now
		}
	} else {
		c.at = (c.at + by + len(c.items) + 1) % (len(c.items) + 1)
		if c.at == len(c.items) {
			c.at = 0
			if by < 0 {
				c.at = len(c.items) - 1
			}
		}
	}
	one := len(c.items) == 1
	m.putIn(c.items[c.at].Text)
	if one {
		p.choice = completion{}
	}
}

// putIn puts a text in the place of the completion's.
func (m *Model) putIn(item string) {
	p := m.typing
	text := p.input.Value()
	c := &p.choice
	p.input.SetValue(text[:c.from] + item + text[c.to:])
	c.to = c.from + len(item)
	p.input.SetCursor(utf8.RuneCountInString(text[:c.from] + item))
	m.promptChanged()
}

// completions are what may stand at an octet of a line.
func (m *Model) completions(kind promptKind, text string, at int) completion {
	switch kind {
	case promptFilter:
		return m.filterCompletions(text, at)
	case promptCommand:
		return m.commandCompletions(text[:at])
	}
	return completion{}
}

func (m *Model) filterCompletions(text string, at int) completion {
	if name, ok := strings.CutPrefix(text[:at], "@"); ok {
		return completion{from: 1, to: at, items: matching(m.savedFilters(), name)}
	}
	c := filter.Complete(text, at, m.knownValues)
	return completion{from: c.From, to: c.To, items: c.Items}
}

// matching are the items that begin with a text.
func matching(items []filter.Item, text string) (out []filter.Item) {
	for _, i := range items {
		if strings.HasPrefix(i.Text, text) {
			out = append(out, i)
		}
	}
	return out
}

func commonStart(items []filter.Item) string {
	common := items[0].Text
	for _, i := range items[1:] {
		for !strings.HasPrefix(i.Text, common) {
			_, size := utf8.DecodeLastRuneInString(common)
			common = common[:len(common)-size]
		}
	}
	return common
}

// octetsOf is the length of the first n runes of s.
func octetsOf(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// recall shows an older line, or a newer one.
func (m *Model) recall(by int) {
	p := m.typing
	lines := m.history[p.kind].lines
	if p.line == len(lines) {
		p.typed = p.input.Value()
	}
	line := p.line + by
	if line < 0 || line > len(lines) {
		return
	}
	p.line, p.choice = line, completion{}
	text := p.typed
	if line < len(lines) {
		text = lines[line]
	}
	p.input.SetValue(text)
	p.input.CursorEnd()
	m.promptChanged()
}

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

// promptResult is what is to be said of the line as it is.
func (m *Model) promptResult() (string, sgr) {
	s, p := m.sty, m.typing
	empty := strings.TrimSpace(p.input.Value()) == ""
	switch {
	case p.err != nil && !p.refused && p.errAt >= len(strings.TrimRight(p.input.Value(), " ")):
		// What is not finished is not wrong yet.
		return ellipsis + " " + peer(p.err.Error(), 100), s.dim
	case p.err != nil && p.errAt >= 0:
		return "✗ at " + commas(uint64(utf8.RuneCountInString(p.input.Value()[:min(p.errAt, len(p.input.Value()))])+1)) + ": " + peer(p.err.Error(), 100), s.bad
	case p.err != nil:
		return "✗ " + peer(p.err.Error(), 100), s.bad
	case p.preview != nil && !p.preview.done:
		return "✓ " + p.preview.count(), s.warn
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
