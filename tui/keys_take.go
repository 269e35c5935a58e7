// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// takeKeys are the keys of the detail's tabs and of taking things away.
type takeKeys struct {
	PrevTab, NextTab, Left, Right key.Binding
	Mask                          key.Binding
}

func newTakeKeys(bind func(keys, desc string, names ...string) key.Binding) takeKeys {
	return takeKeys{
		PrevTab: bind("[", "previous tab of the detail", "["),
		NextTab: bind("]", "next tab of the detail", "]"),
		Left:    bind("←", "left: octet, tab", "left"),
		Right:   bind("→", "right: octet, tab", "right"),
		Mask:    bind("*", "show secrets, or mask them", "*"),
	}
}

func (k *takeKeys) takeGroup() group {
	return group{"Detail", []action{{"tab-previous", &k.PrevTab}, {"tab-next", &k.NextTab}, {"left", &k.Left}, {"right", &k.Right},
		{"mask", &k.Mask}}, nil}
}

// detailKey does what a key of takeKeys asks for, and reports whether it is
// one.
func (m *Model) detailKey(msg tea.KeyMsg) bool {
	k := &m.keys.takeKeys
	switch {
	case key.Matches(msg, k.PrevTab):
		m.detail.chooseTab(m, int(m.detail.tab)-1)
	case key.Matches(msg, k.NextTab):
		m.detail.chooseTab(m, int(m.detail.tab)+1)
	case key.Matches(msg, k.Mask):
		m.toggleMask()
	case m.focus == paneDetail && key.Matches(msg, k.Left):
		m.detail.sideways(m, -1)
	case m.focus == paneDetail && key.Matches(msg, k.Right):
		m.detail.sideways(m, 1)
	default:
		return false
	}
	return true
}

// taken hands the result of a task to who asked for it.
func (m *Model) taken(msg taskDone) {
	if _, result, ok := m.detail.work.take(msg); ok {
		m.detail.taken(m, result)
	}
}

// work gives the command that runs what was asked for.
func (m *Model) work() tea.Cmd { return m.detail.work.start() }
