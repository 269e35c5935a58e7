// SPDX-License-Identifier: Apache-2.0

package target

import (
	"path/filepath"
	"slices"
)

// libraryDirs are where dynamic loaders look by themselves: Debian's multiarch
// folders, Fedora's lib64, and what administrators install.
var libraryDirs = []string{
	"/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64",
	"/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib64", "/usr/local/lib/*-linux-gnu",
}

// Installed returns the libraries of the wanted families in the folders where
// the dynamic loader looks, whether or not a process maps them: probes placed
// on them are there before a program's first call. What is found there but
// cannot be read is left out: it is reported when a process maps it.
func Installed(s Selection, o Options) []Library {
	f := newFinder(s, o.Wanted)
	var found []Library
	seen := make(map[Key]bool)
	for _, dir := range libraryDirs {
		var names []string
		for _, r := range f.rules {
			for _, name := range r.libraries {
				matches, _ := filepath.Glob(filepath.Join(dir, name+"*.so*")) // the pattern is well-formed
				names = append(names, matches...)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			path, err := filepath.EvalSymlinks(name)
			if err != nil {
				continue
			}
			family, strict := familyOf([]byte(path))
			if !strict {
				continue
			}
			libraries, _, err := f.libraries(path)
			if err != nil {
				continue
			}
			for _, l := range libraries {
				if l.Family == family && !seen[l.Key()] {
					seen[l.Key()] = true
					found = append(found, l)
				}
			}
		}
	}
	return found
}
