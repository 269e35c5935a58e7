// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Of a long path the end is shown; a query gives way before it.
func TestKnownPath(t *testing.T) {
	for _, c := range []struct {
		path string
		w    int
		want string
	}{
		{"/v1/items", 9, "/v1/items"}, {"/v1/items", 8, "…1/items"}, {"/shop.v1.Orders/Get", 11, "…Orders/Get"},
		{"/search?q=a+long+query", 12, "/search?q=a+long+query"}, // cut where it is drawn
		{"/v1/search/now?q=a", 12, "…earch/now?…"},
		{"", 3, unknownValue}, {"/数据库/服务器", 8, "…/服务器"}, {"/a", 0, "…"}, {"/a", -5, "…"},
	} {
		if got := knownPath(c.path, c.w); got != c.want {
			t.Errorf("%q in %d cells: %q, want %q", c.path, c.w, got, c.want)
		}
	}
	if got := knownPath("/"+strings.Repeat("\u0301", 1<<20)+"/end", 10); width(got) > 10 || !strings.HasSuffix(got, "/end") {
		t.Errorf("%.100q", got)
	}
}

func TestKnownPathFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path, w := rapid.String().Draw(t, "path"), rapid.IntRange(1, 40).Draw(t, "w")
		part, _, query := strings.Cut(path, "?")
		got := knownPath(path, w)
		if path != "" && part != "" && !query && width(got) > w {
			t.Errorf("%q takes %d cells of %d", got, width(got), w)
		}
	})
}
