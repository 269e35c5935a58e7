// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// documents are README.md and docs/*.md, by path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatalf("%v, %v", names, err)
	}
	texts := make(map[string]string)
	for _, name := range append(names, "../../README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(name, "../../")] = string(text)
	}
	return texts
}

// TestDocumentedOptions: every option is told of in docs/usage.md or, of the demo
// and the user interface, elsewhere; and none is told of that is not there.
func TestDocumentedOptions(t *testing.T) {
	there := map[string]bool{"help": true, "version": true}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { there[f.Name] = there[f.Name] || !f.Hidden })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(stdio{}, nil))
	told := make(map[string]bool)
	// Those of other programs in the examples.
	others := map[string]bool{"include_imports": true, "descriptor_set_out": true}
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?:^|[^-])--([a-z][a-z0-9_-]+)").FindAllStringSubmatch(text, -1) {
			told[m[1]] = true
			if !there[m[1]] && !others[m[1]] {
				t.Errorf("%s: there is no --%s", name, m[1])
			}
		}
	}
	for name, visible := range there {
		if visible && !told[name] && name != "help" && name != "version" {
			t.Errorf("no document tells of --%s", name)
		}
	}
}

// TestDocumentedTests: what a document says that a test holds, a test is there for.
func TestDocumentedTests(t *testing.T) {
	there := make(map[string]bool)
	defined := regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)[A-Za-z0-9_]*)\(`)
	err := filepath.WalkDir("../..", func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range defined.FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("`((?:Test|Benchmark|Fuzz)[A-Z][A-Za-z0-9_]*)`").FindAllStringSubmatch(text, -1) {
			if !there[m[1]] {
				t.Errorf("%s: there is no %s", name, m[1])
			}
		}
	}
}

// TestDocumentedLinks: what a document leads to in the repository is there.
func TestDocumentedLinks(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join("../..", filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s leads to %s: %v", name, m[1], err)
			}
		}
	}
}
