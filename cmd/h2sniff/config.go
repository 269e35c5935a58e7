// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"h2sniff/tui"

	"golang.org/x/sys/unix"
)

// configure gives the user interface what the user wants otherwise, and a place
// to keep histories and saved filters, by the XDG Base Directory
// Specification. Where there is no home, there is neither; where the place
// cannot be written to, nothing is kept.
func configure(ui *tui.Options, s *screenFlags) error {
	file := s.config
	if file == "" {
		if dir := baseDir("XDG_CONFIG_HOME", ".config"); dir != "" {
			file = filepath.Join(dir, "config.toml")
		}
	} else if _, err := os.Stat(file); err != nil {
		return err // one that was named must be there
	}
	if file != "" {
		c, err := tui.ReadConfig(file)
		if err != nil {
			return err
		}
		ui.Config = c
	}
	if s.theme != "" {
		ui.Config.Theme = s.theme
	}
	if err := ui.Config.Check(); err != nil {
		return usageError{err}
	}
	// It must be there before the process is confined.
	if dir := baseDir("XDG_STATE_HOME", ".local/state"); dir != "" && os.MkdirAll(dir, 0o700) == nil {
		ui.State = dir
	}
	return nil
}

// baseDir is our directory in one that the environment names, or else in its
// usual place; empty where there is none. Relative paths are not valid.
func baseDir(variable, usual string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "h2sniff")
	}
	home := homeDir()
	if !filepath.IsAbs(home) {
		return ""
	}
	return filepath.Join(home, usual, "h2sniff")
}

// homeDir is that of the user as whom the process runs: under sudo the
// environment may still name the one of root.
func homeDir() string {
	home := os.Getenv("HOME")
	var st unix.Stat_t
	if unix.Stat(home, &st) == nil && int(st.Uid) == os.Geteuid() {
		return home
	}
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		return u.HomeDir
	}
	return ""
}
