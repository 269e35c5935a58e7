// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"fmt"

	"h2sniff/bpf"
	"h2sniff/capture/target"
)

func (a *Attacher) planNSS(lib *target.Library, number uint32) []placement {
	return plan(lib, number, a.objs.NSS.NssEntry, a.objs.NSS.NssReturn)
}

// Describe tells the programs what they have to know of a library in a process
// that maps it. An error that wraps fs.ErrNotExist says that the process, or its
// mapping, has gone.
func (a *Attacher) Describe(lib *target.Library, pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.objs.NSS == nil || !lib.Has("SSL_ImportFD") {
		return nil
	}
	start, end, err := target.DataOf(lib, pid)
	if err != nil {
		return fmt.Errorf("finding the data of %s: %w", lib.Path, err)
	}
	data := bpf.NSSData{Start: start, End: end, Library: a.number[lib.Key()]}
	if err := a.objs.NSS.Processes.Put(uint32(pid), data); err != nil {
		return fmt.Errorf("telling of the data of %s: %w", lib.Path, err)
	}
	return nil
}
