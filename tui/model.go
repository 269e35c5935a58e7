// SPDX-License-Identifier: Apache-2.0

// Package tui is the terminal UI: panes over a [store.Store] that another
// goroutine fills.
//
// A [Model] is a Bubble Tea model. It pulls: thirty times a second, or ten
// while nothing happens, it takes a snapshot of the store, and only where
// something changed it fetches the rows that are in sight and draws them. No
// message is ever sent for a frame, and nothing here can slow the writer of
// the store.
//
// Update fetches, View draws what was fetched. All octets that a peer controls
// pass through package visible.
package tui

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"h2sniff/decode/content"
	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
)

// Options say what a Model shows. The zero Options are usable.
type Options struct {
	// Stream narrows the view to one stream id at the start, if HasStream.
	Stream    uint32
	HasStream bool
	// Source names what is captured: "nginx (3 processes)", "file.pcapng".
	Source string
	// Live says that rows come from running programs: the view follows the
	// newest. Otherwise it stays at the oldest.
	Live bool
	// Start is what elapsed times count from, in nanoseconds since the Unix
	// epoch; 0: the first row.
	Start int64
	// Status, where set, is asked at most four times a second, while a file of a
	// known size is read with every tick, from the goroutine that runs Update. It
	// must not block.
	Status func() Status
	// Record, where set, begins to record what is captured from now on into the
	// file path; an empty path ends the recording. It returns a sentence to show.
	// It is called from the goroutine that runs Update.
	Record func(path string) (string, error)
	// Schema names gRPC messages and their fields; nil: by their numbers.
	Schema *content.Schema
	// Write, where set, writes the rows that are shown to a file, and tells in
	// a sentence what it wrote. It is called beside the UI.
	Write func(*Take) (string, error)
	// Terminal takes the sequences that hand a text to the terminal's
	// clipboard; nil: none are sent. Run sets it.
	Terminal io.Writer
	// Suspend, where set, stops the job that the UI is of, and returns when it is
	// continued or ctx ends; the terminal is as it was before meanwhile. It is
	// called from Bubble Tea's event loop, which waits for it.
	Suspend func(ctx context.Context)
	// Suspends, where set, asks for that from outside.
	Suspends <-chan struct{}
	// Renderer decides on colours. nil: lipgloss's default.
	Renderer *lipgloss.Renderer
	// Config is what ReadConfig gave.
	Config Config
	// State is the directory in which histories and saved filters are kept;
	// empty: only as long as the Model.
	State string
	// Filter is the expression that the view is narrowed to at the start;
	// package filter reads it. One that is wrong is told on the screen.
	Filter string
}

// Status is the state of the source.
type Status struct {
	Text       string // what is attached, in a few words
	LostBytes  uint64 // octets that never reached the store
	LostEvents uint64
	Missed     uint64 // calls that could not be followed: what they moved is not known
	Unfollowed uint64 // processes that ended before they could be followed
	Err        error  // what ended the source early; shown until the end
	Done       bool   // nothing more will come
	Exit       int    // status with which the command that was to be watched has ended
	Read, Size int64  // octets of a file that were read, and that it has; 0 where that is not known
	Recording  string // path of the file that is recorded into; "" where none is
}

type tickMsg time.Time

// Model is the state of the UI. It is not safe for concurrent use: Bubble Tea
// calls it from one goroutine.
type Model struct {
	st   *store.Store
	o    Options
	keys keyMap
	sty  *styles

	renderer *lipgloss.Renderer
	theme    string
	colours  map[string]look // in place of those of any theme

	width, height int
	lay           layout
	focus         paneID
	listed        paneID // the list that is in sight where there is room for one
	arrangement   arrangement
	zoomed        bool // the focused pane has the screen for itself

	panes  [numPanes]pane
	conns  *connPane
	strms  *streamPane
	frames *framePane
	detail *detailPane

	view    store.View // what the panes are narrowed to
	pointed uint64     // row whose connection and stream the other lists were put on last; 0: none
	back    []place    // where esc leads

	now    store.Snapshot // of the last tick
	shown  store.Snapshot // what the panes show: now, or of the moment of the pause
	paused bool
	// at is the moment that what is shown is of, by the clock of the rows: what
	// has not ended has lasted until then. It stands still while paused.
	at     int64
	run    running
	start  int64 // that elapsed times count from; 0 until the first row
	status Status
	clock  clock
	rate   rateMeter
	text   string    // of the status, as last seen by a tick
	textAt time.Time // when it changed
	// textNew says that it changed a moment ago.
	textNew bool

	typing  *prompt // nil: no line is being typed
	history [numPrompts]history
	saved   map[string]string // filters by name
	// savedHere are those that are not of the configuration.
	savedHere map[string]string

	unmasked bool // secrets are shown
	choosing bool // what to copy

	filter   *query  // nil: all of the view
	searched *finder // of the last search
	problems *finder
	marks    map[rune]uint64 // rows by letter
	chord    chord

	works [numWorks]slot
	ctx   context.Context // ends with the UI
	cmds  []tea.Cmd       // to be handed to Bubble Tea with the end of Update
	// writing is held while a file is written.
	writing sync.Mutex
	asked   *work // that is written, and that the next q ends

	overlay overlay // nil: none

	notice      string // until the next key, or for noticeShown
	noticeAlarm bool
	noticeAt    time.Time // of the first tick that saw it
	said        []string  // the last notices

	dirty  bool // screen is out of date
	screen string
	lines  [][]byte // of the screen; kept for their memory
}

