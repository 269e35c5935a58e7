// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"
	"strings"

	"h2sniff/cmd/h2sniff/privilege"

	"golang.org/x/sys/unix"
)

func privileges() Section {
	s := Section{Name: "Privileges"}
	has, err := privilege.Effective()
	if err != nil {
		s.add(Broken, "capabilities", "%v", err)
		return s
	}
	lacks := false
	for _, c := range privilege.Needed() {
		switch {
		case has(c.Bit):
			s.add(OK, c.Name, "%s", c.Use)
		case has(c.Including):
			s.add(OK, c.Name, "%s (included in another capability)", c.Use)
		case c.Required:
			lacks = true
			s.add(Broken, c.Name, "is not there: to %s", c.Use)
		default:
			s.add(Missing, c.Name, "is not there: to %s", c.Use)
		}
	}
	admin := ""
	if lacks {
		s.Checks[len(s.Checks)-1].Todo = "run h2sniff as root (sudo), or once: " + setcap()
	} else {
		admin = s.admin(has(unix.CAP_SYS_ADMIN))
	}
	s.add(OK, "user", "uid %d", os.Geteuid())
	restrictions(&s, has(unix.CAP_PERFMON) || has(unix.CAP_SYS_ADMIN), admin)
	s.confinement(privilege.LandlockVersion())
	return s
}

// admin checks CAP_SYS_ADMIN where this kernel demands it, and says for what.
func (s *Section) admin(has bool) string {
	const name = "CAP_SYS_ADMIN"
	what, err := privilege.NeedsAdmin()
	switch {
	case err != nil:
		s.add(Broken, name, "whether this kernel demands it cannot be found out: %v", err)
	case what == "":
	case has:
		s.add(OK, name, "use %s, for which this kernel demands it", what)
	default:
		s.add(Broken, name, "is not there: this kernel demands it for %s", what).Todo =
			"run h2sniff as root (sudo), or once: " + setcap("cap_sys_admin")
	}
	return what
}

// setcap is the command that lets h2sniff run without root, with more
// capabilities than those that are needed everywhere. Who may execute the file
// can then read the plaintext of every process.
func setcap(more ...string) string {
	path, err := os.Executable()
	if err != nil {
		path = "h2sniff"
	}
	var names []string
	for _, c := range privilege.Needed() {
		names = append(names, strings.ToLower(c.Name))
	}
	names = append(names, more...)
	return fmt.Sprintf("sudo setcap %s+ep %s (whoever may execute that file can then read the plaintext of all processes)", strings.Join(names, ","), path)
}

// confinement tells what landlock of a version keeps from the process that
// decodes. Nothing else but the caller's ids, without capabilities, does.
func (s *Section) confinement(version int) {
	const (
		name  = "landlock"
		files = "the process that decodes may open the system's files and those that it is told to write"
	)
	switch {
	case version >= privilege.LandlockTCP:
		s.add(OK, name, "version %d: %s, and no TCP connection", version, files)
	case version >= privilege.LandlockFiles:
		s.add(Missing, name, "version %d: %s, but TCP connections too, before Linux 6.7", version, files)
	default:
		s.add(Missing, name, "not in this kernel, or not switched on (lsm=): the process that decodes has no capabilities, but may open what its user may").Todo =
			"boot with landlock among lsm=, on Linux 5.13 or newer"
	}
}

// restrictions tells of settings that bind those without the capabilities. admin
// is what the kernel demands CAP_SYS_ADMIN for.
func restrictions(s *Section, perfmon bool, admin string) {
	if v := readLine("/proc/sys/kernel/unprivileged_bpf_disabled"); v != "" {
		s.add(OK, "unprivileged_bpf_disabled", "%s: does not concern who has CAP_BPF", v)
	}
	if v := readLine("/proc/sys/kernel/perf_event_paranoid"); v != "" {
		switch {
		case !perfmon:
			s.add(Note, "perf_event_paranoid", "%s: h2sniff needs CAP_PERFMON whatever it is", v)
		case admin == privilege.PerfEvents:
			s.add(Note, "perf_event_paranoid", "%s: this kernel then demands CAP_SYS_ADMIN, as those of Debian and Ubuntu do", v).Todo =
				"to do without: sysctl kernel.perf_event_paranoid=2"
		default:
			s.add(OK, "perf_event_paranoid", "%s: does not concern who has CAP_PERFMON", v)
		}
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil {
		text := fmt.Sprintf("%d KiB", limit.Cur>>10)
		if limit.Cur == unix.RLIM_INFINITY {
			text = "unlimited"
		}
		s.add(OK, "RLIMIT_MEMLOCK", "%s; Linux 5.11 and newer do not count BPF maps against it", text)
	}
}
