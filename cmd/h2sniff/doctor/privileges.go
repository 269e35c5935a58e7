// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// capability is one of capabilities(7).
type capability struct {
	name     string
	bit      int
	instead  int // another that includes it; -1: none
	required bool
	use      string
}

var wanted = []capability{
	{"CAP_BPF", unix.CAP_BPF, unix.CAP_SYS_ADMIN, true, "load BPF programs"},
	{"CAP_PERFMON", unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, true, "read memory from them, place probes, watch processes"},
	{"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE, -1, true, "see what other users' processes map"},
	{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH, unix.CAP_DAC_OVERRIDE, false, "read programs and libraries that only their owners may"},
	{"CAP_CHECKPOINT_RESTORE", unix.CAP_CHECKPOINT_RESTORE, unix.CAP_SYS_ADMIN, false, "open libraries that were deleted or replaced while they are mapped"},
}

func privileges() Section {
	s := Section{Name: "Privileges"}
	effective, err := effectiveCapabilities()
	if err != nil {
		s.add(Broken, "capabilities", "%v", err)
		return s
	}
	has := func(bit int) bool { return bit >= 0 && effective&(1<<bit) != 0 }
	lacks := false
	for _, c := range wanted {
		switch {
		case has(c.bit):
			s.add(OK, c.name, "%s", c.use)
		case has(c.instead):
			s.add(OK, c.name, "%s (included in another capability)", c.use)
		case c.required:
			lacks = true
			s.add(Broken, c.name, "is not there: to %s", c.use)
		default:
			s.add(Missing, c.name, "is not there: to %s", c.use)
		}
	}
	if lacks {
		s.Checks[len(s.Checks)-1].Todo = "run h2sniff as root (sudo), or once: " + setcap()
	}
	s.add(OK, "user", "uid %d", os.Geteuid())
	restrictions(&s, has(unix.CAP_PERFMON) || has(unix.CAP_SYS_ADMIN))
	return s
}

// setcap is the command that lets h2sniff run without root. Who may execute the
// file can then read the plaintext of every process.
func setcap() string {
	path, err := os.Executable()
	if err != nil {
		path = "h2sniff"
	}
	var names []string
	for _, c := range wanted {
		names = append(names, strings.ToLower(c.name))
	}
	return fmt.Sprintf("sudo setcap %s+ep %s (whoever may execute that file can then read the plaintext of all processes)", strings.Join(names, ","), path)
}

// restrictions tells of settings that bind those without the capabilities.
func restrictions(s *Section, perfmon bool) {
	if v := readLine("/proc/sys/kernel/unprivileged_bpf_disabled"); v != "" {
		s.add(OK, "unprivileged_bpf_disabled", "%s: does not concern who has CAP_BPF", v)
	}
	if v := readLine("/proc/sys/kernel/perf_event_paranoid"); v != "" {
		level, text, todo := OK, "does not concern who has CAP_PERFMON", ""
		if !perfmon {
			level, text = Note, "h2sniff needs CAP_PERFMON whatever it is"
		}
		if n, err := strconv.Atoi(v); err == nil && n > 2 { // a patch of theirs
			level, text = Note, "kernels of Debian and Ubuntu then want CAP_SYS_ADMIN of who watches processes"
			todo = "if watching is refused: sysctl kernel.perf_event_paranoid=2"
		}
		s.add(level, "perf_event_paranoid", "%s: %s", v, text).Todo = todo
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

// effectiveCapabilities reads what proc_pid_status(5) says of this process.
func effectiveCapabilities() (set uint64, err error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			_, err = fmt.Sscanf(strings.TrimSpace(text), "%x", &set)
			return set, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status names no capabilities")
}
