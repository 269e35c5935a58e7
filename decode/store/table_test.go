// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math/rand/v2"
	"testing"
)

// Few keys in small parts make long probes, and deletions in the midst of
// them.
func TestTableEqualsAMap(t *testing.T) {
	tab := table{h: newHasher()}
	m := make(map[uint64]uint64)
	for i := range 400_000 {
		key := rand.Uint64N(3000)
		if i/50_000%2 == 0 {
			v := rand.Uint64N(1 << 63)
			tab.put(key, v)
			m[key] = v
		}
		key = rand.Uint64N(3000)
		if rand.IntN(3) == 0 || i/50_000%2 == 1 {
			tab.del(key)
			delete(m, key)
		}
		key = rand.Uint64N(3000)
		got, ok := tab.get(key)
		if want, there := m[key]; ok != there || got != want {
			t.Fatalf("after %d: get(%d) = %d, %v, want %d, %v", i, key, got, ok, want, there)
		}
		if i%1000 != 0 {
			continue
		}
		n, slots := 0, 0
		for p := range tab.parts {
			n += tab.parts[p].n
			slots += len(tab.parts[p].slots)
		}
		if n != len(m) || slots != tab.slots {
			t.Fatalf("after %d: %d entries in %d slots, want %d in %d", i, n, slots, len(m), tab.slots)
		}
	}
	for key := range uint64(3000) {
		tab.del(key)
	}
	if tab.slots > len(tab.parts)*16 {
		t.Errorf("an empty table keeps %d slots", tab.slots)
	}
}
