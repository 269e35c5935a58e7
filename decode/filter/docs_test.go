// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"os"
	"strings"
	"testing"
)

// TestDocs reads every example of docs/filter.md, and looks for every field.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/filter.md")
	if err != nil {
		t.Fatal(err)
	}
	n, inside := 0, false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```" && !inside
		case inside:
			n++
			if _, err := Parse(line); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if n < 15 {
		t.Errorf("%d examples were found", n)
	}
	for _, f := range fields {
		if !strings.Contains(string(b), "`"+f.Name) {
			t.Errorf("%s is not explained", f.Name)
		}
	}
}
