// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"golang.org/x/term"
)

// terminal is the state of the terminal before a viewer took it, so that it can
// be given back where the viewer could not do so itself.
type terminal struct{ state *term.State }

// saveTerminal does so if a viewer is to take it.
func saveTerminal(taken bool) *terminal {
	t := &terminal{}
	if taken {
		t.state, _ = term.GetState(int(os.Stdin.Fd())) // not a terminal: nothing to give back
	}
	return t
}

// leaveScreen ends the alternate screen, the ways of reporting the mouse, and
// bracketed paste, and shows the cursor (xterm, ctlseqs).
const leaveScreen = "\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1049l\x1b[?25h"

func (t *terminal) restore() {
	if t.state == nil {
		return
	}
	os.Stdout.WriteString(leaveScreen)
	_ = term.Restore(int(os.Stdin.Fd()), t.state) // nothing more can be done
}
