// SPDX-License-Identifier: Apache-2.0

package tui

import "testing"

// A duration is rounded, and never to a number that its unit does not have.
func TestSpan(t *testing.T) {
	for ns, want := range map[int64]string{
		-1: "?", 0: "0µs", 499: "0µs", 500: "1µs", 1499: "1µs", 999_499: "999µs",
		999_500: "1.0ms", 1_000_000: "1.0ms", 1_049_999: "1.0ms", 1_060_000: "1.1ms", 9_949_999: "9.9ms",
		9_950_000: "10ms", 104_499_999: "104ms", 104_500_000: "105ms", 999_499_999: "999ms",
		999_500_000: "1.0s", 1_049_999_999: "1.0s", 1_960_000_000: "2.0s", 99_949_999_999: "99.9s",
		99_950_000_000: "2m", 150e9: "3m", 149e9: "2m", 5969e9: "99m",
		5970e9: "2h", 9000e9: "3h", 8999e9: "2h", 1<<63 - 1: "2562047h",
	} {
		if got := span(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
	for ns := int64(1); ns < 3_500_000e9; ns += 1 + ns/997 {
		if w := width(span(ns)); w > 5 {
			t.Fatalf("%d ns: %s", ns, span(ns))
		}
	}
}
