//go:build kernels

// SPDX-License-Identifier: Apache-2.0

// Package kernels holds the tests of h2sniff under other kernels than the
// running one: in virtual machines that QEMU emulates, with a busybox, a server,
// a client and h2sniff as all their software. make kernels runs them.
package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// suites are the Debian suites whose kernels h2sniff must run on, and what it
// makes of each. KERNELS chooses some of them, by name and, if it is not amd64,
// processor: bookworm-arm64. If it is empty, all are run.
var suites = []struct {
	name      string
	processor *processor
	kernel    string // version, as far as it is fixed
	wanted    string // a line of h2sniff -d
}{
	{"bullseye", &amd64, "5.10.", "Linux 5.15 or newer is needed"},
	{"bookworm", &amd64, "6.1.", "sleepable programs: true, uprobe.multi links: false"},
	{"bookworm-backports", &amd64, "6.12.", "sleepable programs: true, uprobe.multi links: true"},
	{"sid", &amd64, "", "sleepable programs: true, uprobe.multi links: true"},
	{"bookworm", &arm64, "6.1.", "sleepable programs: true, uprobe.multi links: false"},
	{"sid", &arm64, "", "sleepable programs: true, uprobe.multi links: true"},
}

// processor is one that QEMU emulates.
type processor struct {
	name string   // as Debian and Go call it
	qemu []string // the emulator, with its machine
	// console is the kernel's name of the serial port, and what else it is told: on
	// a busy machine emulated timers are late, and the check of them panics.
	console string
}

var (
	amd64 = processor{"amd64", []string{"qemu-system-x86_64", "-cpu", "max"}, "ttyS0 no_timer_check"}
	arm64 = processor{"arm64", []string{"qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"}, "ttyAMA0"}
)

// boot is how long a machine may take: emulation runs at about a twentieth of
// the processor's speed.
const boot = 10 * time.Minute

func TestKernels(t *testing.T) {
	chosen := strings.Fields(os.Getenv("KERNELS"))
	for _, s := range suites {
		name := s.name
		if s.processor != &amd64 {
			name += "-" + s.processor.name
		}
		if len(chosen) > 0 && !slices.Contains(chosen, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			image := strings.TrimSpace(string(output(t, "../../../.ci/kernel", s.name, s.processor.name, t.TempDir())))
			m := run(t, s.processor, image, ramdisk(t, s.name, s.processor))
			m.wantDoctor(s.name)
			t.Logf("Linux %s", m.section("kernel"))
			if !strings.HasPrefix(m.section("kernel"), s.kernel) {
				m.errorf("the kernel is %s, want %s", m.section("kernel"), s.kernel)
			}
			if m.section("after") != "70000" {
				m.errorf("the server does not answer after h2sniff has ended")
			}
			for _, mode := range []string{"full", "headers"} {
				said := m.section(mode + "-errors")
				if !strings.Contains(said, s.wanted) {
					m.errorf("%s: h2sniff does not say %q", mode, s.wanted)
				}
				if s.kernel == "5.10." {
					if m.section(mode+"-status") != "1" {
						m.errorf("exit status %s, want 1", m.section(mode+"-status"))
					}
					continue
				}
				if m.section(mode+"-status") != "0" || !strings.Contains(said, " 0 bytes lost") {
					m.errorf("%s: exit status %s", mode, m.section(mode+"-status"))
				}
				if strings.Contains(said, "loading BPF programs") {
					m.errorf("%s: programs did not load", mode)
				}
				if left := strings.Contains(said, "not copied"); left != (mode == "headers") {
					m.errorf("%s: octets were left out: %v", mode, left)
				}
				for _, line := range verification.FindAllString(said, -1) {
					t.Logf("%s: %s", mode, strings.ReplaceAll(line, "\n", " "))
				}
				for _, server := range []string{"openssl", "cleartext", "go"} {
					m.wantFrames(mode, server)
				}
			}
			if s.kernel != "5.10." && compiles(s.processor) {
				m.wantNSS()
			}
		})
	}
}

// machine is what a virtual machine has printed.
type machine struct {
	t        *testing.T
	out      string
	failures []string // told behind out, which is long
}