// newModel makes the UI of st; what it does beside itself ends with ctx.
func newModel(ctx context.Context, st *store.Store, o Options) *Model {
	r := o.Renderer
	if r == nil {
		r = lipgloss.DefaultRenderer()
	}
	m := &Model{
		st: st, o: o, keys: newKeyMap(), renderer: r,
		focus: paneFrames, listed: paneFrames,
		conns: newConnPane(), strms: newStreamPane(), frames: newFramePane(), detail: newDetailPane(),
		start: o.Start,
		marks: map[rune]uint64{},
		ctx:   ctx,
		dirty: true,
	}
	m.panes = [numPanes]pane{paneConns: m.conns, paneStreams: m.strms, paneFrames: m.frames, paneDetail: m.detail}
	m.configure(&o.Config)
	m.view = store.View{Stream: o.Stream, HasStream: o.HasStream}
	m.frames.view = m.view
	m.frames.follow = o.Live
	m.conns.follow = o.Live
	m.conns.cols[connRate].hide = !o.Live // what is read from a file tells nothing of a program
	m.problems = newProblems()
	for kind, name := range [numPrompts]string{"filters", "searches", "commands"} {
		m.history[kind] = newHistory(o.State, name)
	}
	m.loadSaved()
	m.snapshot()
	m.askStatus()
	if o.Filter != "" {
		if err := m.filterBy(o.Filter); err != nil {
			m.say("filter: "+err.Error(), true)
		}
		m.back = nil
	}
	return m
}

// Init starts the clock.
func (m *Model) Init() tea.Cmd { return tea.Batch(append(m.handed(), tick(tickInterval))...) }

// handed are the commands that have come together.
func (m *Model) handed() []tea.Cmd {
	cmds := m.cmds
	for i, cmd := range cmds {
		cmds[i] = guarded(cmd)
	}
	m.cmds = nil
	return cmds
}

// snapshot looks at the store, and reports whether anything that is on the
// screen may have changed.
func (m *Model) snapshot() bool {
	now := m.st.Snapshot()
	changed := now != m.now
	m.now = now
	if !m.paused {
		m.shown = now
		m.at = max(m.at, now.Last)
	}
	if m.start == 0 {
		if first := m.st.Rows(store.View{}, 0, 1); len(first) > 0 {
			m.start = first[0].Time
		}
	}
	return changed
}

// refresh fetches what is in sight. Each pane may depend on those before it.
func (m *Model) refresh() {
	for id, p := range m.panes {
		p.refresh(m)
		if paneID(id) == paneFrames {
			m.pointAtFrame()
		}
	}
	m.dirty = true
}

// resize takes the size of the screen, in cells.
func (m *Model) resize(w, h int) {
	m.width, m.height = w, h
	m.arrange()
}

// arrange shares out the screen again.
func (m *Model) arrange() {
	m.lay = newLayout(m.width, m.height, wanted{m.listed, m.focus, m.arrangement, m.zoomed, m.filter != nil})
	for id, p := range m.panes {
		for _, b := range m.lay.boxes {
			for _, t := range b.tabs {
				if t == paneID(id) {
					p.resize(b.inner())
				}
			}
		}
	}
	m.refresh()
}

// nextArrangement turns to the next arrangement that differs on this screen from
// the one in sight.
func (m *Model) nextArrangement() {
	want := wanted{m.listed, m.focus, m.arrangement, false, m.filter != nil}
	before := newLayout(m.width, m.height, want)
	m.zoomed = false
	for range numArrangements - 1 {
		want.arrangement = (want.arrangement + 1) % numArrangements
		if now := newLayout(m.width, m.height, want); !slices.EqualFunc(now.boxes, before.boxes, box.same) {
			m.arrangement = want.arrangement
			m.arrange()
			m.say("layout: "+m.arrangement.String(), false)
			return
		}
	}
	m.arrange()
	m.say("this screen has room for one layout only", false)
}

// focusOn brings a pane into sight and gives it the keys.
func (m *Model) focusOn(p paneID) {
	m.focus = p
	if p != paneDetail {
		m.listed = p
	}
	m.arrange()
}

// say shows a notice until the next key; one that is no alarm also leaves by
// itself.
func (m *Model) say(text string, alarm bool) {
	m.notice, m.noticeAlarm, m.noticeAt = text, alarm, time.Time{}
	m.keepNotice(text)
}

// waiting is the number of rows that came since the pause.
func (m *Model) waiting() uint64 { return m.now.Rows - m.shown.Rows }
