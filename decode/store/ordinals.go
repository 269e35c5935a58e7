// SPDX-License-Identifier: Apache-2.0

package store

import "unsafe"

// ordinals knows, of the views of streams (or of stream ids) of which nothing
// else is in memory, where they go on: the ordinal of the next frame. Peers
// number their streams one after the other, so neighbours share a group, and one
// costs some 5 octets.
type ordinals struct {
	groups table // group key → place in list
	list   []*[groupChunk]group
	n      int   // groups
	large  table // view key → ordinal, of those for which a group has no room
}

// group is of streams of one connection whose ids differ in 4 bits. It leaves with
// seg, the newest segment of all of them: the rows of the others are older.
type group struct {
	key  uint64
	seg  uint32
	used int32
	next [groupSize]uint16 // ordinal + 1; 0: not known, inLarge: see there
}

const (
	groupSize  = 16
	groupChunk = 32
	groupBytes = int64(unsafe.Sizeof(group{}))
	inLarge    = 1<<16 - 1
)

// groupOf splits the key of a view. Clients have odd and servers even stream
// ids (RFC 9113, section 5.1.1).
func groupOf(key uint64) (group uint64, n int) {
	return key>>5<<1 | key&1, int(key >> 1 & (groupSize - 1))
}

func (o *ordinals) setHasher(h hasher) { o.groups.h, o.large.h = h, h }

func (o *ordinals) bytes() int64 {
	return o.groups.bytes() + o.large.bytes() + int64(len(o.list))*groupChunk*groupBytes + int64(cap(o.list))*8
}

func (o *ordinals) at(place int) *group { return &o.list[place/groupChunk][place%groupChunk] }

// put notes the next ordinal of a view whose newest row is in the segment seg.
func (o *ordinals) put(key, next uint64, seg uint32) {
	k, i := groupOf(key)
	place, ok := o.groups.get(k)
	if !ok {
		place = uint64(o.n)
		if o.n++; o.n > len(o.list)*groupChunk {
			o.list = append(o.list, new([groupChunk]group))
		}
		*o.at(int(place)) = group{key: k}
		o.groups.put(k, place)
	}
	g := o.at(int(place))
	g.seg = max(g.seg, seg)
	switch {
	case g.next[i] == 0:
		g.used++
	case g.next[i] == inLarge:
		o.large.del(key)
	}
	if next+1 < inLarge {
		g.next[i] = uint16(next + 1)
	} else {
		g.next[i] = inLarge
		o.large.put(key, next)
	}
}

func (o *ordinals) get(key uint64) (next uint64, ok bool) {
	k, i := groupOf(key)
	place, ok := o.groups.get(k)
	if !ok {
		return 0, false
	}
	switch v := o.at(int(place)).next[i]; v {
	case 0:
		return 0, false
	case inLarge:
		return o.large.get(key)
	default:
		return uint64(v - 1), true
	}
}

// del forgets a view.
func (o *ordinals) del(key uint64) {
	k, i := groupOf(key)
	place, ok := o.groups.get(k)
	if !ok {
		return
	}
	g := o.at(int(place))
	switch g.next[i] {
	case 0:
		return
	case inLarge:
		o.large.del(key)
	}
	g.next[i] = 0
	if g.used--; g.used == 0 {
		o.remove(int(place))
	}
}

// leave forgets the view of key and its neighbours, if seg is the newest segment
// of them all, and then gives the highest of their keys.
func (o *ordinals) leave(key uint64, seg uint32) (highest uint64, left bool) {
	k, _ := groupOf(key)
	place, ok := o.groups.get(k)
	if !ok || o.at(int(place)).seg != seg {
		return 0, false
	}
	return o.remove(int(place)), true
}

// leaveBefore forgets groups that have nothing in the segment seg or newer ones,
// and gives the highest of their keys.
func (o *ordinals) leaveBefore(seg uint32) (highest uint64, left bool) {
	for place := o.n - 1; place >= 0; place-- {
		if o.at(place).seg < seg {
			highest, left = max(highest, o.remove(place)), true
		}
	}
	return highest, left
}

// remove takes a group away, and gives the highest key in it. The last group takes
// its place.
func (o *ordinals) remove(place int) (highest uint64) {
	g := o.at(place)
	for i, v := range g.next {
		if v == 0 {
			continue
		}
		highest = g.key>>1<<5 | uint64(i)<<1 | g.key&1
		if v == inLarge {
			o.large.del(highest)
		}
	}
	o.groups.del(g.key)
	o.n--
	if place != o.n {
		*g = *o.at(o.n)
		o.groups.put(g.key, uint64(place))
	}
	// One chunk stays for the next groups.
	if n := len(o.list); o.n+groupChunk <= (n-1)*groupChunk {
		o.list[n-1] = nil
		o.list = o.list[:n-1]
	}
	return highest
}
