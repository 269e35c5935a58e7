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
