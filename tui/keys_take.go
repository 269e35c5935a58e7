// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// takeKeys are the keys of the detail's tabs and of taking things away.
type takeKeys struct {
	PrevTab, NextTab, Left, Right key.Binding
	Mask, Copy, Write             key.Binding
	Wide, ZoomIn, ZoomOut, Fit    key.Binding
}

func newTakeKeys(bind func(keys, desc string, names ...string) key.Binding) takeKeys {
	return takeKeys{
		PrevTab: bind("[", "previous tab of the detail", "["),
		NextTab: bind("]", "next tab of the detail", "]"),
		Left:    bind("←", "left: octet, tab, time", "left"),
		Right:   bind("→", "right: octet, tab, time", "right"),
		Mask:    bind("*", "show secrets, or mask them", "*"),
		Copy:    bind("y", "copy: curl, hex, JSON, ...", "y"),
		Write:   bind("w", "write pcapng, JSON or HAR", "w"),
		Wide:    bind("W", "waterfall in full width", "W"),
		ZoomIn:  bind("+", "waterfall: closer", "+", "="),
		ZoomOut: bind("-", "waterfall: farther", "-"),
		Fit:     bind("0", "waterfall: all in sight", "0"),
	}
}

func (k *takeKeys) takeGroup() group {
	return group{"Detail", []action{{"tab-previous", &k.PrevTab}, {"tab-next", &k.NextTab}, {"left", &k.Left}, {"right", &k.Right},
		{"mask", &k.Mask}, {"copy", &k.Copy}, {"write", &k.Write}, {"waterfall", &k.Wide},
		{"waterfall-closer", &k.ZoomIn}, {"waterfall-farther", &k.ZoomOut}, {"waterfall-fit", &k.Fit}}, nil}
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
	case key.Matches(msg, k.Copy):
		m.choosing = true
	case key.Matches(msg, k.Write):
		m.openPrompt(promptCommand, "write ")
	case key.Matches(msg, k.Wide):
		m.toggleWide()
	case m.focus == paneStreams && m.waterKey(msg):
	case m.focus == paneDetail && key.Matches(msg, k.Left):
		m.detail.sideways(m, -1)
	case m.focus == paneDetail && key.Matches(msg, k.Right):
		m.detail.sideways(m, 1)
	default:
		return false
	}
	return true
}

// toggleWide gives the waterfall the whole screen, or takes it back.
func (m *Model) toggleWide() {
	if m.zoomed && m.focus == paneStreams {
		m.zoomed = false
		m.arrange()
		return
	}
	m.zoomed, m.strms.wide = true, true
	m.focusOn(paneStreams)
}

// waterKey moves the axis of the waterfall, and reports whether the key does.
func (m *Model) waterKey(msg tea.KeyMsg) bool {
	w, k := &m.strms.water, &m.keys.takeKeys
	switch {
	case key.Matches(msg, k.ZoomIn):
		w.zoom(true, m.strms.selected())
	case key.Matches(msg, k.ZoomOut):
		w.zoom(false, m.strms.selected())
	case key.Matches(msg, k.Left):
		w.pan(-1)
	case key.Matches(msg, k.Right):
		w.pan(1)
	case key.Matches(msg, k.Fit):
		w.manual = false
	default:
		return false
	}
	m.strms.page = pageKey{}
	m.refresh()
	return true
}
