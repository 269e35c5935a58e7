// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"h2sniff/decode/visible"

	"github.com/BurntSushi/toml"
	tea "github.com/charmbracelet/bubbletea"
)

// Config is what the user wants otherwise. The zero Config wants nothing
// otherwise. docs/config.md describes the file.
type Config struct {
	Theme  string
	Layout string
	// Keys are those of an action in place of its own; an empty list leaves it
	// without any.
	Keys map[string][]string
	// Columns are those to show, by list.
	Columns map[string][]string
	Colours map[string]string // looks by role
	Filters map[string]string // expressions by name
}

// ConfigError says what is wrong in a configuration file.
type ConfigError struct {
	Path string
	Line int // 0: not known
	Text string
}

func (e *ConfigError) Error() string {
	text := visible.String(e.Text)
	if e.Line > 0 {
		return fmt.Sprintf("%s, line %d: %s", e.Path, e.Line, text)
	}
	return e.Path + ": " + text
}

// maxConfig is the largest configuration that is read, in octets.
const maxConfig = 1 << 20

// ReadConfig reads the configuration file, in which there need not be
// anything; where there is no file, it is as if it were empty. What is wrong
// with it is told by a *ConfigError.
func ReadConfig(path string) (Config, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	return parseConfig(path, string(text))
}

// configFile is the file as it is written.
type configFile struct {
	Theme   string                `toml:"theme,omitempty"`
	Layout  string                `toml:"layout,omitempty"`
	Keys    map[string]stringList `toml:"keys,omitempty"`
	Columns map[string]stringList `toml:"columns,omitempty"`
	Colours map[string]string     `toml:"colours,omitempty"`
	Filters map[string]string     `toml:"filters,omitempty"`
}

// stringList is a list of strings, or one string alone.
type stringList []string

func (l *stringList) UnmarshalTOML(v any) error {
	*l = stringList{}
	switch v := v.(type) {
	case string:
		*l = append(*l, v)
		return nil
	case []any:
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return errors.New("a list of strings is needed")
			}
			*l = append(*l, s)
		}
		return nil
	}
	return errors.New("a string or a list of strings is needed")
}

func parseConfig(path, text string) (Config, error) {
	var f configFile
	meta, err := toml.Decode(text, &f)
	if err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return Config{}, &ConfigError{path, syntax.Position.Line, syntax.Message}
		}
		// "toml: line 3 (last key "keys.quit"): a string is needed"
		e := &ConfigError{path, 0, strings.TrimPrefix(err.Error(), "toml: ")}
		if n, _ := fmt.Sscanf(e.Text, "line %d ", &e.Line); n == 1 {
			_, e.Text, _ = strings.Cut(e.Text, " ")
			_, e.Text, _ = strings.Cut(e.Text, " ")
		}
		return Config{}, e
	}
	wrong := func(table, key, format string, args ...any) error {
		return &ConfigError{path, lineOf(text, table, key), fmt.Sprintf(format, args...)}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		k := unknown[0]
		table := strings.Join(k[:len(k)-1], ".")
		return Config{}, wrong(table, k[len(k)-1], "%s is not known here", k)
	}
	c := Config{Theme: f.Theme, Layout: f.Layout, Colours: f.Colours, Filters: f.Filters,
		Keys: lists(f.Keys), Columns: lists(f.Columns)}
	if bad := c.check(); bad != nil {
		return Config{}, wrong(bad.table, bad.key, "%s", bad.text)
	}
	return c, nil
}

func lists(in map[string]stringList) map[string][]string {
	out := make(map[string][]string, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}

// Check finds what is wrong in a Config that was not read from a file.
func (c *Config) Check() error {
	if bad := c.check(); bad != nil {
		return errors.New(bad.text)
	}
	return nil
}

// mistake is what is wrong in a configuration, and where.
type mistake struct{ table, key, text string }

// check finds the first mistake; nil where there is none.
func (c *Config) check() *mistake {
	if _, ok := themeNamed(c.Theme); !ok && c.Theme != "" {
		return &mistake{"", "theme", fmt.Sprintf("no theme %q: there are %s", c.Theme, strings.Join(themeNames(), ", "))}
	}
	if _, ok := arrangementNamed(c.Layout); !ok && c.Layout != "" {
		return &mistake{"", "layout", fmt.Sprintf("no layout %q: there are %s", c.Layout, strings.Join(arrangementNames[:], ", "))}
	}
	keys := newKeyMap()
	if name, err := keys.rebind(c.Keys); err != nil {
		return &mistake{"keys", name, err.Error()}
	}
	roles := (&styles{}).roles()
	for _, name := range slices.Sorted(maps.Keys(c.Colours)) {
		if roles[name] == nil {
			return &mistake{"colours", name, fmt.Sprintf("no role %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(roles)), ", "))}
		}
		if _, err := parseLook(c.Colours[name]); err != nil {
			return &mistake{"colours", name, err.Error()}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Columns)) {
		if err := checkColumns(name, c.Columns[name]); err != nil {
			return &mistake{"columns", name, err.Error()}
		}
	}
	return nil
}

// rebind binds actions to other keys. Where it fails it names the action.
func (k *keyMap) rebind(other map[string][]string) (action string, err error) {
	bound := map[string]string{"ctrl+c": "interrupt"}
	known := map[string]bool{}
	var all []string
	for _, g := range k.groups() {
		for _, a := range g.actions {
			known[a.name] = true
			all = append(all, a.name)
			if keys, ok := other[a.name]; ok {
				var shown []string
				for i, name := range keys {
					if keys[i], ok = keyNamed(name); !ok {
						return a.name, fmt.Errorf("%q is no key", name)
					}
					shown = append(shown, keyName(keys[i]))
				}
				a.key.SetKeys(keys...)
				a.key.SetHelp(strings.Join(shown, "/"), a.key.Help().Desc)
				a.key.SetEnabled(len(keys) > 0)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(other)) {
		if !known[name] {
			return name, fmt.Errorf("no action %q: there are %s", name, strings.Join(all, ", "))
		}
	}
	for _, g := range k.groups() {
		for _, a := range g.actions {
			for _, name := range a.key.Keys() {
				if before, twice := bound[name]; twice {
					if _, changed := other[a.name]; !changed {
						return before, fmt.Errorf("%q is bound to %s already", keyName(name), a.name)
					}
					return a.name, fmt.Errorf("%q is bound to %s already", keyName(name), before)
				}
				bound[name] = a.name
			}
		}
	}
	return "", nil
}

// keyNamed is a key as bubbletea calls it.
func keyNamed(name string) (string, bool) {
	if name == "space" {
		return " ", true
	}
	rest := strings.TrimPrefix(name, "alt+")
	if r := []rune(rest); len(r) == 1 && r[0] > ' ' && visible.String(rest) == rest {
		return name, true
	}
	for t := tea.KeyType(-100); t < 128; t++ {
		if s := (tea.Key{Type: t}).String(); s == rest && s != "" && t != tea.KeyRunes {
			return name, true
		}
	}
	return name, false
}

// lineOf is the line of a key in a table of a TOML file, as far as it is
// written in the usual way; 0 where it is not found.
func lineOf(text, table, key string) int {
	in := ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if head, ok := strings.CutPrefix(line, "["); ok {
			in, _, _ = strings.Cut(head, "]")
			in = strings.TrimSpace(in)
			if in == key && table == "" {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		if ok && in == table && strings.Trim(strings.TrimSpace(name), `"'`) == key {
			return i + 1
		}
	}
	return 0
}
