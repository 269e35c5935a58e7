// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math/bits"
	"math/rand/v2"
)

// hasher hashes keys with a secret, because peers choose stream ids and could
// otherwise choose them to collide.
type hasher struct{ a, b uint64 }

func newHasher() hasher { return hasher{rand.Uint64(), rand.Uint64() | 1} }

func (h hasher) sum(key uint64) uint32 {
	hi, lo := bits.Mul64(key^h.a, h.b^key>>32)
	return uint32(hi ^ lo)
}

// table maps 64-bit keys to values of 63 bits. Unlike a Go map it holds no
// pointers beside those to its parts, its size can be counted, and it
// shrinks. It is made of parts, which grow one at a time and by a quarter, so
// that growing never holds up the writer for long, nor takes much memory at
// once.
type table struct {
	h     hasher
	parts [64]tablePart
	slots int // of all parts
}

func (t *table) bytes() int64 { return int64(t.slots) * slotSize }

func (t *table) part(hash uint32) *tablePart { return &t.parts[hash>>26] }

func (t *table) get(key uint64) (uint64, bool) {
	hash := t.h.sum(key)
	return t.part(hash).get(key, hash)
}

func (t *table) put(key, val uint64) {
	hash := t.h.sum(key)
	p := t.part(hash)
	t.slots -= len(p.slots)
	p.put(t.h, key, val)
	t.slots += len(p.slots)
}

func (t *table) del(key uint64) {
	hash := t.h.sum(key)
	p := t.part(hash)
	t.slots -= len(p.slots)
	p.del(t.h, key)
	t.slots += len(p.slots)
}

// all calls f for every key. f must not change the table.
func (t *table) all(f func(key, val uint64)) {
	for i := range t.parts {
		for _, s := range t.parts[i].slots {
			if s.val != 0 {
				f(s.key, s.val-1)
			}
		}
	}
}

// tablePart is a hash table with linear probing.
type tablePart struct {
	slots []slot
	n     int
}

// home is where a key with this hash belongs. The hash's highest bits chose the
// part.
func (t *tablePart) home(hash uint32) int {
	return int(uint64(hash<<6) * uint64(len(t.slots)) >> 32)
}

func (t *tablePart) next(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

type slot struct {
	key uint64
	val uint64 // value + 1; 0: free
}

const slotSize = 16

func (t *tablePart) get(key uint64, hash uint32) (uint64, bool) {
	if t.n == 0 {
		return 0, false
	}
	for i := t.home(hash); ; i = t.next(i) {
		s := &t.slots[i]
		if s.val == 0 {
			return 0, false
		}
		if s.key == key {
			return s.val - 1, true
		}
	}
}

func (t *tablePart) put(h hasher, key, val uint64) {
	if (t.n+1)*4 > len(t.slots)*3 {
		t.resize(h, max(4, len(t.slots)*5/4))
	}
	i := t.home(h.sum(key))
	for t.slots[i].val != 0 {
		if t.slots[i].key == key {
			t.slots[i].val = val + 1
			return
		}
		i = t.next(i)
	}
	t.slots[i] = slot{key, val + 1}
	t.n++
}

func (t *tablePart) del(h hasher, key uint64) {
	if t.n == 0 {
		return
	}
	i := t.home(h.sum(key))
	for {
		if t.slots[i].val == 0 {
			return
		}
		if t.slots[i].key == key {
			break
		}
		i = t.next(i)
	}
	// Close the hole: move back every follower that the hole would hide.
	for j := t.next(i); t.slots[j].val != 0; j = t.next(j) {
		if t.distance(t.home(h.sum(t.slots[j].key)), j) >= t.distance(i, j) {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
	t.n--
	if len(t.slots) > 16 && t.n*8 < len(t.slots) {
		t.resize(h, len(t.slots)/4)
	}
}

// distance is how many steps lead from one slot to another.
func (t *tablePart) distance(from, to int) int {
	if to < from {
		to += len(t.slots)
	}
	return to - from
}

func (t *tablePart) resize(h hasher, size int) {
	old := t.slots
	t.slots = make([]slot, size)
	for _, s := range old {
		if s.val == 0 {
			continue
		}
		i := t.home(h.sum(s.key))
		for t.slots[i].val != 0 {
			i = t.next(i)
		}
		t.slots[i] = s
	}
}
