// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"h2sniff/decode/filter"
)

// command is what can be typed after a colon.
type command struct {
	name, args, about string
	// run does it. The argument is trimmed.
	run func(m *Model, arg string) error
	// complete, where set, gives what the argument may be; begin is what is
	// typed of it.
	complete func(m *Model, begin string) []filter.Item
}

var errNeedsArgument = errors.New("something is needed behind it")

func commands() []command {
	return []command{
		{"filter", "EXPR | @NAME", "show only what matches; nothing: all", (*Model).filterBy, nil},
		{"search", "TEXT | 0xOCTETS", "go to the next match", (*Model).search, nil},
		{"goto", "ROW", "go to a row by its number; a number alone does too", (*Model).goToNumber, nil},
		{"save", "NAME", "save the filter in force under a name", (*Model).saveFilter, savedNames},
		{"columns", "NAME...", "columns of the focused list; nothing: choose", (*Model).columnsCommand, columnNames},
		{"sort", "COLUMN", "sort the connections or the streams; nothing: in their order", (*Model).sortCommand, sortNames},
		{"layout", "NAME", "panes, rows or columns", (*Model).layoutCommand, fixed(arrangementNames[:]...)},
		{"theme", "NAME", "other colours", (*Model).themeCommand, themeItems},
		{"record", "FILE", "write what is captured to a file from now on; nothing: end it", (*Model).recordCommand, nil},
		{"write", "FILE", "what is shown, as FILE.pcapng, .json or .har", (*Model).write, nil},
		{"pause", "", "freeze the view, or go on", func(m *Model, _ string) error { m.pause(); return nil }, nil},
		{"follow", "", "follow the newest", func(m *Model, _ string) error { m.follow(); return nil }, nil},
		{"messages", "", "what the last line has said, whole", (*Model).showMessages, nil},
		{"help", "", "the keys", func(m *Model, _ string) error { m.toggleHelp(); return nil }, nil},
		{"quit", "", "leave", func(m *Model, _ string) error { m.leave(); return nil }, nil},
	}
}

func fixed(names ...string) func(*Model, string) []filter.Item {
	return func(*Model, string) []filter.Item { return itemsOf(names) }
}

func itemsOf(names []string) (items []filter.Item) {
	for _, n := range names {
		items = append(items, filter.Item{Text: n})
	}
	return items
}

// commandOf splits a line. Of a name that is not typed to its end there may be
// but one command.
func commandOf(line string) (c command, arg string, err error) {
	name, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	if _, err := strconv.ParseUint(name, 10, 64); err == nil {
		name, arg = "goto", name
	}
	var found []command
	for _, c := range commands() {
		if c.name == name {
			found = []command{c}
			break
		}
		if strings.HasPrefix(c.name, name) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 1:
		return found[0], strings.TrimSpace(arg), nil
	case 0:
		return command{}, "", fmt.Errorf("no command %q", name)
	}
	return command{}, "", fmt.Errorf("%s or %s", found[0].name, found[1].name)
}

// command does what a line says.
func (m *Model) command(line string) error {
	if line == "" {
		return nil
	}
	c, arg, err := commandOf(line)
	if err != nil {
		return err
	}
	return c.run(m, arg)
}

// checkCommand finds what can be wrong with a line before it is finished.
func (m *Model) checkCommand(line string) error {
	if strings.Contains(line, " ") {
		_, _, err := commandOf(line)
		return err
	}
	for _, c := range commands() {
		if strings.HasPrefix(c.name, line) {
			return nil
		}
	}
	_, _, err := commandOf(line)
	return err
}

// aboutCommand says what the command of a line does.
func (m *Model) aboutCommand(line string) string {
	if c, _, err := commandOf(line); err == nil && strings.TrimSpace(line) != "" {
		if c.args != "" {
			return c.args + ": " + c.about
		}
		return c.about
	}
	return "a command, tab completes"
}

