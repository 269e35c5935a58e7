// SPDX-License-Identifier: Apache-2.0

package store

import (
	"hash/maphash"

	"h2sniff/decode"
)

// fieldIndex finds the fields that the open segment holds already. Requests
// repeat most of their fields, so a row keeps 4 octets for each of them.
type fieldIndex struct {
	seed  maphash.Seed
	slots []fieldSlot // a power of two
	n     int
}

type fieldSlot struct {
	hash  uint32
	place uint32 // in the block, + 1; 0: free
}

const fieldSlotSize = 8

func (x *fieldIndex) bytes() int64 { return int64(cap(x.slots)) * fieldSlotSize }

// reset empties the index for another segment.
func (x *fieldIndex) reset() {
	if len(x.slots) > 1024 && x.n*16 < len(x.slots) {
		x.slots = make([]fieldSlot, len(x.slots)/4)
	} else {
		clear(x.slots)
	}
	x.n = 0
}

// place returns where f stands in g's block, and writes it there if it does
// not. There must be room.
func (x *fieldIndex) place(g *segment, f *decode.Field) uint32 {
	if (x.n+1)*4 > len(x.slots)*3 {
		x.grow()
	}
	h := maphash.String(x.seed, f.Name)*0x9e3779b97f4a7c15 ^ maphash.String(x.seed, f.Value)
	hash := uint32(h^h>>32) ^ uint32(f.Unknown)
	mask := uint32(len(x.slots) - 1)
	i := hash & mask
	for x.slots[i].place != 0 {
		if s := x.slots[i]; s.hash == hash {
			if fieldIs(g.block[s.place-1:], f) {
				return s.place - 1
			}
		}
		i = (i + 1) & mask
	}
	at := g.used
	g.used = len(appendField(g.block[:at], f))
	x.slots[i] = fieldSlot{hash, uint32(at) + 1}
	x.n++
	return uint32(at)
}

// places lists where the fields stand.
func (x *fieldIndex) places() []uint32 {
	out := make([]uint32, 0, x.n)
	for _, s := range x.slots {
		if s.place != 0 {
			out = append(out, s.place-1)
		}
	}
	return out
}

func (x *fieldIndex) grow() {
	old := x.slots
	x.slots = make([]fieldSlot, max(256, 2*len(old)))
	mask := uint32(len(x.slots) - 1)
	for _, s := range old {
		if s.place == 0 {
			continue
		}
		i := s.hash & mask
		for x.slots[i].place != 0 {
			i = (i + 1) & mask
		}
		x.slots[i] = s
	}
}
