// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTableFollowsUntilScrolledUp(t *testing.T) {
	tb := table{height: 10, follow: true}
	tb.bounds(0, 100)
	if tb.cursor != 99 || tb.top != 90 {
		t.Fatalf("following: cursor %d, top %d", tb.cursor, tb.top)
	}
	tb.move(-1)
	tb.bounds(0, 200)
	if tb.cursor != 98 || tb.top != 90 || tb.follow {
		t.Fatalf("the cursor was taken along: cursor %d, top %d, follow %v", tb.cursor, tb.top, tb.follow)
	}
	tb.toEnd(true)
	tb.bounds(0, 300)
	if tb.cursor != 299 || tb.top != 290 {
		t.Fatalf("following again: cursor %d, top %d", tb.cursor, tb.top)
	}
	tb.scroll(-3)
	tb.bounds(0, 400)
	if tb.follow || tb.top != 287 || tb.cursor != 296 {
		t.Fatalf("after the wheel: cursor %d, top %d, follow %v", tb.cursor, tb.top, tb.follow)
	}
}

func TestTableSaysWhenTheCursorsRowIsEvicted(t *testing.T) {
	tb := table{height: 10}
	tb.bounds(0, 100)
	tb.move(20)
	if tb.bounds(20, 110) {
		t.Fatal("row 20 is still there")
	}
	if tb.cursor != 20 || tb.top != 20 {
		t.Fatalf("cursor %d, top %d", tb.cursor, tb.top)
	}
	if !tb.bounds(21, 110) {
		t.Fatal("row 20 was evicted and nobody said so")
	}
	if tb.cursor != 21 {
		t.Fatalf("cursor %d, want the oldest row", tb.cursor)
	}
	tb.toEnd(true)
	if tb.bounds(500, 600) || tb.cursor != 599 {
		t.Fatal("a follower has lost nothing")
	}
}

func TestTableThumb(t *testing.T) {
	tb := table{height: 10}
	tb.bounds(0, 10)
	if from, to := tb.thumb(); from != to {
		t.Fatalf("[%d,%d) though all is in sight", from, to)
	}
	tb.bounds(0, 1<<40)
	if from, to := tb.thumb(); from != 0 || to != 1 {
		t.Fatalf("at the top: [%d,%d)", from, to)
	}
	tb.toEnd(false)
	if from, to := tb.thumb(); from != 9 || to != 10 {
		t.Fatalf("at the end: [%d,%d)", from, to)
	}
}

// Whatever happens, the window lies in the bounds, the cursor in the window,
// and no line stays empty that could hold a row.
func TestTableInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb := table{
			height:   rapid.IntRange(0, 70).Draw(t, "height"),
			follow:   rapid.Bool().Draw(t, "follow"),
			scroller: rapid.Bool().Draw(t, "scroller"),
		}
		var first, end uint64
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			held, was, follow := tb.cursor, tb.end > tb.first, tb.follow
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0:
				end += rapid.Uint64Range(0, 500).Draw(t, "append")
				tb.bounds(first, end)
				if was && !follow && !tb.scroller && tb.cursor != held {
					t.Fatalf("an append moved the cursor from %d to %d", held, tb.cursor)
				}
			case 1:
				first += rapid.Uint64Range(0, 500).Draw(t, "evict")
				end = max(end, first)
				evicted := tb.bounds(first, end)
				if was && !follow && !tb.scroller && evicted != (held < first) {
					t.Fatalf("evicted %v, cursor %d, first %d", evicted, held, first)
				}
			case 2:
				tb.move(rapid.IntRange(-600, 600).Draw(t, "move"))
			case 3:
				tb.scroll(rapid.IntRange(-600, 600).Draw(t, "scroll"))
			case 4:
				tb.home()
			case 5:
				tb.toEnd(rapid.Bool().Draw(t, "follow"))
			case 6:
				tb.point(rapid.IntRange(-3, 80).Draw(t, "point"))
			case 7:
				tb.height = rapid.IntRange(0, 70).Draw(t, "height")
				tb.settle()
			}
			from, n := tb.window()
			if from < tb.first || from+uint64(n) > tb.end || n > max(tb.height, 0) {
				t.Fatalf("window [%d,+%d) of [%d,%d) in %d lines", from, n, tb.first, tb.end, tb.height)
			}
			if want := min(uint64(max(tb.height, 0)), tb.end-tb.first); uint64(n) != want {
				t.Fatalf("%d rows in %d lines, %d held", n, tb.height, tb.end-tb.first)
			}
			if n > 0 && !tb.scroller && (tb.cursor < from || tb.cursor >= from+uint64(n)) {
				t.Fatalf("cursor %d outside [%d,+%d)", tb.cursor, from, n)
			}
			if a, b := tb.thumb(); a < 0 || b < a || b > max(tb.height, 0) {
				t.Fatalf("thumb [%d,%d) in %d lines", a, b, tb.height)
			}
		}
	})
}
