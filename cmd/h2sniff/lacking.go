// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"h2sniff/capture/target"
)

// lacking has a line for each program of the chosen processes that use none of
// the families that are looked for, but another.
func (t *targets) lacking() []string {
	if t.selection.Machine() || len(t.selection.Families) == 0 || !t.restricted() {
		return nil
	}
	t.mu.Lock()
	names := make(map[int]string)
	for pid, p := range t.processes {
		if len(p.libraries) == 0 {
			names[pid] = p.comm
		}
	}
	t.mu.Unlock()
	others, err := target.LibrariesOf(slices.Collect(maps.Keys(names)), t.options)
	if err != nil {
		t.debug("looking for other families: %v", err)
		return nil
	}
	return tellOthers(t.selection.Families, names, others)
}

// restricted reports whether a family is left out.
func (t *targets) restricted() bool {
	return t.selection.Families != nil && len(t.selection.Families) < len(target.Families())
}

// familyNames names a few families, "OpenSSL or GnuTLS".
func familyNames(families []target.Family) string {
	if len(families) > 3 {
		return "a chosen family"
	}
	var names []string
	for _, f := range families {
		names = append(names, f.String())
	}
	return strings.Join(names, " or ")
}

// tellOthers says what processes have in place of the wanted families, those
// of one name that have the same in one line.
func tellOthers(wanted []target.Family, names map[int]string, others map[int][]target.Library) []string {
	same := make(map[string][]int)
	for _, pid := range slices.Sorted(maps.Keys(others)) {
		var has []string
		for _, l := range others[pid] {
			has = append(has, fmt.Sprintf("%s (%s)", l.Family, path.Base(l.Path)))
		}
		what := fmt.Sprintf("without %s; it has %s", familyNames(wanted), strings.Join(has, ", "))
		key := names[pid] + "\x00" + what // neither has a NUL
		same[key] = append(same[key], pid)
	}
	var lines []string
	for key, pids := range same {
		name, what, _ := strings.Cut(key, "\x00")
		who := fmt.Sprintf("%s %d", name, pids[0])
		if n := len(pids) - 1; n > 0 {
			who += fmt.Sprintf(" and %d more", n)
		}
		lines = append(lines, who+": "+what)
	}
	slices.Sort(lines)
	return lines
}
