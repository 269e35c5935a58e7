// SPDX-License-Identifier: Apache-2.0

package tui

import "github.com/charmbracelet/bubbles/key"

// keyMap is every key of the UI, in one place. The hints at the bottom, the
// help and the names in the configuration are made from it.
type keyMap struct {
	Up, Down, PageUp, PageDown, HalfUp, HalfDown, Home, End key.Binding

	Next, Prev, Connections, Streams, Frames, Detail, Zoom, Layout, Columns, Sort key.Binding

	Enter, Only, Back, Filter, Tables key.Binding

	takeKeys

	Search, NextMatch, PrevMatch, NextProblem, PrevProblem key.Binding
	NextOfStream, PrevOfStream, Partner, Mark, ToMark      key.Binding
	OtherEnd                                               key.Binding

	Pause, Follow, Command, Help, Suspend, Quit key.Binding

	// While a line is typed.
	Accept, Cancel, Complete, CompleteBack, Older, Newer key.Binding
	// Interrupt closes a prompt or an overlay, or else quits, wherever the focus is.
	Interrupt key.Binding
}

func newKeyMap() keyMap {
	bind := func(keys, desc string, names ...string) key.Binding {
		return key.NewBinding(key.WithKeys(names...), key.WithHelp(keys, desc))
	}
	return keyMap{
		Up:       bind("↑/k", "up", "up", "k"),
		Down:     bind("↓/j", "down", "down", "j"),
		PageUp:   bind("pgup/^b", "page up", "pgup", "ctrl+b"),
		PageDown: bind("pgdn", "page down", "pgdown"),
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
		Zoom:        bind("z", "this pane alone, and back", "z"),
		Layout:      bind("|", "another layout", "|"),
		Columns:     bind("C", "choose columns", "C"),
		Sort:        bind("S", "sort by the next column", "S"),

		Enter:  bind("enter", "open, narrow the others", "enter"),
		Only:   bind("s", "this frame's stream, whole", "s"),
		Back:   bind("esc", "back; end what is running", "esc"),
		Filter: bind("/", "filter", "/"),
		Tables: bind("h", "HPACK tables in the detail", "h"),

		takeKeys: newTakeKeys(bind),

		Search:       bind("^f", "search headers, bodies, hex", "ctrl+f"),
		NextMatch:    bind("n", "next match", "n"),
		PrevMatch:    bind("N", "previous match", "N"),
		NextProblem:  bind("e", "next problem", "e"),
		PrevProblem:  bind("E", "previous problem", "E"),
		NextOfStream: bind("o", "next frame of this stream", "o"),
		PrevOfStream: bind("O", "previous frame of it", "O"),
		Partner:      bind("r", "answer, or what it answers", "r"),
		OtherEnd:     bind("x", "other end of the connection", "x"),
		Mark:         bind("m a", "mark the row as a", "m"),
		ToMark:       bind("' a", "to mark a; '' back again", "'"),

		Pause:   bind("space", "freeze view; capture goes on", " "),
		Follow:  bind("F", "follow the newest", "F"),
		Command: bind(":", "command", ":"),
		Help:    bind("?", "help", "?"),
		Suspend: bind("^z", "to the shell; fg comes back", "ctrl+z"),
		Quit:    bind("q/^c", "quit", "q"),

		Accept:       bind("enter", "accept", "enter"),
		Cancel:       bind("esc", "cancel", "esc"),
		Complete:     bind("tab", "complete", "tab"),
		CompleteBack: bind("⇧tab", "the one before", "shift+tab"),
		Older:        bind("↑", "older", "up", "ctrl+p"),
		Newer:        bind("↓", "newer", "down", "ctrl+n"),
		Interrupt:    bind("^c", "quit", "ctrl+c"),
	}
}

// action is a key with the name that the configuration has for it.
type action struct {
	name string
	key  *key.Binding
}

// group is a part of the help.
type group struct {
	title   string
	actions []action
	more    [][2]string // what is no key
}

