// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The manual page names every command and every flag, and roff takes it.
func TestManPage(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"man"}, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	plain := strings.NewReplacer(`\-`, "-", `\e`, `\`, "\n.PP\n", "\n\n").Replace(page)
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Runnable() && !strings.Contains(plain, c.Short) && !strings.Contains(plain, c.Long) {
			t.Errorf("%s is not in the page", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(plain, "--"+f.Name) {
				t.Errorf("--%s of %s is not in the page", f.Name, c.CommandPath())
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
				visit(sub)
			}
		}
	}
	visit(newRoot(stdio{}, nil))
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, ".") && !strings.Contains(" .TH .SH .SS .TP .B .I .IR .PP .nf .fi .br ", " "+strings.Fields(line)[0]+" ") {
			t.Errorf("line %d: %q", i+1, line)
		}
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Log("groff is not there to format it")
		return
	}
	cmd := exec.Command(groff, "-man", "-Tascii", "-ww", "-z")
	cmd.Stdin = strings.NewReader(page)
	if warnings, err := cmd.CombinedOutput(); err != nil || len(warnings) > 0 {
		t.Errorf("groff: %v\n%s", err, warnings)
	}
}

// The shell completes commands, flags, and what there is to choose from.
func TestShellCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out, errs bytes.Buffer
		if err := run(t.Context(), []string{"completion", shell}, nil, &out, &errs); err != nil || !strings.Contains(out.String(), "h2sniff") {
			t.Errorf("%s: %v, %d octets", shell, err, out.Len())
		}
	}
	for _, c := range []struct{ line, want string }{
		{"du", "dump"}, {"--hist", "--history"}, {"dump --format ", "json"}, {"--theme ", "colour-blind"},
		{"check --severity ", "warning"}, {"check --format ", "json"}, {"export --format ", "har"}, {"targets --format ", "json"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"__complete"}, strings.Split(c.line, " ")...)
		if err := run(t.Context(), args, nil, &out, &errs); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%q: %v, %q", c.line, err, out.String())
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, nil, &out, &out); err != nil || !strings.Contains(out.String(), "completion") || !strings.Contains(out.String(), "Examples:") {
		t.Errorf("%v\n%s", err, out.String())
	}
	// A value that is optional is no argument of its own.
	for _, command := range []string{"--help", "man"} {
		out.Reset()
		if err := run(t.Context(), []string{command}, nil, &out, &out); err != nil ||
			!strings.Contains(strings.ReplaceAll(out.String(), `\-`, "-"), "--redact[=all]") {
			t.Errorf("%s: %v\n%s", command, err, out.String())
		}
	}
}
