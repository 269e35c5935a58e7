// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The viewer and the demo's processes are executed by way of /proc/self/exe and
// would be called "exe". Package initialisation runs in the main thread, whose
// name is that of the process. (/proc/self/comm belongs to root where the file
// has capabilities.)
func init() {
	name := "h2sniff"
	if len(os.Args) == 2 && (os.Args[1] == demoServer || os.Args[1] == demoClient) {
		name = os.Args[1]
	}
	text := append([]byte(name), 0)
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&text[0])), 0, 0, 0) // fails for bad addresses alone
}
