// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"h2sniff/cmd/h2sniff/demo"
	"h2sniff/cmd/h2sniff/privilege"

	"github.com/spf13/cobra"
)

// The names of the subcommands that the demo's children run.
const (
	demoServer = "demo-server"
	demoClient = "demo-client"
)

func newDemo(std stdio, root *options) *cobra.Command {
	var o options
	var how struct {
		lines, both bool
		limit       time.Duration
	}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a server and a client of h2sniff's own, if you only want to look",
		Long: `demo starts an HTTP/2 server and a client that talk to each other over TLS on
loopback, and shows what the server sends and receives. Both end with h2sniff.`,
		Example: `  sudo h2sniff demo
  sudo h2sniff demo --lines --for 10s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if how.limit < 0 {
				return usageError{errors.New("--for needs a time that is not negative, as in 10s")}
			}
			screen := !how.lines && hasScreen(std.out)
			for _, name := range []string{"format", "body", "verbose", "count"} {
				if screen && cmd.Flags().Changed(name) {
					return usageError{fmt.Errorf("--%s is about lines: add --lines", name)}
				}
			}
			o.args, o.socket = root.args, root.socket
			return runDemo(cmd.Context(), &o, std, how.limit, how.both, screen)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.BoolVar(&how.lines, "lines", false, "print lines in place of the user interface")
	f.BoolVar(&how.both, "both", false, "trace the client too, not the server alone")
	f.DurationVar(&how.limit, "for", 0, "end after `TIME`, as in 10s")
	f.BoolVarP(&o.debug, "debug", "d", false, "tell about the verifier and about each attach decision on standard error")
	o.history = 256 << 20
	addLineFlags(cmd, &o)
	o.screen.add(cmd)
	return cmd
}

// runDemo shows the demo until ctx ends, or for a limited time once the capture
// is ready, and ends its processes. A limit of 0 is none.
func runDemo(ctx context.Context, o *options, std stdio, limit time.Duration, both, screen bool) (err error) {
	run, out := runDump, output{command: std.stderr}
	if screen {
		run, out = runTUI, output{screen: true}
	}
	if o.socket != 0 {
		return run(ctx, o, std) // the supervisor has the processes
	}
	p, err := demo.Start(demoServer, demoClient, startPowerless)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	o.selection.PIDs = []int{p.ServerPID()}
	if both {
		o.selection.PIDs = append(o.selection.PIDs, p.ClientPID())
	}
	o.cleartext = true // as with -p
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.onReady = func() error {
		if limit > 0 {
			time.AfterFunc(limit, cancel)
		}
		return p.Begin()
	}
	return supervise(ctx, o, std, out)
}

// startPowerless starts a process of the demo, which needs nothing.
func startPowerless(cmd *exec.Cmd) (err error) {
	if cmd.SysProcAttr.Credential, err = privilege.Powerless(); err != nil {
		return err
	}
	return privilege.Start(cmd, false)
}

// newDemoChildren are what the demo's processes run; they are not for users.
func newDemoChildren(std stdio) []*cobra.Command {
	powerless := func(*cobra.Command, []string) error { return privilege.KeepNone() }
	return []*cobra.Command{
		{Use: demoServer, Hidden: true, Args: cobra.NoArgs, PreRunE: powerless, RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Serve(cmd.Context(), std.in, std.out)
		}},
		{Use: demoClient, Hidden: true, Args: cobra.NoArgs, PreRunE: powerless, RunE: func(cmd *cobra.Command, _ []string) error {
			return demo.Request(cmd.Context(), std.in)
		}},
	}
}
