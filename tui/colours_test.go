// SPDX-License-Identifier: Apache-2.0

package tui

import "testing"

func TestHasColours(t *testing.T) {
	for kind, want := range map[string]bool{
		"xterm": true, "screen": true, "screen-bce": true, "screen.xterm-new": true, "tmux": true, "rxvt-unicode": true,
		"": false, "dumb": false, "vt100": false, "vt220": false, "xterm-mono": false,
	} {
		if got := hasColours(kind); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
}
