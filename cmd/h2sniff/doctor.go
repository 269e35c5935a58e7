// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"h2sniff/cmd/h2sniff/doctor"
	"h2sniff/cmd/h2sniff/privilege"
	"h2sniff/decode/visible"

	"github.com/spf13/cobra"
)

func newDoctor(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Find out whether live capture can work here, and what to do if not",
		Long: `doctor looks at the kernel and at h2sniff's privileges, tries each BPF feature
that h2sniff uses, and last captures a server of its own. It needs no root to
run: without, it says what is missing.

Exit status 0: live capture works. 1: it does not.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDoctor(cmd.Context(), std) },
	}
}

// errUnwell is the end of a doctor's visit where live capture cannot work.
var errUnwell = errors.New("live capture does not work here: see what is BROKEN above")

func runDoctor(ctx context.Context, std stdio) error {
	if err := privilege.Raise(); err != nil {
		return err
	}
	all := doctor.Examine(ctx, func(s doctor.Section) { writeSection(std.out, s) })
	if doctor.Works(all) {
		s := doctor.Section{Name: "A capture of h2sniff's own demo", Checks: []doctor.Check{tryCapture(ctx)}}
		writeSection(std.out, s)
		all = append(all, s)
	}
	if !doctor.Works(all) {
		return errUnwell
	}
	fmt.Fprintln(std.out, "live capture works")
	return nil
}

func writeSection(w io.Writer, s doctor.Section) {
	fmt.Fprintln(w, s.Name)
	for _, c := range s.Checks {
		fmt.Fprintf(w, "  %-8s%s: %s\n", c.Level, visible.String(c.Name), visible.String(c.Text))
		if c.Todo != "" {
			fmt.Fprintf(w, "  %8s-> %s\n", "", visible.String(c.Todo))
		}
	}
	fmt.Fprintln(w)
}

// captureLimit is how long a frame of the demo may take.
const captureLimit = time.Minute

// tryCapture runs the demo until a frame of it is printed.
func tryCapture(ctx context.Context) doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, 2*captureLimit)
	defer cancel()
	demo := exec.CommandContext(ctx, "/proc/self/exe", "demo", "--lines", "--format", "plain", "-n", "1", "--for", captureLimit.String())
	demo.Cancel = func() error { return demo.Process.Signal(os.Interrupt) }
	var frames, said strings.Builder
	demo.Stdout, demo.Stderr = &frames, &said
	began := time.Now()
	err := demo.Run()
	took := time.Since(began).Round(time.Millisecond)
	c := doctor.Check{Name: "capture", Text: fmt.Sprintf("a frame came %v after the start", took)}
	if err != nil || !strings.Contains(frames.String(), " frame <length=") {
		c.Level = doctor.Broken
		c.Text = fmt.Sprintf("no frame came in %v: %s", took, strings.TrimSpace(said.String()))
		c.Todo = "please report it, with what h2sniff demo --lines -d prints"
	}
	return c
}
