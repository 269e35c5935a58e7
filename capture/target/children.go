// SPDX-License-Identifier: Apache-2.0

package target

import (
	"bytes"
	"os"
	"strconv"
)

// children returns the processes whose parent is pid.
func children(pid int) []int {
	threads, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil
	}
	var found []int
	for _, thread := range threads {
		b, err := os.ReadFile(procPath(pid, "task/"+thread.Name()+"/children"))
		if err != nil {
			if gone(err) && !hasChildrenFile() {
				return childrenByParent(pid)
			}
			continue
		}
		for _, f := range bytes.Fields(b) {
			if child, err := strconv.Atoi(string(f)); err == nil && child > 0 {
				found = append(found, child)
			}
		}
	}
	return found
}

// hasChildrenFile reports whether the kernel has CONFIG_PROC_CHILDREN.
func hasChildrenFile() bool {
	_, err := os.Stat("/proc/thread-self/children")
	return err == nil
}

// childrenByParent asks every process for its parent.
func childrenByParent(pid int) []int {
	all, err := pids()
	if err != nil {
		return nil
	}
	var found []int
	for _, child := range all {
		if st, err := readStat(child); err == nil && st.ppid == pid {
			found = append(found, child)
		}
	}
	return found
}
