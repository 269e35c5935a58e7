// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"h2sniff/decode/store"
	"h2sniff/tui"
)

// spillFlags say where rows go for which there is no memory.
type spillFlags struct {
	dir   string
	given bool
	size  int64
}

func addSpillFlags(f *pflag.FlagSet, s *spillFlags) {
	s.size = store.DefaultSpill
	f.StringVar(&s.dir, "spill", "", "keep frames beyond --history in a private file in `DIR` (a recording that the user interface opens: $TMPDIR or /var/tmp, unless given as empty; else: none)")
	f.Var((*sizeFlag)(&s.size), "spill-size", "the most that this file takes, and never more than half of what is free there")
}

// check finds sizes that make no sense.
func (s *spillFlags) check(f *pflag.FlagSet, history int64) error {
	s.given = f.Changed("spill")
	switch {
	case s.size < history && (s.dir != "" || f.Changed("spill-size")):
		return usageError{errors.New("--spill-size is less than --history: the file would be of no use")}
	case f.Changed("spill-size") && s.given && s.dir == "":
		return usageError{errors.New("--spill-size needs --spill DIR")}
	}
	return nil
}

// forScreen opens the file for the user interface. What is in a recording is on
// the disk as it is, so that one that is too large for memory can be kept whole
// without being asked for; plaintext of live programs, or of a recording that
// comes through a pipe, is not. Where that file cannot be made it is said, and
// there is none.
func (s *spillFlags) forScreen(recording string, history int64, report io.Writer) (*store.Spill, error) {
	if s.given || recording == "" || streams(recording) || s.size < history {
		return s.open(history)
	}
	spill, err := openSpill(spillDir(), s.size, history)
	if err != nil {
		say(report, "%v: of a large recording only the end will be kept", err)
		return nil, nil
	}
	return spill, nil
}

// open opens the file that was asked for, if one was.
func (s *spillFlags) open(history int64) (*store.Spill, error) {
	if s.dir == "" {
		return nil, nil
	}
	return openSpill(s.dir, s.size, history)
}

func openSpill(dir string, size, history int64) (*store.Spill, error) {
	spill, err := store.OpenSpill(dir, size)
	if err != nil {
		return nil, err
	}
	if room := spill.Limit(); room < history {
		return nil, errors.Join(fmt.Errorf("half of what is free in %s is %d MiB, less than --history", dir, room>>20), spill.Close())
	}
	return spill, nil
}

// withSpill has a status tell what is wrong with the file.
func withSpill(status func() tui.Status, st *store.Store) func() tui.Status {
	return func() tui.Status {
		out := status()
		if snap := st.Snapshot(); out.Err == nil && snap.SpillErr != nil {
			out.Err = fmt.Errorf("the file for the history: %w", snap.SpillErr)
		} else if out.Err == nil && snap.NotKept > 0 {
			out.Err = fmt.Errorf("the disk is too slow for the history: %s could not be kept", plural(snap.NotKept, "row"))
		}
		return out
	}
}

// spillDir is for files that may be large (hier(7)): /tmp is often in memory.
func spillDir() string {
	if dir := os.Getenv("TMPDIR"); dir != "" {
		return dir
	}
	return "/var/tmp"
}

// runSpill moves rows of st into its file until stop is called, which gives the
// file back: no one reads any more. A panic is an error of stop, of which end is
// told at once.
func runSpill(ctx context.Context, end func(), st *store.Store, spill *store.Spill) (stop func() error) {
	if spill == nil {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = guarded(end, func() error {
			st.RunSpill(ctx)
			return nil
		})
	}()
	return func() error {
		cancel()
		<-done
		return errors.Join(err, spill.Close())
	}
}
