// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"h2sniff/capture/recording"
	"h2sniff/capture/target"
	"h2sniff/decode/lines"
	"h2sniff/tui"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are what the command line says.
type options struct {
	selection target.Selection
	debug     bool
	families  familyFlags
	cleartext bool // of the machine where nothing is chosen
	assumeH2  bool
	// headersOnly leaves the content of DATA frames out of the capture.
	headersOnly bool
	ring        ringFlag
	command     []string // after --
	// onReady, where set, is called once, when everything that was running is
	// attached to.
	onReady func() error
	args    []string // the command line
	// socket is the descriptor of the handover in the viewer, else 0.
	socket int

	read     string // recording to read
	write    string // recording to write
	rotation recording.RotationOptions
	force    bool  // write over what is there
	history  int64 // bytes
	spill    spillFlags
	stream   streamFlag
	filter   filterFlag

	format  lines.Format
	body    bool
	count   uint64
	verbose bool
	content contentFlags
	redact  redactFlags
	screen  screenFlags
}

// screenFlags are about the user interface.
type screenFlags struct {
	config string // file to read in place of the usual one
	theme  string
}

func (s *screenFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.config, "config", "", "configuration `FILE` of the user interface (docs/config.md)")
	f.StringVar(&s.theme, "theme", "", "colours of the user interface: `NAME` is "+strings.Join(tui.Themes(), ", "))
	completeFlag(cmd, "theme", tui.Themes()...)
}

// stdio is what run was given.
type stdio struct {
	in          io.Reader
	out, stderr io.Writer
}

// run is the whole program. It returns when all its goroutines have ended.
func run(ctx context.Context, args []string, in io.Reader, out, stderr io.Writer) error {
	std := stdio{in: in, out: out, stderr: stderr}
	root := newRoot(std, args)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx)
}

func newRoot(std stdio, args []string) *cobra.Command {
	o := options{args: args}
	root := &cobra.Command{
		Use:   "h2sniff [flags] [-- COMMAND ARGS...]",
		Short: "Show every HTTP/2 frame that running programs send and receive",
		Long: `h2sniff shows every HTTP/2 frame that running programs send and receive, live,
with its header fields decoded. It reads the plaintext with eBPF probes on the
programs' TLS libraries; the programs are not changed.

On a terminal it opens a user interface (press ? for its keys), otherwise it
prints lines like "h2sniff dump".`,
		Example: `  sudo h2sniff -c nginx                   frames of every process named nginx
  sudo h2sniff -p 4242                    of one process and its children
  sudo h2sniff dump --format json -c h2o  as JSON lines
  sudo h2sniff -- curl -s https://example.org/
  sudo h2sniff record -w x.pcapng -c nginx
  h2sniff -r x.pcapng                     open a recording (needs no root)`,
		Version:       version(),
		Args:          noArgsBeforeDash,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			if o.write == "-" {
				return errWriteMixes
			}
			if hasScreen(std.out) {
				for _, name := range []string{"format", "body", "verbose", "count"} {
					if cmd.Flags().Changed(name) {
						return usageError{fmt.Errorf("--%s is about lines: use h2sniff dump", name)}
					}
				}
				return show(cmd.Context(), &o, std, output{screen: true}, runTUI)
			}
			return show(cmd.Context(), &o, std, output{command: std.stderr}, runDump)
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		if what, _, cut := strings.Cut(err.Error(), ": strconv."); cut {
			err = errors.New(what + ": a number is needed")
		}
		return usageError{err}
	})
	root.SetVersionTemplate("h2sniff {{.Version}}\n")

	dump := &cobra.Command{
		Use:   "dump [flags] [-- COMMAND ARGS...]",
		Short: "Print frames as lines: text, the plain one-line form, or JSON",
		Example: `  sudo h2sniff dump -c nginx
  sudo h2sniff dump --format json -c nginx | jq 'select(.type=="GOAWAY")'
  h2sniff dump -r x.pcapng --stream 13`,
		Args: noArgsBeforeDash,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			if o.write == "-" {
				return errWriteMixes
			}
			return show(cmd.Context(), &o, std, output{command: std.stderr}, runDump)
		},
	}
	record := &cobra.Command{
		Use:   "record -w FILE [flags] [-- COMMAND ARGS...]",
		Short: "Write what is captured to a pcapng file that h2sniff -r and Wireshark read",
		Example: `  sudo h2sniff record -w x.pcapng -c nginx
  sudo h2sniff record -w x.pcapng -- curl -s https://example.org/`,
		Args: noArgsBeforeDash,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.take(cmd, args); err != nil {
				return err
			}
			if o.write == "" {
				return usageError{errors.New("record needs -w FILE")}
			}
			out := output{command: std.out}
			if o.write == "-" {
				out.command = std.stderr
			}
			return show(cmd.Context(), &o, std, out, runRecord)
		},
	}
	for _, cmd := range []*cobra.Command{root, dump, record} {
		addSelectionFlags(cmd.Flags(), &o)
		addWriteFlags(cmd.Flags(), &o)
		addRedactFlags(cmd.Flags(), &o.redact)
	}
	for _, cmd := range []*cobra.Command{root, dump} {
		addReadFlags(cmd.Flags(), &o)
		addLineFlags(cmd, &o)
	}
	addContentFlags(dump.Flags(), &o.content)
	addProtoFlag(root.Flags(), &o.content, "")
	root.PersistentFlags().IntVar(&o.socket, socketFlag, 0, "")
	_ = root.PersistentFlags().MarkHidden(socketFlag) // it is there
	root.AddCommand(dump, record, newCheck(std))
	root.AddCommand(newExport(std), newInventory(std), newDoctor(std), newDemo(std, &o))
	root.AddCommand(newDemoChildren(std)...)
	root.AddCommand(newMan(std))
	o.screen.add(root)
	return root
}

