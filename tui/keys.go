// SPDX-License-Identifier: Apache-2.0

package tui

import "github.com/charmbracelet/bubbles/key"

// keyMap is every key of the UI, in one place. The hints at the bottom and the
// help are made from it.
type keyMap struct {
	Up, Down, PageUp, PageDown, HalfUp, HalfDown, Home, End key.Binding

	Next, Prev, Connections, Streams, Frames, Detail key.Binding

	Enter, Only, Back, Filter, Tables key.Binding

	Pause, Help, Quit key.Binding

	// While a line is typed.
	Accept, Cancel key.Binding
	// Interrupt quits wherever the focus is.
	Interrupt key.Binding
}

func newKeyMap() keyMap {
	bind := func(keys, desc string, names ...string) key.Binding {
		return key.NewBinding(key.WithKeys(names...), key.WithHelp(keys, desc))
	}
	return keyMap{
		Up:       bind("↑/k", "up", "up", "k"),
		Down:     bind("↓/j", "down", "down", "j"),
		PageUp:   bind("pgup", "page up", "pgup", "ctrl+b"),
		PageDown: bind("pgdn", "page down", "pgdown", "ctrl+f"),
		HalfUp:   bind("^u", "half a page up", "ctrl+u"),
		HalfDown: bind("^d", "half a page down", "ctrl+d"),
		Home:     bind("home/g", "oldest; ends following", "home", "g"),
		End:      bind("end/G", "newest, and follow", "end", "G"),

		Next:        bind("tab", "next pane", "tab"),
		Prev:        bind("⇧tab", "previous pane", "shift+tab"),
		Connections: bind("1", "connections", "1"),
		Streams:     bind("2", "streams", "2"),
		Frames:      bind("3", "frames", "3"),
		Detail:      bind("4", "detail", "4"),

		Enter:  bind("enter", "open, narrow the others", "enter"),
		Only:   bind("s", "only this frame's stream", "s"),
		Back:   bind("esc", "back", "esc"),
		Filter: bind("/", "filter by stream id", "/"),
		Tables: bind("h", "HPACK tables in the detail", "h"),

		Pause: bind("space", "freeze view; capture goes on", " "),
		Help:  bind("?", "help", "?"),
		Quit:  bind("q/^c", "quit", "q"),

		Accept:    bind("enter", "filter", "enter"),
		Cancel:    bind("esc", "cancel", "esc"),
		Interrupt: bind("^c", "quit", "ctrl+c"),
	}
}

// group is a part of the help.
type group struct {
	title string
	keys  []key.Binding
	more  [][2]string // what is no key
}

func (k keyMap) groups() []group {
	return []group{
		{"Move", []key.Binding{k.Up, k.Down, k.PageUp, k.PageDown, k.HalfUp, k.HalfDown, k.Home, k.End},
			[][2]string{{"wheel", "scroll"}, {"click", "point; again: open"}}},
		{"Panes", []key.Binding{k.Next, k.Prev, k.Connections, k.Streams, k.Frames, k.Detail}, nil},
		{"Choose", []key.Binding{k.Enter, k.Only, k.Back, k.Filter, k.Tables}, nil},
		{"Session", []key.Binding{k.Pause, k.Help, k.Quit}, nil},
	}
}

// helpHints are the keys that the bottom line names below the help.
func (k keyMap) helpHints() []key.Binding {
	return []key.Binding{hint(k.Help, "?", "close"), hint(k.Up, "↑↓", "scroll"), hint(k.Quit, "q", "quit")}
}

// hint is a binding with a shorter text.
func hint(b key.Binding, keys, desc string) key.Binding {
	b.SetHelp(keys, desc)
	return b
}

// hints are the keys that the bottom line names while pane is focused, the
// most useful first, in few words.
func (k keyMap) hints(pane paneID, narrowed bool) []key.Binding {
	var out []key.Binding
	switch pane {
	case paneConns, paneStreams:
		out = append(out, hint(k.Enter, "enter", "only this"))
	case paneFrames:
		out = append(out, hint(k.Enter, "enter", "open"))
	}
	if narrowed || pane == paneDetail {
		out = append(out, hint(k.Back, "esc", "back"))
	} else if pane == paneFrames {
		out = append(out, hint(k.Only, "s", "only this stream"))
	}
	return append(out, hint(k.Filter, "/", "filter"), hint(k.Pause, "space", "pause"), hint(k.End, "G", "follow"),
		hint(k.Next, "tab", "pane"))
}

// lastHints are the keys that the bottom line goes on naming when it has no
// room for any other.
func (k keyMap) lastHints() []key.Binding {
	return []key.Binding{hint(k.Help, "?", "help"), hint(k.Quit, "q", "quit")}
}
