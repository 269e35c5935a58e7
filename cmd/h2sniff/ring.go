// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bounds of the ring buffer. The kernel wants a power of two and maps it twice
// in a row, which must fit 32 bits.
const (
	defaultMinRing = 8 << 20
	defaultMaxRing = 128 << 20
	maxRing        = 1 << 30
)

// ringFlag is the size of the ring buffer in octets; 0 is the default.
type ringFlag int

func (v *ringFlag) Type() string { return "SIZE" }
func (v *ringFlag) String() string {
	if *v == 0 {
		return ""
	}
	return sizeText(int64(*v))
}

func (v *ringFlag) Set(s string) error {
	n, err := parseSize(s)
	switch {
	case err != nil:
		return err
	case n&(n-1) != 0 || n < int64(os.Getpagesize()) || n > maxRing:
		return fmt.Errorf("the size of the ring buffer is a power of two, %s to %s", sizeText(int64(os.Getpagesize())), sizeText(maxRing))
	}
	*v = ringFlag(n)
	return nil
}

// bytes is the size that was given or, without one, the power of two next
// below 1/128 of the machine's memory, within bounds.
func (v *ringFlag) bytes() (int, error) {
	if *v != 0 {
		return int(*v), nil
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("asking for the size of memory: %w", err)
	}
	want := uint64(info.Totalram) * uint64(info.Unit) / 128
	size := defaultMinRing
	for size < defaultMaxRing && uint64(size)*2 <= want {
		size *= 2
	}
	return size, nil
}
