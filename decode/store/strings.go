// SPDX-License-Identifier: Apache-2.0

package store

import (
	"maps"
	"strings"
)

// stringPool holds the strings of stream summaries, each once and as long as
// a summary uses it: thousands of streams have the same path. Number 0 is the
// empty string.
type stringPool struct {
	byText map[string]uint32
	texts  []pooled
	free   []uint32
	octets int64 // of the strings
	peak   int   // of len(byText) since it was made
}

type pooled struct {
	s    string
	refs uint32
}

// pooledCost is what a string costs in the map: 24 bytes and a control byte a
// place, of which Go keeps between 7/16 and 7/8 filled.
const pooledCost = 48

func (p *stringPool) bytes() int64 {
	return p.octets + int64(p.peak)*pooledCost + int64(cap(p.texts))*24 + int64(cap(p.free))*4
}

// rounded is about what the allocator makes of a string of n octets.
func rounded(n int) int64 { return int64(n+15) &^ 15 }

func (p *stringPool) get(n uint32) string {
	if n == 0 {
		return ""
	}
	return p.texts[n-1].s
}

// hold returns the number of s and counts one more use.
func (p *stringPool) hold(s string) uint32 {
	if s == "" {
		return 0
	}
	if n, ok := p.byText[s]; ok {
		p.texts[n].refs++
		return n + 1
	}
	if p.byText == nil {
		p.byText = make(map[string]uint32)
	}
	// The caller's string may be a slice of something much larger.
	s = strings.Clone(s)
	var n uint32
	if last := len(p.free) - 1; last >= 0 {
		n = p.free[last]
		p.free = p.free[:last]
		p.texts[n] = pooled{s, 1}
	} else {
		n = uint32(len(p.texts))
		p.texts = append(p.texts, pooled{s, 1})
	}
	p.byText[s] = n
	p.octets += rounded(len(s))
	p.peak = max(p.peak, len(p.byText))
	return n + 1
}

// drop counts one use less.
func (p *stringPool) drop(n uint32) {
	if n == 0 {
		return
	}
	t := &p.texts[n-1]
	if t.refs--; t.refs > 0 {
		return
	}
	delete(p.byText, t.s)
	p.octets -= rounded(len(t.s))
	t.s = ""
	p.free = append(p.free, n-1)
	if len(p.byText) == 0 {
		*p = stringPool{}
	} else if p.peak > 1024 && len(p.byText) < p.peak/4 {
		smaller := make(map[string]uint32, len(p.byText)) // a Go map never shrinks
		maps.Copy(smaller, p.byText)
		p.byText, p.peak = smaller, len(smaller)
	}
}
