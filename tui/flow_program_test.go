// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"h2sniff/decode/store"

	"github.com/charmbracelet/x/exp/teatest"
)

// flow is a UI in a Bubble Tea program: its messages, commands, ticks and the
// renderer run as they do under a terminal.
type flow struct {
	t  *testing.T
	tm *teatest.TestModel
}

// flowTime is what a step may take on a machine that has other things to do.
const flowTime = time.Minute

func startFlow(t *testing.T, st *store.Store, w, h int, o Options) *flow {
	t.Helper()
	o.Renderer = renderer(false)
	return &flow{t, teatest.NewTestModel(t, newModel(t.Context(), st, o), teatest.WithInitialTermSize(w, h))}
}

// press sends keys by their names, apart by spaces.
func (f *flow) press(keys string) {
	for name := range strings.FieldsSeq(keys) {
		f.tm.Send(keyMsg(name))
	}
}

// typed types a text, and then presses keys.
func (f *flow) typed(text, keys string) {
	f.tm.Type(text)
	f.press(keys)
}

// await waits until all the texts were written to the screen since the last
// await.
func (f *flow) await(texts ...string) {
	f.t.Helper()
	teatest.WaitFor(f.t, f.tm.Output(), func(out []byte) bool {
		for _, text := range texts {
			if !bytes.Contains(out, []byte(text)) {
				return false
			}
		}
		return true
	}, teatest.WithDuration(flowTime), teatest.WithCheckInterval(5*time.Millisecond))
}

// end waits for the end of the program, and gives its model and what it wrote
// since the last await.
func (f *flow) end() (*Model, string) {
	f.t.Helper()
	m := f.tm.FinalModel(f.t, teatest.WithFinalTimeout(flowTime)).(*Model)
	out, err := io.ReadAll(f.tm.FinalOutput(f.t))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := checkScreen(m); err != nil {
		f.t.Error(err)
	}
	// The last that a terminal is told: show the cursor, no mouse, no bracketed paste.
	for _, off := range []string{"\x1b[?25h", "\x1b[?1002l", "\x1b[?2004l"} {
		if !strings.Contains(string(out), off) {
			f.t.Errorf("the terminal was not told %q at the end: %q", off, out)
		}
	}
	return m, string(out)
}
