// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"strings"
	"unicode/utf8"

	"h2sniff/decode/filter"

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
	before   string
	cursor   int // before it, runes
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
		if !m.undoCompletion() {
			m.closePrompt()
		}
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

var errNoSaved = errors.New("no saved filter of that name")

// parseFilter reads an expression, or the name of a saved one after an @.
func (m *Model) parseFilter(text string) (*filter.Expr, error) {
	if name, ok := strings.CutPrefix(strings.TrimSpace(text), "@"); ok {
		saved, ok := m.saved[name]
		if !ok {
			return nil, errNoSaved
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
		c.at, c.before, c.cursor = -1, text, p.input.Position()
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

// undoCompletion takes back what was put in, with the items. It reports whether
// there was anything to take back: of a command, which is soon typed again, the
// items alone are nothing.
func (m *Model) undoCompletion() bool {
	p := m.typing
	c := p.choice
	if len(c.items) == 0 || p.kind == promptCommand && p.input.Value() == c.before {
		return false
	}
	p.choice = completion{}
	p.input.SetValue(c.before)
	p.input.SetCursor(c.cursor)
	m.promptChanged()
	return true
}

// putIn puts a text in the place of the completion's.
func (m *Model) putIn(item string) {
	p := m.typing
	text := p.input.Value()
	c := &p.choice
	rest := len(text) - c.to
	p.input.SetValue(text[:c.from] + item + text[c.to:])
	// What cannot be typed does not come in.
	text = p.input.Value()
	c.to = max(c.from, len(text)-rest)
	p.input.SetCursor(utf8.RuneCountInString(text[:c.to]))
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
