// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"os"

	"golang.org/x/sys/unix"
)

// Lower has a process that is not root's use none of the capabilities that its
// file has (setcap) before [Raise]: what it opens is what its caller may open.
// CAP_BPF, which opens no file, stays where [Start] handed it on. All three are
// for all threads, and do nothing for root.
func Lower() error {
	return asCaller(func(c *unix.CapUserData, keep uint32) { c.Effective &= keep })
}

// Raise has it use those capabilities, for a capture.
func Raise() error {
	return asCaller(func(c *unix.CapUserData, _ uint32) { c.Effective = c.Permitted })
}

// Forgo gives them up for good, for what captures nothing.
func Forgo() error {
	return asCaller(func(c *unix.CapUserData, keep uint32) {
		c.Effective &= keep
		c.Permitted &= keep
	})
}

// asCaller changes the capabilities; keep are those that are handed on.
func asCaller(change func(c *unix.CapUserData, keep uint32)) error {
	if os.Geteuid() == 0 {
		return nil
	}
	keep, err := handedOn()
	if err != nil {
		return err
	}
	head, data, err := own()
	if err != nil {
		return err
	}
	for i := range data {
		change(&data[i], keep[i])
	}
	return setAll(head, data)
}
