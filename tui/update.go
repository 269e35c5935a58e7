// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"time"

	"h2sniff/decode/store"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// wheelLines is how far one step of the mouse wheel scrolls.
const wheelLines = 3

// Update takes one message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if cmd := m.take(msg); cmd != nil {
		m.cmds = append(m.cmds, cmd)
	}
	return m, tea.Batch(m.handed()...)
}

func (m *Model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tickMsg:
		t := time.Time(msg)
		m.tick(t)
		return tick(m.clock.interval(t))
	case workMsg:
		m.worked(msg)
	case tea.WindowSizeMsg:
		m.clock.woken = true
		m.snapshot()
		m.resize(msg.Width, msg.Height)
	case tea.KeyMsg:
		m.clock.woken = true
		m.notice = ""
		m.dirty = true
		return m.typed(msg)
	case tea.MouseMsg:
		m.clock.woken = true
		m.mouse(tea.MouseEvent(msg))
	case suspendMsg:
		return m.suspend()
	case resumedMsg:
		m.clock.woken = true
		m.dirty = true
		return tea.EnableMouseCellMotion // Bubble Tea does not turn it on again
	}
	return nil
}

// tick looks whether there is anything new to show.
func (m *Model) tick(t time.Time) {
	changed := m.snapshot()
	// How far a file is read is shown as it goes on.
	if (m.clock.due(t) || m.status.Size > 0 && !m.status.Done) && m.askStatus() {
		changed = true
	}
	m.clock.tick(t, changed)
	m.passTime(t)
	if m.conns.count(m, t) {
		changed = true
	}
	if m.rate.sample(t, m.now.Frames) || changed {
		m.dirty = true
	}
	if m.status.Text != m.text {
		m.text, m.textAt = m.status.Text, t
	}
	if textNew := t.Sub(m.textAt) < textShown; textNew != m.textNew {
		m.textNew, m.dirty = textNew, true
	}
	if changed && !m.paused {
		m.followFilter()
		m.refresh()
	} else if m.detail.waits(m) {
		m.detail.stale()
		m.detail.refresh(m)
		m.dirty = true
	}
	if m.works[workWrite].work != nil {
		m.dirty = true // how far it is
	}
	if m.strms.aged(m) {
		m.strms.forget()
		m.strms.refresh(m)
		m.dirty = true
	}
	m.ageNotice(t)
	m.strms.keepSorted(m)
	if m.strms.water.late {
		m.strms.findMarks(m)
	}
	if m.conns.sample(m, t) {
		m.dirty = true
	}
}

// typed takes keys that bubbletea read at once as the single keys that they
// are: it hands over runes typed quickly, or over a slow line, as one message,
// which no binding would match, and esc twice as one with alt. A paste is no
// command.
func (m *Model) typed(msg tea.KeyMsg) tea.Cmd {
	switch {
	case msg.Type == tea.KeyEsc && msg.Alt:
		one := tea.KeyMsg{Type: tea.KeyEsc}
		return tea.Batch(m.key(one), m.key(one))
	case m.typing != nil || msg.Type != tea.KeyRunes:
		return m.key(msg)
	case msg.Paste:
		return nil
	}
	var cmds []tea.Cmd
	for _, r := range msg.Runes {
		one := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: msg.Alt}
		if r == ' ' {
			one.Type = tea.KeySpace
		}
		if cmd := m.key(one); cmd != nil {
			cmds = append(cmds, cmd)
		}
	}
	return tea.Batch(cmds...)
}

func (m *Model) key(msg tea.KeyMsg) tea.Cmd {
	if key.Matches(msg, m.keys.Interrupt) {
		if m.closeTop() {
			return nil
		}
		return m.quit()
	}
	if key.Matches(msg, m.keys.Suspend) {
		return m.suspend()
	}
	switch {
	case m.typing != nil:
		return m.promptKey(msg)
	case m.choosing:
		m.menuKey(msg)
		return nil
	case m.chord != noChord:
		m.chordKey(msg)
		return nil
	}
	k := &m.keys
	switch {
	case key.Matches(msg, k.Quit):
		if m.overlay != nil { // as in pagers: it is the overlay that is left
			m.overlay = nil
			return nil
		}
		return m.quit()
	case key.Matches(msg, k.Help):
		m.toggleHelp()
		return nil
	case m.overlay != nil:
		m.overlay.key(m, msg)
		return nil
	case key.Matches(msg, k.Next):
		m.focusOn((m.focus + 1) % numPanes)
	case key.Matches(msg, k.Prev):
		m.focusOn((m.focus + numPanes - 1) % numPanes)
	case key.Matches(msg, k.Connections):
		m.focusOn(paneConns)
	case key.Matches(msg, k.Streams):
		m.focusOn(paneStreams)
	case key.Matches(msg, k.Frames):
		m.focusOn(paneFrames)
	case key.Matches(msg, k.Detail):
		m.focusOn(paneDetail)
	case key.Matches(msg, k.Zoom):
		m.zoomed = !m.zoomed
		m.arrange()
	case key.Matches(msg, k.Layout):
		m.nextArrangement()
	case key.Matches(msg, k.Columns):
		m.chooseColumns()
	case key.Matches(msg, k.Sort):
		m.say(m.sorted().sortNext(), false)
		m.pointed = 0
		m.refresh()
	case key.Matches(msg, k.Follow):
		m.follow()
	case key.Matches(msg, k.Search):
		m.openPrompt(promptSearch, "")
	case key.Matches(msg, k.Command):
		m.openPrompt(promptCommand, "")
	case key.Matches(msg, k.NextMatch, k.PrevMatch):
		if m.searched == nil {
			m.say("nothing was searched for yet", false)
			break
		}
		m.find(m.searched, key.Matches(msg, k.PrevMatch))
	case key.Matches(msg, k.NextProblem, k.PrevProblem):
		m.find(m.problems, key.Matches(msg, k.PrevProblem))
	case key.Matches(msg, k.NextOfStream, k.PrevOfStream):
		m.ofStream(key.Matches(msg, k.PrevOfStream))
	case key.Matches(msg, k.Partner):
		m.partner()
	case key.Matches(msg, k.OtherEnd):
		m.otherEnd()
	case key.Matches(msg, k.Mark):
		m.chord = chordMark
		m.say("mark this row as: a letter", false)
	case key.Matches(msg, k.ToMark):
		m.chord = chordToMark
		m.say("go to mark: a letter, or ' for the last place", false)
	case key.Matches(msg, k.Enter):
		m.panes[m.focus].open(m)
	case key.Matches(msg, k.Only):
		m.onlyThisStream()
	case key.Matches(msg, k.Back):
		if !m.endWork() {
			m.goBack()
		}
	case key.Matches(msg, k.Pause):
		m.pause()
	case key.Matches(msg, k.Filter):
		text := ""
		if m.filter != nil {
			text = m.filter.text
		}
		m.openPrompt(promptFilter, text)
	case key.Matches(msg, k.Tables):
		m.detail.chooseTab(m, int(tabHPACK))
		m.focusOn(paneDetail)
	case m.detailKey(msg):
	default:
		m.moveKey(msg)
	}
	return nil
}

