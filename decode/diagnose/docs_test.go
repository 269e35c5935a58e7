// SPDX-License-Identifier: Apache-2.0

package diagnose

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestCodesAreDocumented: docs/check.md is the contract: it has each code, and
// no other.
func TestCodesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "| code | at most | what | rule |\n|---|---|---|---|\n")
	if !ok {
		t.Fatal("docs/check.md has no table of codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, r := range rules[1:] {
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", r.Code, r.Severity, r.About, r.Section))
	}
	if got := strings.TrimRight(table, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("docs/check.md has\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}
