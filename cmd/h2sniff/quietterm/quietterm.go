// SPDX-License-Identifier: Apache-2.0

// Package quietterm hides the terminal from packages that question it while
// they are initialised: bubbletea v1 asks for the background colour on import
// and waits 5 s for an answer that a dumb or slow terminal never gives.
//
// It imports os alone so that it is initialised before them (packages are
// initialised in the order of their import paths, dependencies first). main
// calls Restore before anything else.
package quietterm

import "os"

var term, had = hide()

func hide() (string, bool) {
	term, had := os.LookupEnv("TERM")
	if had {
		os.Setenv("TERM", "dumb")
	}
	return term, had
}

// Restore gives TERM its value back.
func Restore() {
	if had {
		os.Setenv("TERM", term)
	}
}