// moveKey moves in the focused pane.
func (m *Model) moveKey(msg tea.KeyMsg) {
	k, t := &m.keys, m.panes[m.focus].position()
	page := max(1, t.height-1)
	switch {
	case key.Matches(msg, k.Up):
		t.move(-1)
	case key.Matches(msg, k.Down):
		t.move(1)
	case key.Matches(msg, k.PageUp):
		t.move(-page)
	case key.Matches(msg, k.PageDown):
		t.move(page)
	case key.Matches(msg, k.HalfUp):
		t.move(-max(1, page/2))
	case key.Matches(msg, k.HalfDown):
		t.move(max(1, page/2))
	case key.Matches(msg, k.Home):
		t.home()
	case key.Matches(msg, k.End):
		if m.focus != paneDetail {
			m.resume()
		}
		t.toEnd(m.focus != paneDetail)
	default:
		return
	}
	m.refresh()
}

// pause freezes what the panes show, or lets them catch up.
func (m *Model) pause() {
	m.snapshot()
	m.paused = !m.paused
	if m.paused {
		m.conns.keep(m)
	} else {
		m.shown = m.now
		m.conns.release()
		clear(m.frames.kept)
		m.followFilter()
	}
	if m.filter != nil {
		m.tally(m.filter)
	}
	m.strms.counted = 0
	// So that what is in sight is kept.
	m.frames.forget()
	m.strms.forget()
	m.refresh()
}

// resume ends a pause.
func (m *Model) resume() {
	if m.paused {
		m.pause()
	}
}

// quit ends the UI. A file that is being written would end with it, and does
// not without having been told of.
func (m *Model) quit() tea.Cmd {
	if w := m.works[workWrite].work; w != nil && w != m.asked {
		m.asked = w
		key := "^c"
		if keys := m.keys.Quit.Keys(); len(keys) > 0 {
			key = keyName(keys[0])
		}
		m.say(w.what+" goes on: "+key+" again ends it and quits", true)
		return nil
	}
	return tea.Quit
}

// leave is quit of the command.
func (m *Model) leave() {
	if cmd := m.quit(); cmd != nil {
		m.cmds = append(m.cmds, cmd)
	}
}

// closeTop closes what takes the keys in place of the panes, and reports
// whether there was anything.
func (m *Model) closeTop() bool {
	switch {
	case m.typing != nil:
		m.closePrompt()
	case m.choosing:
		m.choosing = false
	case m.chord != noChord:
		m.chord = noChord
	case m.overlay != nil:
		m.overlay = nil
	default:
		return false
	}
	return true
}

// onlyThisStream narrows the panes to the stream of the frame under the
// cursor, and shows it whole: a filter has done its work when it has found it.
func (m *Model) onlyThisStream() {
	e := m.frames.selected()
	if e == nil || m.focus == paneConns || m.focus == paneStreams {
		return
	}
	if !hasStream(e) {
		m.say("this row belongs to no stream", false)
		return
	}
	v := store.View{Conn: e.Conn, Stream: e.Header.StreamID, HasStream: true}
	if m.filter == nil {
		m.narrow(v, paneFrames)
		return
	}
	m.remember()
	m.view, m.filter = v, nil
	m.startFilter()
	m.frames.goTo(m, m.frameView(), e.Seq, false)
	m.focusOn(paneFrames)
	m.say("stream "+itoa(v.Stream)+" of "+v.Conn.String()+", whole; "+keyName(m.keys.Back.Keys()[0])+" goes back to the filter", false)
}