func (m *Model) commandCompletions(line string) completion {
	name, arg, behind := strings.Cut(line, " ")
	if !behind {
		var items []filter.Item
		for _, c := range commands() {
			text := c.name
			if c.args != "" {
				text += " "
			}
			items = append(items, filter.Item{Text: text, About: strings.TrimSpace(c.args + "  " + c.about)})
		}
		return completion{from: 0, to: len(line), items: matching(items, name)}
	}
	c, _, err := commandOf(name)
	if err != nil {
		return completion{}
	}
	if c.name == "filter" {
		at := len(line) - len(arg)
		done := m.filterCompletions(arg, len(arg))
		done.from, done.to = done.from+at, done.to+at
		return done
	}
	if c.complete == nil {
		return completion{}
	}
	begin := arg[strings.LastIndexAny(arg, " ,")+1:]
	return completion{from: len(line) - len(begin), to: len(line), items: matching(c.complete(m, begin), begin)}
}

func (m *Model) goToNumber(arg string) error {
	seq, err := strconv.ParseUint(strings.ReplaceAll(arg, ",", ""), 10, 64)
	if err != nil || seq == 0 {
		return errors.New("the number of a row is needed")
	}
	m.jump(seq)
	return nil
}

// follow stays with the newest rows; a pause ends.
func (m *Model) follow() {
	m.resume()
	m.frames.toEnd(true)
	m.refresh()
}

func (m *Model) layoutCommand(arg string) error {
	a, ok := arrangementNamed(arg)
	if !ok {
		return fmt.Errorf("there are %s", strings.Join(arrangementNames[:], ", "))
	}
	m.arrangement, m.zoomed = a, false
	m.arrange()
	return nil
}

func (m *Model) themeCommand(arg string) error {
	t, ok := themeNamed(arg)
	if !ok {
		return fmt.Errorf("there are %s", strings.Join(themeNames(), ", "))
	}
	m.setTheme(t)
	return nil
}

func themeItems(*Model, string) (items []filter.Item) {
	for _, t := range themes() {
		items = append(items, filter.Item{Text: t.name, About: t.about})
	}
	return items
}

// focusedList is the list that is focused, or the frames.
func (m *Model) focusedList() lister {
	if l, ok := m.panes[m.focus].(lister); ok {
		return l
	}
	return m.frames
}

func (m *Model) columnsCommand(arg string) error {
	names := strings.FieldsFunc(arg, func(r rune) bool { return r == ' ' || r == ',' })
	if len(names) == 0 {
		m.chooseColumns()
		return nil
	}
	if err := m.focusedList().columns().choose(names); err != nil {
		return err
	}
	m.arrange()
	return nil
}

func columnNames(m *Model, _ string) []filter.Item {
	return itemsOf(labels(m.focusedList().columns().cols))
}

func (m *Model) sortCommand(arg string) error {
	if err := m.sorted().sortBy(arg); err != nil {
		return err
	}
	m.pointed = 0
	m.refresh()
	return nil
}

func sortNames(m *Model, _ string) []filter.Item { return itemsOf(m.sorted().sortable()) }

// recording tells whether a recording goes on now: m.status may be of before it
// began.
func (m *Model) recording() bool {
	status := m.status
	if m.o.Status != nil {
		status = m.o.Status()
	}
	return status.Recording != ""
}

func (m *Model) recordCommand(arg string) error {
	switch {
	case m.o.Record == nil:
		return errors.New("only what is captured live can be recorded")
	case arg == "" && !m.recording():
		return errNeedsArgument
	}
	text, err := m.o.Record(arg)
	if err != nil {
		return err
	}
	m.say(peer(text, 200), false)
	return nil
}

// knownValues offers values that are in the history now.
func (m *Model) knownValues(f *filter.Field, _ string) []string {
	set := map[string]bool{}
	const most = 1000
	switch f.Name {
	case "comm", "pid", "conn":
		for _, c := range m.st.Conns(0, most) {
			switch f.Name {
			case "comm":
				set[c.Info.Comm] = c.Info.Comm != ""
			case "pid":
				set[strconv.FormatUint(uint64(c.Info.PID), 10)] = c.Info.PID != 0
			default:
				set[c.ID.String()] = true
			}
		}
	case "path", "authority", "status":
		for _, c := range m.st.Conns(0, 20) {
			for _, t := range m.st.Streams(c.ID, 0, most/20) {
				v := map[string]string{"path": t.Path, "authority": t.Authority, "status": t.Status}[f.Name]
				set[v] = v != ""
			}
		}
	}
	var out []string
	for v, is := range set {
		if is && !strings.ContainsFunc(v, unicode.IsControl) { // which cannot be typed
			out = append(out, v)
		}
	}
	sort.Strings(out)
	return out
}
