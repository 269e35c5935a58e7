// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"os/signal"

	"h2sniff/decode/store"
	"h2sniff/tui"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// runTUI shows the user interface until the user quits or ctx ends.
func runTUI(ctx context.Context, o *options, std stdio) error {
	if o.socket != 0 {
		// What stops the job must not stop this process, which goes on reading.
		signal.Ignore(unix.SIGTSTP)
	}
	if err := o.content.open(); err != nil { // while any file can be read
		return err
	}
	var ui tui.Options
	if err := configure(&ui, &o.screen); err != nil {
		return err
	}
	spill, err := o.spill.forScreen(o.read, o.history, std.stderr)
	if err != nil {
		return err
	}
	boundMemory(o.history)
	st := store.New(store.Options{History: o.history, Spill: spill})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopSpill := runSpill(ctx, cancel, st, spill)
	// For what is recorded while watching, and what is typed.
	s, err := openSession(ctx, o, ".", os.TempDir(), ui.State)
	if err != nil {
		return errors.Join(err, stopSpill())
	}
	src, err := o.startableTee(s)
	if err != nil {
		return errors.Join(err, stopSpill())
	}
	recorder := newRecorder(o.write, src, s.live != nil)
	p := &pump{src: src, store: st, diagnose: true}
	s.tellTime(p, src)
	if s.live == nil {
		p.after = func() error { st.AwaitSpill(ctx); return nil }
	}
	p.assumeHTTP2 = o.assumeH2
	err = runSession(ctx, s, p, func(ctx context.Context, done <-chan struct{}) error {
		ui.Stream, ui.HasStream, ui.Filter = o.stream.id, o.stream.set, o.filter.String()
		ui.Source, ui.Live, ui.Start = s.name, s.live != nil || s.streams, s.start
		ui.Status = withSpill(s.status(done, recorder), st)
		ui.Schema = o.content.schema
		ui.Write = (&takeaway{store: st, start: s.start}).write
		if ui.Live {
			ui.Record = recorder.record
		}
		shell := s.suspending(os.Stdout)
		defer shell.close()
		ui.Suspend, ui.Suspends = shell.suspend, shell.asked
		return asPanic(tui.Run(ctx, st, ui, os.Stdin, os.Stdout))
	})
	return errors.Join(err, stopSpill(), src.Close())
}

// hasScreen says whether w is a terminal that a user interface can be drawn on.
func hasScreen(w any) bool {
	kind := os.Getenv("TERM")
	return isTerminal(w) && kind != "" && kind != "dumb"
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// status tells the user interface about the source.
func (s *session) status(done <-chan struct{}, r *recorder) func() tui.Status {
	return func() tui.Status {
		stats := s.Stats()
		status := tui.Status{LostBytes: stats.LostBytes, LostEvents: stats.LostEvents, Missed: stats.Missed, Recording: r.into()}
		if s.far != nil && s.far.size > 0 {
			status.Read, status.Size = s.far.read.Load(), s.far.size
		}
		select {
		case <-done:
			status.Done = true
			status.Err = s.readErr
		default:
		}
		if s.live != nil {
			status.Text = s.live.statusText()
			status.Unfollowed = s.live.coverage().Ended
			switch err := s.live.outcome().(type) {
			case nil:
			case commandExit: // its own affair: the capture went well
				status.Text, status.Exit = err.Error(), int(err)
			default:
				status.Err = err
			}
		}
		if s.tee != nil && status.Err == nil {
			status.Err = s.tee.Err()
		}
		return status
	}
}
