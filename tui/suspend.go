// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"io"

	tea "github.com/charmbracelet/bubbletea"
)

// suspendMsg asks for the terminal to be left to the shell, resumedMsg says that
// it is the UI's again.
type (
	suspendMsg struct{}
	resumedMsg struct{}
)

// suspension is what Bubble Tea runs while it has given the terminal back. It
// reads and writes nothing.
type suspension struct {
	ctx  context.Context
	wait func(context.Context)
}

func (s suspension) Run() error        { s.wait(s.ctx); return nil }
func (suspension) SetStdin(io.Reader)  {}
func (suspension) SetStdout(io.Writer) {}
func (suspension) SetStderr(io.Writer) {}

// suspend leaves the terminal to the shell until the job is continued.
func (m *Model) suspend() tea.Cmd {
	if m.o.Suspend == nil {
		m.say("there is no shell to go back to", false)
		return nil
	}
	return tea.Exec(suspension{m.ctx, m.o.Suspend}, func(error) tea.Msg { return resumedMsg{} })
}

// forwardSuspends hands what asks for a suspension from outside to the UI,
// until ctx ends.
func forwardSuspends(ctx context.Context, asked <-chan struct{}, send func(tea.Msg)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			send(suspendMsg{})
		}
	}
}
