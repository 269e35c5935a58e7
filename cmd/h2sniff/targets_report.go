// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"h2sniff/capture/container"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"
)

// maxFailures is how many failures are kept to be told of at the end: on a machine
// where programs come and go for weeks there is no end of them.
const maxFailures = 200

// failures are the first ones, and the number of all.
type failures struct {
	kept []string
	n    int
}

func (f *failures) add(what string) {
	if f.n++; f.n <= maxFailures {
		f.kept = append(f.kept, what)
	}
}

func (f *failures) lines() []string {
	lines := slices.Clone(f.kept)
	if more := f.n - len(f.kept); more > 0 {
		lines = append(lines, "and "+plural(more, "more problem"))
	}
	return lines
}

// fail tells what could not be done, at once or with what is attached to.
func (t *targets) fail(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures.add(what)
	if t.ready {
		say(t.report, "%s", what)
	}
}

// setReady reports what is attached, what could not be, and last that all is.
func (t *targets) setReady() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = true
	t.checkEnded()
	for _, line := range t.enabled() {
		say(t.report, "%s", line)
	}
	for _, failure := range t.failures.lines() {
		say(t.report, "%s", failure)
	}
	for _, line := range t.idle() {
		say(t.report, "%s", line)
	}
	if len(t.processes) == 0 {
		if what := t.waitsFor(); what != "" {
			say(t.report, "waiting for %s", what)
		}
		if t.selection.Container != "" {
			say(t.report, "%s", containersThere())
		}
	}
	say(t.report, "ready")
}

// enabled has a line for each library, "OpenSSL: enabled, PATH, 3 processes",
// and one for sockets without.
func (t *targets) enabled() []string {
	var out []string
	for key, lib := range t.attached {
		n := 0
		for _, p := range t.processes {
			if p.libraries[key] {
				n++
			}
		}
		if n == 0 && t.perProcess(lib) {
			continue // placed in case a process loads it
		}
		t.told[key] = true
		out = append(out, fmt.Sprintf("%s: enabled, %s, %s", lib.Family, lib.Path, plural(n, "process")))
	}
	n := 0
	for _, p := range t.processes {
		if p.cleartext {
			n++
		}
	}
	switch {
	case t.cleartext && t.selection.Machine():
		out = append(out, uprobe.Cleartext+": enabled, all processes")
	case n > 0:
		out = append(out, fmt.Sprintf("%s: enabled, %s", uprobe.Cleartext, plural(n, "process")))
	}
	slices.Sort(out)
	return out
}

// idle has a line for the processes of each name of which nothing is captured so
// far. The caller holds mu.
func (t *targets) idle() []string {
	if len(t.selection.Families) == 0 && t.selection.Families != nil {
		return nil // no library is looked for
	}
	byName := make(map[string][]int)
	for pid, p := range t.processes {
		if len(p.libraries) == 0 && !p.cleartext {
			byName[p.comm] = append(byName[p.comm], pid)
		}
	}
	what := "no TLS library that can be probed"
	if t.restricted() {
		what = "nothing of " + familyNames(t.selection.Families)
	}
	var out []string
	for name, pids := range byName {
		who := fmt.Sprintf("%s %d", name, slices.Min(pids))
		if n := len(pids) - 1; n > 0 {
			who += fmt.Sprintf(" and %d more", n)
		}
		out = append(out, fmt.Sprintf("%s: %s so far; what is loaded later is attached to", who, what))
	}
	slices.Sort(out)
	return out
}

func (t *targets) waitsFor() string {
	switch s := t.selection; {
	case s.Comm != "" && (len(s.PIDs) > 0 || s.Binary != "" || s.Container != ""):
		return fmt.Sprintf("a process named %s that the other options choose too", s.Comm)
	case s.Comm != "":
		return fmt.Sprintf("a process named %s", s.Comm)
	case s.Container != "" && len(s.Container) < container.MinPrefix:
		return fmt.Sprintf("a process in a container named %s (of an id, at least %d digits are needed)", s.Container, container.MinPrefix)
	case s.Container != "":
		return fmt.Sprintf("a process in container %s", s.Container)
	case s.Machine() && t.restricted() && !t.cleartext:
		return fmt.Sprintf("a process with %s (other families are left out)", familyNames(s.Families))
	case s.Binary != "" && len(t.own) == 0:
		return fmt.Sprintf("a process that runs %s", s.Binary)
	}
	return ""
}

// name says what is traced, for the status line.
func (t *targets) name() string {
	s := t.selection
	switch {
	case s.Comm != "":
		return s.Comm
	case s.Container != "":
		return "container " + s.Container
	case s.Binary != "":
		return s.Binary
	case len(s.PIDs) > 0:
		return "pid " + strings.Trim(fmt.Sprint(s.PIDs), "[]")
	}
	return "all processes"
}

// status is one line on what is attached.
func (t *targets) status() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return "the process has ended"
	case !t.ready:
		return "attaching"
	case len(t.processes) == 0 && t.waitsFor() != "":
		return "waiting for " + t.waitsFor()
	}
	families := make(map[target.Family]bool)
	for _, p := range t.processes {
		for key := range p.libraries {
			families[key.Family] = true
		}
	}
	var names []string
	for family := range families {
		names = append(names, family.String())
	}
	slices.Sort(names)
	if len(names) == 0 && t.cleartext {
		names = []string{uprobe.Cleartext}
	}
	processes := plural(len(t.processes), "process")
	text := "attached: " + strings.Join(names, "+") + ", " + processes
	if len(names) == 0 {
		text = "no TLS library so far in " + processes
	}
	if n := t.failures.n; n > 0 {
		text += ", " + plural(n, "problem")
	}
	return text
}

// problems are what could not be attached to, and why.
func (t *targets) problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures.lines()
}
