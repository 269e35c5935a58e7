// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxHistory     = 200 // lines
	maxHistoryFile = 1 << 20
)

// history is the lines that were typed, the newest last; with a path, also
// those of earlier sessions.
type history struct {
	path  string
	lines []string
}

// newHistory reads what there is. A history that cannot be read is empty.
func newHistory(dir, name string) history {
	if dir == "" {
		return history{}
	}
	h := history{path: filepath.Join(dir, name)}
	f, err := os.Open(h.path)
	if err != nil {
		return h
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxHistoryFile))
	if err != nil {
		return h
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && utf8.ValidString(line) {
			h.keep(line)
		}
	}
	return h
}

func (h *history) keep(line string) {
	if i := slices.Index(h.lines, line); i >= 0 {
		h.lines = slices.Delete(h.lines, i, i+1)
	}
	h.lines = append(h.lines, line)
	if n := len(h.lines) - maxHistory; n > 0 {
		h.lines = slices.Delete(h.lines, 0, n)
	}
}

// add puts a line at the end. That it cannot be written to the file is no
// reason to disturb anybody.
func (h *history) add(line string) {
	if strings.ContainsAny(line, "\r\n") {
		return
	}
	h.keep(line)
	if h.path != "" {
		writeFile(h.path, strings.Join(h.lines, "\n")+"\n")
	}
}

// writeFile writes a file as a whole or not at all, for its owner only.
func writeFile(path, text string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".h2sniff-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing any more, once renamed
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
