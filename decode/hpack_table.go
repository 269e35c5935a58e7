// SPDX-License-Identifier: Apache-2.0

package decode

const (
	entryOverhead = 32 // RFC 7541, section 4.1
	// initialTableSize is the maximum size of the dynamic table until a size
	// update changes it, in the octets of RFC 7541, section 4.1.
	initialTableSize = 4096
	// assumedTableSize is what is held of a table whose maximum is unknown.
	// An encoder never refers to an entry that it has evicted, so that to
	// hold too much is harmless, and to hold too little makes unknown what
	// could be known.
	assumedTableSize = 64 << 10
	// largestTableHeld bounds what is held of any table.
	largestTableHeld = 1 << 20
)

// table is the dynamic table of one direction as far as an observer knows it.
//
// It holds the newest entries only. Indices count from the newest, so that
// what was inserted since the attach (or the last gap) is found exactly,
// whatever was there before.
type table struct {
	ring []Field // length a power of two
	head int     // where the newest entry is
	n    int     // entries held
	size uint64  // of the entries held; entries with an unknown name count as if it were empty

	// max is the maximum size that the encoder uses, or, if assumed is set,
	// what stands in for it while it is unknown.
	max     uint64
	assumed bool
	// complete is set when the encoder's table has no entry that is not held.
	complete bool
	// trust is that of entries that are not held while complete is not set.
	trust    Trust
	epoch    uint32
	inserted int64 // entries inserted in this epoch
}

// start says that the encoder begins here, with an empty table.
func (t *table) start() {
	t.clear()
	t.complete, t.assumed, t.max = true, false, initialTableSize
}

// attach says that nothing is known of the encoder's table.
func (t *table) attach() {
	t.clear()
	t.complete, t.assumed, t.max, t.trust = false, true, assumedTableSize, UnknownSinceAttach
}

// demote says that nothing is known of the encoder's table any more.
func (t *table) demote() {
	t.attach()
	t.trust = UnknownSinceGap
	t.inserted = 0
	t.epoch++
}

// proveStart says that the encoder's table was empty when h2sniff attached,
// after it was held to be unknown and if nothing was lost since.
func (t *table) proveStart() {
	if t.trust != UnknownSinceAttach || t.complete {
		return
	}
	if t.assumed {
		t.max, t.assumed = initialTableSize, false
		t.evict(t.max)
	}
	t.complete = true
}

func (t *table) clear() {
	clear(t.ring)
	t.n, t.size = 0, 0
}

func entrySize(f *Field) uint64 {
	return uint64(len(f.Name)) + uint64(len(f.Value)) + entryOverhead
}

// at gives the i-th newest of the n entries held, from 0.
func (t *table) at(i int) *Field { return &t.ring[(t.head+i)&(len(t.ring)-1)] }

// lookup gives the entry with index i, counted from 1, the newest. It returns
// false where the encoder cannot have such an entry. The Field belongs to the
// table and is valid until its next change.
func (t *table) lookup(i uint64, unknown *Field) (*Field, bool) {
	if i-1 < uint64(t.n) {
		return t.at(int(i - 1)), true
	}
	if t.complete || i == 0 {
		return nil, false
	}
	abs := t.inserted - int64(i) + 1
	if abs > 0 && t.assumed {
		// Ours was evicted, the encoder's was not: its table is larger.
		t.max = largestTableHeld
	}
	*unknown = Field{Trust: t.trust, Unknown: abs, Epoch: t.epoch}
	return unknown, true
}

// insert adds an entry (RFC 7541, section 4.4).
func (t *table) insert(f *Field) {
	s := entrySize(f)
	if s > t.max {
		t.clear()
		if !t.assumed {
			t.complete = true // the encoder's table is empty too
			return
		}
		// Whether the encoder has it is unknown. If not, its table is empty
		// and no index reaches what is older; so its place must be kept.
		t.inserted++
		t.push(&Field{Trust: t.trust, Unknown: t.inserted, Epoch: t.epoch})
		return
	}
	t.inserted++
	t.evict(t.max - s)
	if t.size+s > largestTableHeld {
		t.evict(largestTableHeld - min(s, largestTableHeld))
		// Some that the encoder still has are dropped.
		t.complete, t.trust = false, UnknownSinceGap
	}
	t.push(f)
}

func (t *table) push(f *Field) {
	if t.n == len(t.ring) {
		t.grow()
	}
	t.head = (t.head - 1) & (len(t.ring) - 1)
	e := &t.ring[t.head]
	*e = *f
	e.Sensitive = false
	t.n++
	t.size += entrySize(f)
}

func (t *table) grow() {
	ring := make([]Field, max(16, 2*len(t.ring)))
	for i := range t.n {
		ring[i] = *t.at(i)
	}
	t.ring, t.head = ring, 0
}

// evict drops the oldest entries until at most size octets are held.
func (t *table) evict(size uint64) {
	for t.size > size && t.n > 0 {
		e := t.at(t.n - 1)
		t.size -= entrySize(e)
		*e = Field{}
		t.n--
	}
}

// setMax follows a dynamic table size update.
func (t *table) setMax(size uint64) {
	t.max, t.assumed = size, false
	t.evict(size)
	if size == 0 {
		t.complete = true
	}
}
