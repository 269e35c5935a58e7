// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"h2sniff/capture/inventory"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"
	"h2sniff/cmd/h2sniff/privilege"
	"h2sniff/decode/visible"

	"github.com/spf13/cobra"
)

func newInventory(std stdio) *cobra.Command {
	format := reportFormat("text")
	cmd := &cobra.Command{
		Use:   "targets",
		Short: "List the programs that can be captured now, and why others cannot",
		Long: `targets lists the processes that map a TLS library whose functions can be
probed and, of the others that have TCP sockets, the reason why they cannot be
captured. It attaches to nothing.`,
		Example: `  sudo h2sniff targets
  sudo h2sniff targets --format json | jq 'select(.reason)'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := privilege.Raise(); err != nil {
				return err
			}
			list, err := inventory.List(target.Options{Wanted: uprobe.Wanted()})
			if err != nil {
				return err
			}
			out := bufio.NewWriter(std.out)
			if format == "json" {
				err = writeInventoryJSON(out, list)
			} else {
				err = writeInventoryText(out, list)
			}
			if err = errors.Join(err, out.Flush()); err != nil {
				return fmt.Errorf("writing the list: %w", err)
			}
			if list.Denied > 0 {
				say(std.stderr, "%s may not be looked at: run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", plural(list.Denied, "process"))
			}
			return nil
		},
	}
	cmd.Flags().Var(&format, "format", "text or json (one object a line)")
	completeFlag(cmd, "format", "text", "json")
	return cmd
}

func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}

// reportFormat is text or json.
type reportFormat string

func (v *reportFormat) Type() string   { return "FORMAT" }
func (v *reportFormat) String() string { return string(*v) }
func (v *reportFormat) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("the formats are text and json")
	}
	*v = reportFormat(s)
	return nil
}

// writeInventoryText writes a table: first what can be captured, a line a
// library, then what cannot.
func writeInventoryText(w io.Writer, list *inventory.Listing) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for i := range cells {
			// The names of processes and files are chosen by others.
			cells[i] = strings.ReplaceAll(visible.String(cells[i]), "\t", " ")
			if cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	row("PID", "COMMAND", "CONTAINER", "LIBRARY", "VERSION", "FOUND IN", "FUNCTIONS", "FILE")
	for i := range list.Programs {
		p := &list.Programs[i]
		for _, l := range p.Libraries {
			file := l.Path
			if l.Deleted {
				file += " (replaced or deleted)"
			}
			row(fmt.Sprint(p.PID), p.Comm, containerName(p), l.Family, l.Version, foundIn[l.Found], someOf(l.Functions), file)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	first := true
	for i := range list.Programs {
		p := &list.Programs[i]
		if len(p.Libraries) > 0 {
			continue
		}
		if first {
			first = false
			fmt.Fprintln(table, "\nThese use the network and cannot be captured by their TLS:")
			row("PID", "COMMAND", "CONTAINER", "WHY", "FILE")
		}
		row(fmt.Sprint(p.PID), p.Comm, containerName(p), p.Reason, p.Exe)
	}
	return table.Flush()
}

var foundIn = map[inventory.Found]string{
	inventory.InLibrary: "library", inventory.InExecutable: "executable", inventory.InGoTable: "Go's table",
}

func containerName(p *inventory.Program) string {
	if len(p.Names) > 0 && p.Names[0] != p.Container.ID {
		return p.Container.String() + " " + p.Names[0]
	}
	return p.Container.String()
}

// someOf names a few of many.
func someOf(functions []string) string {
	const few = 2
	if len(functions) <= few+1 {
		return strings.Join(functions, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(functions[:few], ", "), len(functions)-few)
}

// writeInventoryJSON writes one object a line, as docs/targets.md says.
func writeInventoryJSON(w io.Writer, list *inventory.Listing) error {
	type jsonContainer struct {
		ID      string   `json:"id"`
		Runtime string   `json:"runtime,omitempty"`
		Names   []string `json:"names,omitempty"`
	}
	type jsonLibrary struct {
		Family    string   `json:"family"`
		Path      string   `json:"path"`
		Version   string   `json:"version,omitempty"`
		Found     string   `json:"found"`
		Functions []string `json:"functions"`
		Deleted   bool     `json:"deleted,omitempty"`
	}
	type jsonProgram struct {
		PID       int            `json:"pid"`
		Comm      string         `json:"comm"`
		Exe       string         `json:"exe,omitempty"`
		Container *jsonContainer `json:"container,omitempty"`
		Libraries []jsonLibrary  `json:"libraries,omitempty"`
		Reason    string         `json:"reason,omitempty"`
	}
	enc := json.NewEncoder(w)
	for i := range list.Programs {
		p := &list.Programs[i]
		out := jsonProgram{PID: p.PID, Comm: p.Comm, Exe: p.Exe, Reason: p.Reason}
		if p.Container.ID != "" {
			out.Container = &jsonContainer{p.Container.ID, p.Container.Runtime, p.Names}
		}
		for _, l := range p.Libraries {
			out.Libraries = append(out.Libraries, jsonLibrary{l.Family, l.Path, l.Version, string(l.Found), l.Functions, l.Deleted})
		}
		if err := enc.Encode(out); err != nil {
			return err
		}
	}
	return nil
}
