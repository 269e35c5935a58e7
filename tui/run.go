// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"h2sniff/decode/store"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
)

// framesPerSecond is how often the terminal is written to at most.
const framesPerSecond = 60

// ErrPanic is wrapped by the error of a Run that ended in a panic of the UI.
var ErrPanic = errors.New("the terminal UI panicked")

// Run shows the UI on out, with keys from in, until the user quits, ctx ends,
// or SIGINT, SIGTERM or SIGHUP arrives; that is no error. The terminal is as it
// was when Run returns, whatever the reason, panics of the UI included.
//
// A panic in a goroutine of the caller's would leave the terminal as the UI
// has it. Such goroutines should recover, cancel ctx, and let the panic be
// reported when Run has returned.
func Run(ctx context.Context, st *store.Store, o Options, in io.Reader, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if o.Renderer == nil {
		o.Renderer = lipgloss.NewRenderer(out)
	}
	p := tea.NewProgram(New(st, o),
		tea.WithContext(ctx),
		tea.WithInput(in),
		tea.WithOutput(out),
		tea.WithAltScreen(),
		tea.WithMouseCellMotion(),
		tea.WithFPS(framesPerSecond),
		tea.WithoutSignalHandler(),
	)
	_, err := p.Run()
	switch {
	case err == nil, ctx.Err() != nil && !errors.Is(err, tea.ErrProgramPanic):
		return nil
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("%w: %w", ErrPanic, err)
	}
	return fmt.Errorf("terminal UI: %w", err)
}
