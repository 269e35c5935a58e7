// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"runtime/debug"
	"testing"

	"h2sniff/decode/store"
)

// The heap is to stay within a fifth of the history, where that is not small.
func TestMemoryIsBoundNearTheHistory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for _, history := range []int64{store.MinHistory, store.DefaultHistory, 4 << 30} {
		debug.SetMemoryLimit(math.MaxInt64)
		boundMemory(history)
		limit := debug.SetMemoryLimit(-1)
		if least := history + besideHistory; limit < least || limit > max(least, history+history/5) {
			t.Errorf("for %d MiB of history the limit is %d MiB", history>>20, limit>>20)
		}
		boundMemory(2 * history) // is as if GOMEMLIMIT had been set
		if now := debug.SetMemoryLimit(-1); now != limit {
			t.Errorf("a limit of %d MiB became %d MiB", limit>>20, now>>20)
		}
	}
}
