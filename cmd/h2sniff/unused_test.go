// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"

	"h2sniff/capture/target"
)

func TestUnused(t *testing.T) {
	var u unused
	key := func(i int) target.Key { return target.Key{Inode: uint64(i)} }
	u.add(key(0))
	u.add(key(0))
	for i := range maxUnused {
		u.add(key(i + 1))
		if gone := u.remove(key(i + 1)); gone != nil {
			t.Fatalf("%v gone", gone)
		}
	}
	u.add(key(1)) // runs again
	if gone := u.remove(key(0)); gone != nil {
		t.Errorf("%v gone, but a process runs it", gone)
	}
	if gone := u.remove(key(0)); gone != nil {
		t.Errorf("%v gone, there is room", gone)
	}
	if gone, want := u.remove(key(1)), []target.Key{key(2)}; !slices.Equal(gone, want) {
		t.Errorf("%v gone, want %v", gone, want)
	}
	if gone := u.remove(key(99)); gone != nil {
		t.Errorf("%v gone", gone)
	}
}