func (m *machine) errorf(format string, args ...any) {
	m.t.Fail()
	m.failures = append(m.failures, fmt.Sprintf(format, args...))
}

// run boots a machine and waits until it has switched itself off.
func run(t *testing.T, p *processor, image, ramdisk string) *machine {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), boot)
	defer cancel()
	// One processor: with two, the emulation sometimes runs stale code where
	// a kernel changes its own (Oops: int3 during the boot of 7.2).
	qemu := exec.CommandContext(ctx, p.qemu[0], append(p.qemu[1:], "-accel", "tcg", "-smp", "1", "-m", "1024",
		"-nographic", "-no-reboot", "-nic", "none", "-kernel", image, "-initrd", ramdisk, "-append", "console="+p.console+" quiet panic=-1")...)
	out, err := qemu.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", qemu, errors.Join(err, ctx.Err()), out)
	}
	m := &machine{t: t, out: strings.ReplaceAll(string(out), "\r", "")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console:\n%s\n%s", m.out, strings.Join(m.failures, "\n"))
		}
	})
	return m
}

// section gives the lines that begin with a name.
func (m *machine) section(name string) string {
	var lines []string
	for line := range strings.Lines(m.out) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			lines = append(lines, strings.TrimSuffix(text, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}

var frame = regexp.MustCompile(`(send|recv) (\w+) frame <length=(\d+),.*stream_id=(\d+)`)

// verification is what h2sniff -d says of the larger programs.
var verification = regexp.MustCompile(`(?s)(?:ret|leave|go_entry|go_return): verification time \d+ usec\n.*?processed \d+ insns`)

// frames lists the frames in one direction, by type, length and stream.
func frames(log, direction string) []string {
	var out []string
	for _, m := range frame.FindAllStringSubmatch(log, -1) {
		if m[1] == direction {
			out = append(out, strings.Join(m[2:], " "))
		}
	}
	return out
}

// wantFrames compares what the clients say of their two connections with what
// h2sniff saw of the server, which had them one after the other.
func (m *machine) wantFrames(mode, server string) {
	seen := m.section(mode + "-" + server + "-lines")
	for _, direction := range []struct{ server, client string }{{"recv", "send"}, {"send", "recv"}} {
		var want []string
		for i := range 2 {
			want = append(want, frames(m.section(fmt.Sprintf("%s-%s-client%d", mode, server, i+1)), direction.client)...)
		}
		got := frames(seen, direction.server)
		if server == "go" && direction.server == "send" {
			// net/http answers a GOAWAY with one when the client is gone.
			last := func(frame string) bool { return strings.HasPrefix(frame, "GOAWAY ") }
			got, want = slices.DeleteFunc(got, last), slices.DeleteFunc(want, last)
		}
		if !slices.Equal(got, want) || len(want) < 12 {
			m.errorf("%s, %s: the server's %s:\n%s\nwant, by the client:\n%s", mode, server, direction.server, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// wantNSS compares what h2sniff saw of both ends of a connection. The client,
// which uses NSS, does not read the end of what the server sends.
func (m *machine) wantNSS() {
	client, server, said := m.section("nss-client"), m.section("nss-server"), m.section("nss-errors")
	if m.section("nss-status") != "0" || !strings.Contains(said, " 0 bytes lost") || !strings.Contains(said, "NSS: enabled") {
		m.errorf("NSS: exit status %s", m.section("nss-status"))
	}
	sent, got := frames(client, "send"), frames(server, "recv")
	if !slices.Equal(sent, got) || len(sent) != 3 {
		m.errorf("NSS has sent:\n%s\nthe server received:\n%s", strings.Join(sent, "\n"), strings.Join(got, "\n"))
	}
	received, all := frames(client, "recv"), frames(server, "send")
	if len(received) < 6 || len(received) > len(all) || !slices.Equal(received, all[:len(received)]) {
		m.errorf("NSS has received:\n%s\nthe server sent:\n%s", strings.Join(received, "\n"), strings.Join(all, "\n"))
	}
}

func output(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(program, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, errs.String())
	}
	return out
}
