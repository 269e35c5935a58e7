// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() { programs["sandbox"] = sandbox }

// sysUnknown is no system call, and was none when lists were written, as that of
// return probes (335), which kernels since then let past filters.
const sysUnknown = 400

// forbidden are system calls that systemd's @system-service leaves out: its
// groups @clock, @debug, @module, @mount, @raw-io, @reboot and @swap.
var forbidden = []uint32{
	unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_PTRACE, unix.SYS_PERF_EVENT_OPEN, unix.SYS_BPF, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_REBOOT, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_SWAPON, unix.SYS_SWAPOFF,
}

// strictFilter kills the process at a system call that is not in the list, as
// systemd's SystemCallFilter=@system-service does: unknown numbers are not in it.
func strictFilter() []unix.SockFilter {
	const load, equal, above, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS,
		unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const arch, nr = 4, 0 // offsets in struct seccomp_data
	kill := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS}
	f := []unix.SockFilter{
		{Code: load, K: arch},
		{Code: equal, K: unix.AUDIT_ARCH_X86_64, Jt: 1},
		kill,
		{Code: load, K: nr},
	}
	for _, n := range forbidden {
		f = append(f, unix.SockFilter{Code: equal, K: n, Jf: 1}, kill)
	}
	return append(f,
		// 335 to 423 were no system calls when such lists were written, and
		// what is behind faccessat2 is newer than them.
		unix.SockFilter{Code: above, K: unix.SYS_RSEQ, Jf: 3},
		unix.SockFilter{Code: above, K: unix.SYS_PIDFD_SEND_SIGNAL - 1, Jf: 1},
		unix.SockFilter{Code: above, K: unix.SYS_FACCESSAT2, Jf: 1},
		kill,
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW},
	)
}

// sandbox executes a command under strictFilter and no_new_privs; with the word
// namespaces before it in a user and a pid namespace, as Chromium starts its
// renderers; with the word probe it makes a system call that is in no list.
func sandbox(args []string) error {
	if args[0] == "namespaces" {
		return inNamespaces(args[1:])
	}
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	filter := strictFilter()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if args[0] == "probe" {
		_, _, errno := unix.RawSyscall(sysUnknown, 0, 0, 0)
		return errno
	}
	return unix.Exec(args[0], args, os.Environ())
}

func inNamespaces(args []string) error {
	runtime.LockOSThread() // whose end is what Pdeathsig tells of
	cmd := program("sandbox", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return cmd.Run()
}

// TestSandboxedServer: nginx in sandboxes that kill at a system call that they
// do not know works on while h2sniff attaches, captures under load, and ends.
func TestSandboxedServer(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
	}{
		{"strict service", nil},
		{"namespaces", []string{"namespaces"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := append([]string{programVariable + "=sandbox", self}, test.args...)
			nginx := startNginxBy(t, append([]string{"env"}, start...), 2)
			if len(test.args) > 0 {
				inside := children(t, nginx.pid)
				if len(inside) != 1 {
					t.Fatalf("processes %v in the sandbox", inside)
				}
				nginx.pid = inside[0]
			}
			workers := workersOf(t, nginx, 2)
			for _, pid := range append([]int{nginx.pid}, workers...) {
				if mode, fixed := procStatus(t, pid, "Seccomp"), procStatus(t, pid, "NoNewPrivs"); mode != "2" || fixed != "1" {
					t.Fatalf("process %d: Seccomp %s, NoNewPrivs %s", pid, mode, fixed)
				}
			}
			l := startLoad(t, nginx.url("/"))
			for range 2 {
				s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
				s.waitFor("frames", func(rows []row) bool { return len(frames(rows, "", "")) > 1000 })
				if rows := s.stop(); countKind(rows, "", "open") == 0 {
					t.Error("no connection")
				}
				wantUntouched(t, workers)
			}
			l.wantNoFailure()
			if now := children(t, nginx.pid); !slices.Equal(now, workers) {
				t.Errorf("workers %v, before %v", now, workers)
			}
		})
	}
}

// TestSandboxKills: the sandbox of these tests is one that could harm.
func TestSandboxKills(t *testing.T) {
	t.Parallel()
	out, err := program("sandbox", "probe").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGSYS {
		t.Errorf("%v, want a death by SIGSYS\n%s", err, strings.TrimSpace(string(out)))
	}
}
