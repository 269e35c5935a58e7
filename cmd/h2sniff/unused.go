// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"h2sniff/capture/target"
)

// maxUnused bounds the executables without a process that keep their probes, so
// that one that is run again and again is traced from its first instruction on.
// The probes of others are removed: they would hold the files, deleted ones too,
// of every program that was ever run.
const maxUnused = 64

// unused are the executables without a process, first those that have been so
// for longest. Only those count that are probed in every process.
type unused struct {
	users map[target.Key]int // processes that run each
	list  []target.Key
}

// add says that one more process runs an executable.
func (u *unused) add(key target.Key) {
	if u.users == nil {
		u.users = make(map[target.Key]int)
	}
	if u.users[key]++; u.users[key] == 1 {
		u.list = slices.DeleteFunc(u.list, func(k target.Key) bool { return k == key })
	}
}

// remove says that one process less runs it, and gives those of which the
// probes are to go.
func (u *unused) remove(key target.Key) (gone []target.Key) {
	if u.users[key] == 0 {
		return nil
	}
	if u.users[key]--; u.users[key] > 0 {
		return nil
	}
	delete(u.users, key)
	u.list = append(u.list, key)
	if n := len(u.list) - maxUnused; n > 0 {
		gone = slices.Clone(u.list[:n])
		u.list = slices.Delete(u.list, 0, n)
	}
	return gone
}
