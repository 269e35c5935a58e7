// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"runtime/debug"
)

// besideHistory is what the process may take at least beside the history: what is
// being read and decoded, and what the garbage collector has not got to yet.
const besideHistory = 32 << 20

// boundMemory keeps the process near the memory that the history may take: by
// itself the garbage collector would let the heap grow to twice what is in use,
// and nearly all of that is the history. It has no pointers for the collector to
// follow, so that to collect more often costs next to nothing. GOMEMLIMIT, where
// set, stands.
func boundMemory(history int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(history + max(history/8, besideHistory))
	}
}
