// SPDX-License-Identifier: Apache-2.0

package recording

import "h2sniff/capture"

// counters derive capture.Stats from events as they pass. What only the source
// knows, LostEvents and Missed, stays zero.
type counters struct{ stats capture.Stats }

// count takes an event; at is the position that its direction had reached.
func (c *counters) count(ev *capture.Event, at uint64) {
	c.stats.Events++
	switch ev.Kind {
	case capture.Data:
		c.stats.Bytes += ev.Length
		c.stats.NotCopied += ev.Length - uint64(len(ev.Data))
	case capture.Lost:
		c.stats.Bytes += ev.Length
		c.stats.LostBytes += ev.Length
	default:
		return
	}
	if ev.Offset > at {
		c.stats.LostBytes += ev.Offset - at
	}
}
