// SPDX-License-Identifier: Apache-2.0

package diagnose

import "time"

// Every threshold. What is counted is counted in spans of span, which begin
// with the first row after the last one's end.
const (
	span = int64(time.Second)

	// Waiting.
	settingsPatience  = int64(5 * time.Second)  // SETTINGS to acknowledgement
	pingPatience      = int64(10 * time.Second) // PING to acknowledgement
	goAwayPatience    = int64(time.Second)      // GOAWAY to the last new stream
	windowNote        = int64(10 * time.Millisecond)
	windowWarning     = int64(100 * time.Millisecond)
	windowOpen        = int64(time.Second) // until one that is still used up is told of
	minResetsInSpan   = 100                // streams reset by their client, and a part of those begun:
	resetsPerHeaders  = 2
	minPingsInSpan    = 100 // and more than frames of messages
	minSettingsInSpan = 30
	minEmptyInSpan    = 100 // empty DATA, and emptyPerHeaders times the HEADERS
	emptyPerHeaders   = 2
	minContinuations  = 32       // of one field block
	bombSize          = 64 << 10 // octets as SETTINGS_MAX_HEADER_LIST_SIZE counts
	bombRatio         = 32       // times the octets of the field block

	// Bounds on what is kept and reported, each for one connection.
	maxReports  = 50  // of one code; the rest is counted
	maxPings    = 64  // waiting for their acknowledgement, each direction
	maxEmpty    = 128 // windows that are used up and not told of
	maxHeld     = 32  // waiting for the other direction's next frame, each direction
	maxNameText = 64  // octets of a peer's string in a sentence
)
