// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// sizeFlag is a number of bytes with an optional unit.
type sizeFlag int64

const minHistory = 1 << 20

func (v *sizeFlag) Type() string { return "SIZE" }
func (v *sizeFlag) String() string {
	return sizeText(int64(*v))
}
func (v *sizeFlag) Set(s string) error {
	size, err := parseSize(s)
	switch {
	case err != nil:
		return err
	case size < minHistory:
		return errors.New("the smallest size is 1MiB")
	}
	*v = sizeFlag(size)
	return nil
}

var errSize = errors.New("a size is a number with K, M, G or T behind it (powers of 1024), as in 512MiB")

func parseSize(s string) (int64, error) {
	number, unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I"), 1.0
	for i, suffix := range []string{"K", "M", "G", "T"} {
		if rest, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = rest, float64(int64(1)<<(10*(i+1)))
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if size := n * unit; err == nil && size >= 0 && size <= 1<<60 {
		return int64(size), nil
	}
	return 0, errSize
}

// rotateFlag is a size that is off unless given.
type rotateFlag int64

func (v *rotateFlag) Type() string { return "SIZE" }
func (v *rotateFlag) String() string {
	if *v == 0 {
		return ""
	}
	return (*sizeFlag)(v).String()
}
func (v *rotateFlag) Set(s string) error { return (*sizeFlag)(v).Set(s) }

// sizeText writes a size as parseSize reads it, in the largest unit of which it
// is a whole number.
func sizeText(n int64) string {
	units := []string{"", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n != 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
