// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"h2sniff/tui"
)

func TestConfigure(t *testing.T) {
	home, config, state := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(path, text string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(filepath.Join(home, ".config/h2sniff/config.toml"), `theme = "dark"`)
	write(filepath.Join(config, "h2sniff/config.toml"), `theme = "light"`)
	named := write(filepath.Join(home, "mine.toml"), `theme = "mono"`)
	for _, c := range []struct{ home, config, state, file, theme, dir string }{
		{home, "", "", "", "dark", filepath.Join(home, ".local/state/h2sniff")},
		{home, config, state, "", "light", filepath.Join(state, "h2sniff")},
		{home, "relative", "relative", "", "dark", filepath.Join(home, ".local/state/h2sniff")},
		{home, config, state, named, "mono", filepath.Join(state, "h2sniff")},
		{state, "", "", "", "", filepath.Join(state, ".local/state/h2sniff")},
	} {
		t.Setenv("HOME", c.home)
		t.Setenv("XDG_CONFIG_HOME", c.config)
		t.Setenv("XDG_STATE_HOME", c.state)
		var ui tui.Options
		if err := configure(&ui, &screenFlags{config: c.file}); err != nil || ui.Config.Theme != c.theme || ui.State != c.dir {
			t.Errorf("%+v: theme %q, state %q, %v", c, ui.Config.Theme, ui.State, err)
		}
	}
	t.Setenv("HOME", home)
	if err := configure(&tui.Options{}, &screenFlags{config: filepath.Join(home, "none.toml")}); err == nil {
		t.Error("a named file that is not there is no error")
	}
	var usage usageError
	if err := configure(&tui.Options{}, &screenFlags{theme: "pink"}); !errors.As(err, &usage) || !strings.Contains(err.Error(), `no theme "pink"`) {
		t.Errorf("%v", err)
	}
	bad := write(filepath.Join(home, "bad.toml"), "\n[keys]\nquti = \"q\"")
	if err := configure(&tui.Options{}, &screenFlags{config: bad}); err == nil || !strings.Contains(err.Error(), bad+", line 3: ") {
		t.Errorf("%v", err)
	}
}
