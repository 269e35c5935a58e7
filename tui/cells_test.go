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
		99_950_000_000: "1m40s", 125e9: "2m05s", 754_499_999_999: "12m34s", 754_500_000_000: "12m35s",
		5999_499_999_999: "99m59s", 5999_500_000_000: "1h40m", 9000e9: "2h30m", 8969e9: "2h29m",
		359_969e9: "99h59m", 359_970e9: "100h", 1<<63 - 1: "2562048h",
	} {
		if got := span(ns); got != want {
			t.Errorf("%d ns: %s, want %s", ns, got, want)
		}
	}
	for ns := int64(1); ns < 35_000_000e9; ns += 1 + ns/997 {
		if w := width(span(ns)); w > 6 {
			t.Fatalf("%d ns: %s", ns, span(ns))
		}
	}
}
