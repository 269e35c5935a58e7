// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"pgregory.net/rapid"
)

// What is noted of views is what a map would have, neighbours leave together
// with the newest segment of them, and nothing is left of what has left.
func TestOrdinalsEqualAMap(t *testing.T) {
	type noted struct {
		next uint64
		seg  uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		var o ordinals
		o.setHasher(newHasher())
		m := make(map[uint64]noted)
		groups := make(map[uint64]uint32)
		key := func() uint64 {
			return rapid.Uint64Range(0, 3).Draw(t, "conn")<<31 + rapid.Uint64Range(0, 300).Draw(t, "stream")
		}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			k := key()
			group, _ := groupOf(k)
			seg := rapid.Uint32Range(1, 20).Draw(t, "segment")
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				o.del(k)
				delete(m, k)
			case 1:
				highest, left := o.leave(k, seg)
				want, found := uint64(0), false
				for k := range m {
					if g, _ := groupOf(k); g == group && groups[group] == seg {
						want, found = max(want, k), true
						delete(m, k)
					}
				}
				if left != found || highest != want {
					t.Fatalf("leave(%d, %d) = %d, %v, want %d, %v", k, seg, highest, left, want, found)
				}
			case 2:
				if rapid.IntRange(0, 9).Draw(t, "all") > 0 {
					continue
				}
				o.leaveBefore(seg)
				for k := range m {
					if g, _ := groupOf(k); groups[g] < seg {
						delete(m, k)
					}
				}
			default:
				next := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64Range(inLarge-3, inLarge+3), rapid.Uint64Range(0, 1<<62)).Draw(t, "next")
				o.put(k, next, seg)
				m[k] = noted{next, seg}
				groups[group] = max(groups[group], seg)
			}
			for g := range groups {
				alive := false
				for k := range m {
					of, _ := groupOf(k)
					alive = alive || of == g
				}
				if !alive {
					delete(groups, g)
				}
			}
		}
		for c := range uint64(4) {
			for s := range uint64(301) {
				k := c<<31 + s
				next, ok := o.get(k)
				if want, there := m[k]; ok != there || next != want.next {
					t.Fatalf("get(%d) = %d, %v, want %d, %v", k, next, ok, want.next, there)
				}
			}
		}
		if o.n != len(groups) {
			t.Fatalf("%d groups, want %d", o.n, len(groups))
		}
		o.leaveBefore(1 << 30)
		if o.n != 0 || o.large.slots > 64*16 || len(o.list) > 2 {
			t.Fatalf("%d groups, %d large ones, %d chunks of nothing", o.n, o.large.slots, len(o.list))
		}
	})
}

// Streams that follow each other cost little.
func TestOrdinalsAreSmall(t *testing.T) {
	var o ordinals
	o.setHasher(newHasher())
	const n = 200_000
	for i := range uint64(n) {
		o.put(streamKey(1, uint32(2*i+1)), 3, uint32(i/1000))
	}
	if each := float64(o.bytes()) / n; each > 8 {
		t.Errorf("%.1f octets a stream", each)
	} else {
		t.Logf("%.1f octets a stream", each)
	}
}
