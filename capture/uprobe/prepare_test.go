// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"os"
	"testing"

	"h2sniff/bpf"
	"h2sniff/capture/target"
)

// What is loaded ahead is not attached: it costs nothing until it is needed.
func TestPrepare(t *testing.T) {
	need(t, "root", os.Getuid() == 0)
	objs, err := bpf.Load(bpf.Options{RingBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	a, err := NewAttacher(objs, func(uint32, string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	links := len(a.base)
	a.Prepare([]target.Family{target.OpenSSL, target.Go, target.NSS}, true)
	if objs.Go == nil || objs.NSS == nil || objs.Syscalls == nil {
		t.Errorf("loaded: Go %t, NSS %t, system calls %t", objs.Go != nil, objs.NSS != nil, objs.Syscalls != nil)
	}
	if len(a.base) != links {
		t.Errorf("%d links were made", len(a.base)-links)
	}
	if err := a.Follow(os.Getpid(), bpf.FollowTree); err != nil {
		t.Fatal(err)
	}
	if want := len(objs.Syscalls.Programs); len(a.base) != links+want {
		t.Errorf("%d links for system calls, want %d", len(a.base)-links, want)
	}
}
