// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"h2sniff/decode/store"
	"h2sniff/decode/visible"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"
)

// framesPerSecond is how often the terminal is written to at most.
const framesPerSecond = 120

// PanicError is returned by Run after a panic in the UI.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked; may be empty
}

func (e *PanicError) Error() string {
	return "the terminal UI panicked: " + visible.String(fmt.Sprint(e.Value))
}

// Run shows the UI on out, with keys from in, until the user quits, ctx ends,
// or SIGINT, SIGTERM or SIGHUP arrives; none of these is an error. Where in is
// no terminal (nil, or a file) the keys come from the controlling terminal.
//
// The terminal is as it was when Run returns, whatever the reason. A panic in
// the UI is returned as a *PanicError. A panic in a goroutine of the caller's
// would leave the terminal as the UI has it: such goroutines should recover,
// cancel ctx, and let the panic be reported when Run has returned.
func Run(ctx context.Context, st *store.Store, o Options, in io.Reader, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if o.Renderer == nil {
		o.Renderer = newRenderer(out)
	}
	o.Terminal = out
	keys := tea.WithInput(in)
	if f, ok := in.(*os.File); in == nil || ok && !term.IsTerminal(int(f.Fd())) {
		keys = tea.WithInputTTY()
	}
	// What goes on beside the UI ends with it.
	beside, end := context.WithCancel(ctx)
	defer end()
	g := &guard{Model: newModel(beside, st, o)}
	program := tea.NewProgram(g, keys,
		tea.WithContext(ctx),
		tea.WithOutput(out),
		tea.WithAltScreen(),
		tea.WithMouseCellMotion(),
		tea.WithFPS(framesPerSecond),
		tea.WithoutSignalHandler(),
	)
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		forwardSuspends(beside, o.Suspends, program.Send)
	}()
	_, err := program.Run()
	end()
	<-forwarded
	// Of a file that is not written to its end nothing is left behind.
	g.writing.Lock()
	defer g.writing.Unlock()
	switch {
	case g.panicked != nil:
		return g.panicked
	case errors.Is(err, tea.ErrProgramPanic):
		return &PanicError{Value: err}
	case err == nil, ctx.Err() != nil:
		return nil
	}
	return fmt.Errorf("terminal UI: %w", err)
}

// guarded is a command whose panic is a message: Bubble Tea runs it in a
// goroutine of its own.
func guarded(cmd tea.Cmd) tea.Cmd {
	return func() (msg tea.Msg) {
		defer func() {
			if v := recover(); v != nil {
				msg = &PanicError{v, debug.Stack()}
			}
		}()
		return cmd()
	}
}

// guard ends the program in an orderly way when the model panics, so that the
// terminal is restored before anything is said about it.
type guard struct {
	*Model
	panicked *PanicError
}

func (g *guard) recover() {
	if v := recover(); v != nil && g.panicked == nil {
		g.panicked = &PanicError{v, debug.Stack()}
	}
}

// Update is Model's, or quits after a panic. A panic of View is found by the
// next tick.
func (g *guard) Update(msg tea.Msg) (model tea.Model, cmd tea.Cmd) {
	model, cmd = g, tea.Quit
	if g.panicked != nil {
		return model, cmd
	}
	if p, ok := msg.(*PanicError); ok {
		g.panicked = p
		return model, cmd
	}
	defer g.recover()
	_, next := g.Model.Update(msg)
	return g, next
}

// View is Model's, or nothing after a panic.
func (g *guard) View() (view string) {
	if g.panicked != nil {
		return ""
	}
	defer g.recover()
	return g.Model.View()
}
