// SPDX-License-Identifier: Apache-2.0

package target

// LibrariesOf returns what processes map of all families that o.Wanted names.
// Of one that has ended, or maps nothing that can be read, there is none.
func LibrariesOf(pids []int, o Options) (map[int][]Library, error) {
	c, err := newChooser(Selection{}, o)
	if err != nil {
		return nil, err
	}
	all := make(map[int][]Library, len(pids))
	for _, pid := range pids {
		if found := c.look(pid, func(*mapping, error) {}); len(found) > 0 {
			all[pid] = found
		}
	}
	return all, nil
}
