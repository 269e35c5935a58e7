// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan writes the manual page, which is made from the commands and their
// flags: it cannot say anything else than --help.
func newMan(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Write the manual page, in the format of man(1)",
		Example: "  h2sniff man | man -l -\n  h2sniff man | sudo tee /usr/local/share/man/man1/h2sniff.1 >/dev/null",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(std.out, manPage(cmd.Root()))
			return err
		},
	}
}

// manPage is the manual page of a command and those below it, in the man macros
// of roff.
func manPage(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 1 \"\" \"%s %s\" \"User Commands\"\n", strings.ToUpper(root.Name()), root.Name(), roff(root.Version))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", root.Name(), roff(root.Short))
	b.WriteString(".SH SYNOPSIS\n")
	commands := manCommands(root)
	for _, c := range append([]*cobra.Command{root}, commands...) {
		name, rest, _ := strings.Cut(c.UseLine(), "[flags]")
		fmt.Fprintf(&b, ".B %s\n[flags]%s\n.br\n", roff(strings.TrimSpace(name)), roff(rest))
	}
	fmt.Fprintf(&b, ".SH DESCRIPTION\n%s\n", roff(root.Long))
	b.WriteString(".SH OPTIONS\n")
	manFlags(&b, root)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range commands {
		text := c.Long
		if text == "" {
			text = c.Short + "."
		}
		fmt.Fprintf(&b, ".SS %s\n%s\n", roff(c.CommandPath()), roff(text))
		manFlags(&b, c)
		manExample(&b, c, ".PP\n")
	}
	manExample(&b, root, ".SH EXAMPLES\n")
	b.WriteString(`.SH FILES
.TP
.I $XDG_CONFIG_HOME/h2sniff/config.toml
Keys, columns, colours and filters of the user interface; without the variable,
.IR ~/.config/h2sniff/config.toml .
.TP
.I $XDG_STATE_HOME/h2sniff/
What was typed in the user interface, and saved filters; without the variable,
.IR ~/.local/state/h2sniff/ .
.SH ENVIRONMENT
.TP
.B NO_COLOR
Where it is set, the user interface has no colours.
.SH EXIT STATUS
0 where all went well, 1 after an error, 2 after a mistake on the command line;
that of the command where h2sniff started one.
`)
	return b.String()
}

// manCommands are the commands below c that people call.
func manCommands(c *cobra.Command) (all []*cobra.Command) {
	for _, sub := range c.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if sub.Runnable() {
			all = append(all, sub)
		}
		all = append(all, manCommands(sub)...)
	}
	return all
}

func manFlags(b *strings.Builder, c *cobra.Command) {
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, about := pflag.UnquoteUsage(f)
		b.WriteString(".TP\n.B ")
		if f.Shorthand != "" {
			fmt.Fprintf(b, "\\-%s, ", f.Shorthand)
		}
		b.WriteString(roff("--" + f.Name))
		switch {
		case value == "" && f.NoOptDefVal != "" && f.Value.Type() != "bool":
			fmt.Fprintf(b, "[=%s]", roff(f.NoOptDefVal))
		case value != "":
			fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
		}
		fmt.Fprintf(b, "\n%s\n", roff(about))
	})
}

func manExample(b *strings.Builder, c *cobra.Command, head string) {
	if c.Example != "" {
		fmt.Fprintf(b, "%s.nf\n%s\n.fi\n", head, roff(strings.TrimRight(c.Example, "\n")))
	}
}

// roff makes a text one that roff prints as it is.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
		if line == "" {
			lines[i] = ".PP"
		}
	}
	return strings.Join(lines, "\n")
}
