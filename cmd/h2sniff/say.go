// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"h2sniff/decode/visible"
)

// say writes a line for the user. Names of processes and files in it are
// chosen by others: nothing of it can act on a terminal, or look like two
// lines.
func say(w io.Writer, format string, args ...any) {
	line := strings.ReplaceAll(fmt.Sprintf(format, args...), "\t", "    ")
	fmt.Fprintf(w, "h2sniff: %s\n", visible.String(line))
}

// sayLines writes a text of several lines.
func sayLines(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		say(w, "%s", strings.TrimSuffix(line, "\n"))
	}
}
