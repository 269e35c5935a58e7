// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"os"
	"slices"
	"strconv"
)

// Running lists the containers that processes run in, in the order of their
// ids. The error is that of listing /proc.
func Running() ([]Container, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []Container
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if c, err := Of(pid); err == nil && c.ID != "" { // else it has ended, or is in none
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Runtime, b.Runtime))
	})
	return slices.Compact(all), nil
}
