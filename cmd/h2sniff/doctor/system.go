// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

func system() Section {
	s := Section{Name: "System"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		s.add(Broken, "kernel", "%v", err)
	} else {
		s.add(OK, "kernel", "%s %s %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	s.processor(runtime.GOARCH)
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		s.add(Broken, "BTF", "%v", err).Todo = "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs on /sys"
	} else {
		s.add(OK, "BTF", "/sys/kernel/btf/vmlinux")
	}
	self, err := os.Readlink("/proc/self")
	switch {
	case err != nil:
		s.add(Broken, "/proc", "%v", err).Todo = "mount proc on /proc"
	case self != fmt.Sprint(os.Getpid()):
		s.add(Broken, "/proc", "shows another pid namespace than h2sniff is in").Todo = "mount it anew: unshare --mount-proc"
	case hidesProcesses():
		s.add(Note, "/proc", "is mounted with hidepid: only root, or the group that gid= names, sees all processes")
	default:
		s.add(OK, "/proc", "shows the processes of this pid namespace")
	}
	lockdown(&s)
	if lsm := readLine("/sys/kernel/security/lsm"); lsm != "" {
		s.add(OK, "security modules", "%s", lsm)
	}
	if readLine("/proc/sys/net/core/bpf_jit_enable") == "0" {
		s.add(Note, "BPF JIT", "is off: each probe costs traced programs more").Todo = "sysctl net.core.bpf_jit_enable=1"
	}
	return s
}

// lockdown tells what kernel_lockdown(7) forbids.
func lockdown(s *Section) {
	const path = "/sys/kernel/security/lockdown"
	modes := readLine(path)
	_, rest, ok := strings.Cut(modes, "[")
	mode, _, _ := strings.Cut(rest, "]")
	switch {
	case !ok:
		s.add(OK, "lockdown", "not in this kernel, or securityfs is not mounted")
	case mode == "confidentiality":
		s.add(Broken, "lockdown", "confidentiality: BPF programs may not read memory").Todo = "boot without lockdown=confidentiality (kernel_lockdown(7))"
	default:
		s.add(OK, "lockdown", "%s", mode)
	}
}

// hidesProcesses reports whether /proc is mounted with hidepid.
func hidesProcesses() bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	hidden := false
	for line := range strings.Lines(string(b)) { // the last mount on /proc is the one that shows
		if f := strings.Fields(line); len(f) > 5 && f[4] == "/proc" {
			hidden = strings.Contains(line, "hidepid=") && !strings.Contains(line, "hidepid=0") && !strings.Contains(line, "hidepid=off")
		}
	}
	return hidden
}

// processor says what is not done on a processor, by Go's name for it.
func (s *Section) processor(name string) {
	switch name {
	case "amd64":
		s.add(OK, "processor", "%s: cheaper places for probes are looked for", name)
	case "arm64":
		s.add(Missing, "processor", "%s: cheaper places for probes, and the one for Go programs that stands for most returns, "+
			"are looked for in x86-64 code alone; here probes are at the beginnings and returns of functions, which costs programs more", name)
	default:
		s.add(Broken, "processor", "%s: there are BPF programs for amd64 and arm64 only", name)
	}
}
