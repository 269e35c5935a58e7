// SPDX-License-Identifier: Apache-2.0

// Command h2sniff shows every HTTP/2 frame that running programs send and
// receive, live, in a terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"h2sniff/cmd/h2sniff/privilege"
	"h2sniff/cmd/h2sniff/quietterm"
)

func main() {
	quietterm.Restore()
	if err := errors.Join(privilege.KeepSecret(), privilege.Lower()); err != nil {
		os.Exit(exitStatus(err, os.Stderr))
	}
	// A reader of standard output that leaves is an error of the next write to
	// it, not the end of the process. (Ignored, the signal would be for the
	// command after -- too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(exitStatus(err, os.Stderr))
}

// usageError is a mistake on the command line: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// commandExit passes on the exit status of the command that h2sniff started.
type commandExit int

func (e commandExit) Error() string { return fmt.Sprintf("the command exited with status %d", int(e)) }

// exitStatus prints err as one sentence and says how to exit.
func exitStatus(err error, stderr io.Writer) int {
	var usage usageError
	var command commandExit
	var mistake *filterError
	switch {
	case err == nil, errors.Is(err, errInterrupted):
		return 0
	case errors.As(err, &command):
		return int(command)
	case errors.As(err, &mistake):
		say(stderr, "%v (docs/filter.md has the language)", mistake)
		fmt.Fprint(stderr, mistake.place())
		return 2
	case errors.As(err, &usage):
		say(stderr, "%v (h2sniff --help lists the options)", err)
		return 2
	case errors.Is(err, syscall.EPIPE):
		return 0 // the reader of the lines has seen enough
	}
	sayLines(stderr, err.Error())
	return 1
}

// version is that of the module, as the go command stamped it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
