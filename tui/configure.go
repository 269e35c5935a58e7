// SPDX-License-Identifier: Apache-2.0

package tui

// configure makes the UI what the user wants. ReadConfig has found what is
// wrong with it; what could be wrong all the same is left as it is.
func (m *Model) configure(c *Config) {
	m.keys.rebind(c.Keys)
	m.arrangement, _ = arrangementNamed(c.Layout)
	m.colours = map[string]look{}
	for role, text := range c.Colours {
		if l, err := parseLook(text); err == nil {
			m.colours[role] = l
		}
	}
	t, ok := themeNamed(c.Theme)
	if !ok {
		t, _ = themeNamed(DefaultTheme)
	}
	m.sty, m.theme = newStyles(m.renderer, t, m.colours), t.name
	for name, id := range listNames {
		if columns, ok := c.Columns[name]; ok {
			m.panes[id].(lister).columns().choose(columns)
		}
	}
}
