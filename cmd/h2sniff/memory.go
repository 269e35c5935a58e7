// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"runtime/debug"
)

// boundMemory keeps the process near the memory that the history may take: by
// itself the garbage collector would let the heap grow to twice what is in use,
// and nearly all of that is the history. GOMEMLIMIT, where set, stands.
func boundMemory(history int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(history + history/4 + 32<<20)
	}
}
