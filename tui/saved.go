// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"h2sniff/decode/filter"

	"github.com/BurntSushi/toml"
)

// savedFilters are those of the configuration and those saved here.
func (m *Model) savedFilters() (items []filter.Item) {
	for _, name := range slices.Sorted(maps.Keys(m.saved)) {
		items = append(items, filter.Item{Text: name, About: m.saved[name]})
	}
	return items
}

// savedFrom offers the saved filters whose names begin with what is typed of one;
// empty where there are none, and something is typed.
func (m *Model) savedFrom() string {
	begin := strings.TrimPrefix(strings.TrimSpace(m.typing.input.Value()), "@")
	text := ""
	for _, i := range matching(m.savedFilters(), begin) {
		text += " @" + i.Text
	}
	switch {
	case text != "":
		return "tab completes:" + text
	case begin == "":
		return "no filter is saved yet: :save NAME"
	}
	return ""
}

func savedNames(m *Model, _ string) []filter.Item { return m.savedFilters() }

// savedFile is the file of the filters that were saved here, written as the
// part of a configuration that it can become.
const savedFile = "filters.toml"

func (m *Model) saveFilter(name string) error {
	switch {
	case name == "":
		return errNeedsArgument
	case strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}):
		return errors.New("a name has letters, digits, - and _")
	case m.filter == nil:
		return errors.New("there is no filter in force to save")
	}
	text := m.filter.expr.String()
	if len(text) > filter.MaxText { // the usual form can be longer than what was typed
		return errors.New("the filter is too long to save")
	}
	m.saved[name], m.savedHere[name] = text, text
	if m.o.State == "" {
		m.say("saved as @"+name+" until the end of the session", false)
		return nil
	}
	path := filepath.Join(m.o.State, savedFile)
	b, err := toml.Marshal(configFile{Filters: m.savedHere})
	if err == nil {
		err = writeFile(path, string(b))
	}
	if err != nil {
		return err
	}
	m.say("saved as @"+name+" in "+peer(path, 80), false)
	return nil
}

// loadSaved reads the saved filters; those of the configuration go before.
func (m *Model) loadSaved() {
	m.saved, m.savedHere = map[string]string{}, map[string]string{}
	if m.o.State != "" {
		if c, err := ReadConfig(filepath.Join(m.o.State, savedFile)); err == nil {
			maps.Copy(m.savedHere, c.Filters)
		}
	}
	maps.Copy(m.saved, m.savedHere)
	maps.Copy(m.saved, m.o.Config.Filters)
}