// groups are all keys that can be bound anew, in the order of the help.
func (k *keyMap) groups() []group {
	return []group{
		{"Move", []action{{"up", &k.Up}, {"down", &k.Down}, {"page-up", &k.PageUp}, {"page-down", &k.PageDown},
			{"half-up", &k.HalfUp}, {"half-down", &k.HalfDown}, {"home", &k.Home}, {"end", &k.End}},
			[][2]string{{"wheel", "scroll"}, {"click", "point; again: open"}}},
		{"Panes", []action{{"next", &k.Next}, {"previous", &k.Prev}, {"connections", &k.Connections}, {"streams", &k.Streams},
			{"frames", &k.Frames}, {"detail", &k.Detail}, {"zoom", &k.Zoom}, {"layout", &k.Layout},
			{"columns", &k.Columns}, {"sort", &k.Sort}}, nil},
		{"Choose", []action{{"enter", &k.Enter}, {"only", &k.Only}, {"back", &k.Back}, {"filter", &k.Filter}, {"tables", &k.Tables}}, nil},
		k.takeGroup(),
		{"Find", []action{{"search", &k.Search}, {"next-match", &k.NextMatch}, {"previous-match", &k.PrevMatch},
			{"next-problem", &k.NextProblem}, {"previous-problem", &k.PrevProblem},
			{"next-of-stream", &k.NextOfStream}, {"previous-of-stream", &k.PrevOfStream},
			{"partner", &k.Partner}, {"other-end", &k.OtherEnd}, {"mark", &k.Mark}, {"to-mark", &k.ToMark}}, nil},
		{"Session", []action{{"pause", &k.Pause}, {"follow", &k.Follow}, {"command", &k.Command}, {"help", &k.Help}, {"suspend", &k.Suspend}, {"quit", &k.Quit}}, nil},
	}
}

// helpHints are the keys that the bottom line names below the help.
func (k keyMap) helpHints() []key.Binding {
	return []key.Binding{hint(k.Help, "", "close"), hint(k.Up, "↑↓", "scroll")}
}

// hint is a binding with a shorter text; keys empty: the first key that it is
// bound to.
func hint(b key.Binding, keys, desc string) key.Binding {
	if keys == "" && len(b.Keys()) > 0 {
		keys = keyName(b.Keys()[0])
	}
	b.SetHelp(keys, desc)
	return b
}

// keyName is how a key is written for people.
func keyName(k string) string {
	switch k {
	case " ":
		return "space"
	case "up":
		return "↑"
	case "down":
		return "↓"
	case "pgdown":
		return "pgdn"
	}
	for _, short := range [][2]string{{"ctrl+", "^"}, {"shift+", "⇧"}} {
		if len(k) > len(short[0]) && k[:len(short[0])] == short[0] {
			return short[1] + keyName(k[len(short[0]):])
		}
	}
	return k
}

// situation is what the hints depend on beside the pane.
type situation struct {
	narrowed bool // esc has something to undo
	whole    bool // one stream is shown, without a filter, or nothing
	live     bool
	paused   bool
	left     bool // the newest rows are out of sight
	leads    bool // enter goes to another row
}

// hints are the keys that the bottom line names while pane is focused, the
// most useful first, in few words.
func (k keyMap) hints(pane paneID, s situation) []key.Binding {
	pause, follow := hint(k.Pause, "", "pause"), hint(k.End, keyName(k.End.Keys()[len(k.End.Keys())-1]), "follow")
	var out []key.Binding
	if s.paused {
		out = append(out, hint(k.Pause, "", "resume"))
	}
	switch pane {
	case paneConns, paneStreams:
		out = append(out, hint(k.Enter, "", "only this"))
	case paneFrames:
		out = append(out, hint(k.Enter, "", "open"))
	case paneDetail:
		prev, next := hint(k.PrevTab, "", "").Help().Key, hint(k.NextTab, "", "").Help().Key
		if s.leads {
			out = append(out, hint(k.Enter, "", "go there"))
		}
		out = append(out, hint(k.NextTab, prev+" "+next, "tab"), hint(k.Copy, "", "copy"))
	}
	if s.narrowed || pane == paneDetail {
		out = append(out, hint(k.Back, "", "back"))
	}
	if pane == paneFrames && !s.whole {
		out = append(out, hint(k.Only, "", "only this stream"))
	}
	if s.live && !s.paused && s.left {
		out = append(out, follow)
	}
	out = append(out, hint(k.Filter, "", "filter"), hint(k.Search, "", "search"))
	if s.live && !s.paused {
		out = append(out, pause)
	}
	if s.live && s.paused {
		out = append(out, follow)
	}
	return append(out, hint(k.Next, "", "pane"),
		hint(k.NextProblem, "", "problem"), hint(k.Partner, "", "partner"), hint(k.Zoom, "", "zoom"),
		hint(k.Mark, "m", "mark"), hint(k.Write, "", "write"), hint(k.Command, "", "command"))
}

// lastHints are the keys that the bottom line goes on naming when it has no
// room for any other.
func (k keyMap) lastHints() []key.Binding {
	return []key.Binding{hint(k.Help, "", "help"), hint(k.Quit, "", "quit")}
}