func addSelectionFlags(f *pflag.FlagSet, o *options) {
	f.SortFlags = false
	f.IntSliceVarP(&o.selection.PIDs, "pid", "p", nil, "trace process `PID` and its children (repeatable)")
	f.StringVarP(&o.selection.Comm, "comm", "c", "", "trace processes named `NAME` (exact, cut at 15 bytes) and their children; wait for one")
	f.StringVar(&o.selection.Container, "container", "", "trace processes in the container with that `NAME` or beginning of its id; wait for one")
	f.StringVarP(&o.selection.Binary, "bin", "b", "", "trace the executable at `PATH`: its own TLS functions or, if it has none, its libraries'")
	o.families.add(f)
	f.BoolVarP(&o.debug, "debug", "d", false, "tell about the verifier and about each attach decision on standard error")
	f.BoolVar(&o.headersOnly, "headers-only", false, "capture all but the content of DATA frames, of which the length is told; costs the programs less")
	f.Var(&o.ring, "ring", "size of the ring buffer, a power of two (default 1/128 of memory, 8MiB to 128MiB)")
	f.BoolVar(&o.assumeH2, "assume-h2", false, "take every connection for HTTP/2, whatever its octets look like")
}

func addReadFlags(f *pflag.FlagSet, o *options) {
	o.history = 256 << 20
	f.StringVarP(&o.read, "read", "r", "", "read the recording `FILE` (- for standard input) in place of live programs")
	f.Var((*sizeFlag)(&o.history), "history", "memory for frames; the oldest are evicted beyond it, or go to the file of --spill")
	addSpillFlags(f, &o.spill)
	f.Var(&o.stream, "stream", "show only stream `ID`")
	f.Var(&o.filter, "filter", "show only rows that match `EXPR`, as \"method==POST && path contains /api\" (docs/filter.md)")
}

func addLineFlags(cmd *cobra.Command, o *options) {
	f := cmd.Flags()
	f.Var((*formatFlag)(&o.format), "format", "lines as text, plain or json")
	completeFlag(cmd, "format", "text", "plain", "json")
	f.BoolVar(&o.body, "body", false, "the octets of DATA frames: a hex dump in text, base64 in json")
	f.BoolVar(&o.verbose, "verbose", false, "with --format json: how each field was encoded, and the dynamic tables")
	f.Uint64VarP(&o.count, "count", "n", 0, "stop after `N` frames (lines only)")
}

// completeFlag makes the shell complete the values of a flag.
func completeFlag(cmd *cobra.Command, name string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// noArgsBeforeDash refuses arguments that are not a command after --.
func noArgsBeforeDash(cmd *cobra.Command, args []string) error {
	dash := cmd.ArgsLenAtDash()
	switch {
	case dash < 0 && len(args) > 0:
		return usageError{fmt.Errorf("unknown command %q (put -- before a command to run)", args[0])}
	case dash > 0:
		return usageError{fmt.Errorf("unexpected argument %q before --", args[0])}
	case dash == 0 && len(args) == 0:
		return usageError{errors.New("no command after --")}
	}
	return nil
}

// take takes in the arguments, which are a command after --, and checks all.
func (o *options) take(cmd *cobra.Command, args []string) error {
	o.command = args
	var err error
	chosen := !o.selection.Machine() || len(args) > 0
	o.selection.Families, o.cleartext, err = o.families.take(cmd.Flags(), chosen)
	if err != nil {
		return err
	}
	return o.check(cmd.Flags())
}

// check finds options that contradict each other.
func (o *options) check(f *pflag.FlagSet) error {
	s := &o.selection
	chosen := !s.Machine()
	switch {
	case o.read != "" && (chosen || len(o.command) > 0):
		return usageError{errors.New("-r reads a recording: it cannot be combined with -p, -c, --container, -b or a command")}
	case len(o.command) > 0 && chosen:
		return usageError{errors.New("a command after -- is what is traced: it cannot be combined with -p, -c, --container or -b")}
	case f.Changed("container") && s.Container == "":
		return usageError{errors.New("--container needs a name or an id")}
	case f.Changed("comm") && s.Comm == "":
		return usageError{errors.New("-c needs a name")}
	case f.Changed("bin") && s.Binary == "":
		return usageError{errors.New("-b needs a path")}
	}
	for _, pid := range s.PIDs {
		if pid <= 0 {
			return usageError{fmt.Errorf("%d is not a process id", pid)}
		}
	}
	if err := o.redact.check(); err != nil {
		return err
	}
	if f.Lookup("spill") != nil {
		if err := o.spill.check(f, o.history); err != nil {
			return err
		}
	}
	return o.checkWrite(f)
}

// streamFlag is a stream id (31 bits, RFC 9113, section 5.1.1).
type streamFlag struct {
	id  uint32
	set bool
}

func (v *streamFlag) Type() string { return "ID" }
func (v *streamFlag) String() string {
	if !v.set {
		return ""
	}
	return strconv.FormatUint(uint64(v.id), 10)
}
func (v *streamFlag) Set(s string) error {
	id, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return errors.New("a stream id is a number from 0 to 2147483647")
	}
	v.id, v.set = uint32(id), true
	return nil
}

// formatFlag is a format of lines.
type formatFlag lines.Format

func (v *formatFlag) Type() string   { return "FORMAT" }
func (v *formatFlag) String() string { return lines.Format(*v).String() }
func (v *formatFlag) Set(s string) error {
	format, err := lines.ParseFormat(s)
	if err != nil {
		return err
	}
	*v = formatFlag(format)
	return nil
}
