// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"h2sniff/capture/target"

	"golang.org/x/sys/unix"
)

// coverage says which processes were not followed from their beginning, of those
// that came while h2sniff was there. What these sent meanwhile is not known, nor
// whether they would have been seen at all: one that has no HTTP/2 counts too.
type coverage struct {
	// Ended counts those that had ended before all probes were in place.
	Ended uint64
	// Late counts those that mapped a library, or could open a socket, before
	// that was followed; LateBy is the longest such time.
	Late   uint64
	LateBy time.Duration
	// Unsure says that notices of processes were lost, so that there may be more.
	Unsure bool
}

// String is empty where everything was followed.
func (c coverage) String() string {
	text := ""
	switch {
	case c.Ended == 1:
		text = "1 process may have been missed: it ended before it could be followed"
	case c.Ended > 0:
		text = plural(c.Ended, "process") + " may have been missed: they ended before they could be followed"
	case c.Unsure:
		text = "processes may have been missed: notices of them were lost"
	}
	if c.Ended > 0 && c.Unsure {
		text = "at least " + text
	}
	if c.Late > 0 {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%s followed late, by up to %s", plural(c.Late, "process"), c.LateBy.Round(time.Millisecond/10))
	}
	return text
}

// follows is what is known of how a process is followed. Times are in ns of
// CLOCK_MONOTONIC.
type follows struct {
	placed int64 // when the last probes for it were in place, 0 where none had to be placed
	gone   bool  // it had ended by then
	late   bool  // it counts as such
	// mapped are the libraries that its program is known to have mapped, each
	// with the time when it was probed, 0 where it had ended by then.
	mapped map[target.Key]int64
}

// whole reports whether all that a process is known to have used was probed
// before it ended.
func (f *follows) whole(ended int64) bool {
	for _, at := range f.mapped {
		if at == 0 || at > ended {
			return false
		}
	}
	return len(f.mapped) > 0
}

// now is the clock of the watcher's notices.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail with these arguments
	return ts.Nano()
}

// late takes in that a process could use from since on what is followed from now
// on. since is 0 where it was there before h2sniff.
func (c *coverage) late(p *follows, since, now int64) {
	p.placed = now
	if since == 0 || now <= since {
		return
	}
	if !p.late {
		p.late = true
		c.Late++
	}
	c.LateBy = max(c.LateBy, time.Duration(now-since))
}

// ended takes in the end of a process, at 0 where the time is not known. It says
// whether the process counts.
func (c *coverage) ended(p *follows, at int64) bool {
	if !p.gone && (at == 0 || at >= p.placed) || at != 0 && p.whole(at) {
		return false
	}
	c.Ended++
	if p.late {
		c.Late--
	}
	return true
}

// unseen takes in a process that had ended before anything could be done for
// it. placed tells when probes of a library were placed in all processes.
func (c *coverage) unseen(u *target.Unseen, placed map[target.Key]int64) bool {
	covered := len(u.Libraries) > 0
	for i := range u.Libraries {
		at, ok := placed[u.Libraries[i].Key()]
		covered = covered && ok && at <= u.Time
	}
	if !covered {
		c.Ended++
	}
	return !covered
}
