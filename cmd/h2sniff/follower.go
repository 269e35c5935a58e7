// SPDX-License-Identifier: Apache-2.0

package main

import (
	"h2sniff/decode"
	"h2sniff/decode/store"
)

// follower reads the rows of a store once each, in order. It belongs to one
// goroutine.
type follower struct {
	store  *store.Store
	filter *rowFilter // which examines rows before they are read
	next   uint64     // ordinal of the first row not yet read
	missed uint64     // rows that went before they could be read

	notKept uint64 // of the last rows: they are there, but could not be kept
}

const followBatch = 256

// read hands over every row that is in the store and was not read yet. missed
// is told, in the place where they were, how many rows were evicted first. An
// error of either ends it.
func (f *follower) read(row func(*store.Entry) error, missed func(rows uint64) error) error {
	for {
		first, end := f.store.Span(store.View{})
		end = f.filter.examine(end)
		if gone := first - f.next; first > f.next {
			f.missed += gone
			f.next = first
			if err := missed(gone); err != nil {
				return err
			}
		}
		if f.next >= end {
			return f.tellNotKept(missed)
		}
		entries := f.store.Rows(store.View{}, f.next, int(min(followBatch, end-f.next)))
		for i := range entries {
			if entries[i].Seq > end {
				break // not examined yet: those before it were evicted just now
			}
			if gone := entries[i].Seq - 1 - f.next; gone > 0 {
				// Evicted between the two looks at the store.
				f.missed += gone
				if err := missed(gone); err != nil {
					return err
				}
			}
			f.next = entries[i].Seq // ordinals begin at 0, Seq at 1
			if entries[i].GapReason == decode.GapNotKept {
				f.notKept++
				continue
			}
			if err := f.tellNotKept(missed); err != nil {
				return err
			}
			if err := row(&entries[i]); err != nil {
				return err
			}
		}
	}
}

func (f *follower) tellNotKept(missed func(rows uint64) error) error {
	n := f.notKept
	if n == 0 {
		return nil
	}
	f.notKept = 0
	f.missed += n
	return missed(n)
}
