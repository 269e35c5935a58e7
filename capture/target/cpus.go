// SPDX-License-Identifier: Apache-2.0

package target

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// onlineCPUs returns the processors that are in use now.
func onlineCPUs() []int {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err == nil {
		var cpus []int
		if cpus, err = parseCPUs(string(b)); err == nil {
			return cpus
		}
	}
	// No sysfs: those that do not exist are refused when opened.
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus
}

// parseCPUs parses a list such as "0-3,8".
func parseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("processor list %q: %w", list, err)
		}
		to, err := strconv.ParseUint(last, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("processor list %q: %w", list, err)
		}
		for cpu := from; cpu <= to; cpu++ {
			cpus = append(cpus, int(cpu))
		}
	}
	return cpus, nil
}
