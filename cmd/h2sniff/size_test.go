// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "64K": 64 << 10, "64k": 64 << 10, "64kB": 64 << 10, "64KiB": 64 << 10, "1.5M": 3 << 19,
		"512mib": 512 << 20, "2G": 2 << 30, "1TiB": 1 << 40,
		"": -1, "K": -1, "-1M": -1, "1X": -1, "1MM": -1, "NaN": -1, "1e30": -1, "1MiBs": -1,
	} {
		n, err := parseSize(text)
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("%q is %d octets, %v; want %d", text, n, err, want)
		}
	}
}

// A size that is shown can be given.
func TestSizeText(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 4095: "4095", 4096: "4KiB", 3 << 19: "1536KiB", 256 << 20: "256MiB", 4 << 30: "4GiB", 1 << 52: "4096TiB",
	} {
		text := sizeText(n)
		if again, err := parseSize(text); text != want || again != n || err != nil {
			t.Errorf("%d is written as %q and read as %d, %v; want %q", n, text, again, err, want)
		}
	}
}
