// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDoctor: where the tests of capture pass, it says that capture works.
func TestDoctor(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	r := runSniff(t, "doctor")
	if r.status != 0 || r.stderr != "" || !strings.HasSuffix(r.stdout, "\nlive capture works\n") {
		t.Errorf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	for _, want := range []string{
		`(?m)^  ok      kernel: Linux \d+\.`, `(?m)^  ok      CAP_BPF: `, `(?m)^  ok      ring buffer: `,
		`(?m)^  (ok|missing) +uprobe.multi links: `, `(?m)^  ok      loading: sleepable: (true|false)`,
		`(?m)^  ok      OpenSSL 3\.\d+\.\d+: /.*/libssl.so.3$`, `(?m)^  ok      capture: a frame came `,
		`(?m)^  (ok|missing) +landlock: `,
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("no line matches %s:\n%s", want, r.stdout)
		}
	}
}

// TestDoctorWithCapabilities: those that the README names are enough where
// TestCapabilitiesSuffice passes, which is where uprobe.multi links are.
func TestDoctorWithCapabilities(t *testing.T) {
	t.Parallel()
	needPrograms(t, "setpriv")
	r := runCommand(t, withCapabilities(h2sniff, "doctor"))
	if r.status != 0 || strings.Contains(r.stdout, "BROKEN") || !strings.HasSuffix(r.stdout, "\nlive capture works\n") {
		t.Errorf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	if !regexp.MustCompile(`(?m)^  (ok      perf uprobes: |missing perf uprobes: .*uprobe\.multi)`).MatchString(r.stdout) {
		t.Errorf("perf uprobes are not said to be replaced:\n%s", r.stdout)
	}
}

// TestDoctorWithoutRights: without privileges it says which, and what to do.
func TestDoctorWithoutRights(t *testing.T) {
	t.Parallel()
	needPrograms(t)
	cmd := exec.Command(h2sniff, "doctor")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	r := runCommand(t, cmd)
	if r.status != 1 || !strings.HasPrefix(r.stderr, "h2sniff: live capture does not work here") || strings.Contains(r.stdout+r.stderr, "goroutine") {
		t.Errorf("exit status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
	for _, want := range []string{
		`(?m)^  BROKEN  CAP_BPF: is not there`, `(?m)^  BROKEN  CAP_PERFMON: `, `setcap cap_bpf,cap_perfmon,cap_sys_ptrace,`,
		`(?m)^  BROKEN  loading: not permitted`, `(?m)^  ok      OpenSSL 3\.`,
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("no line matches %s:\n%s", want, r.stdout)
		}
	}
}
