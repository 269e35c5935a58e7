// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// startedPowerless tells the test binary to be the process that TestStart looks
// at.
const startedPowerless = "H2SNIFF_TEST_POWERLESS"

func sayPowers() {
	if err := KeepNone(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Uid") {
			fmt.Print(line)
		}
	}
	// With kernel.unprivileged_bpf_disabled nobody else may do this.
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err == nil {
		m.Close()
	}
	fmt.Printf("BPF\t%v\n", !errors.Is(err, os.ErrPermission))
}

// TestStart: a process gets no capability, or CAP_BPF alone, which then works
// for it as another user.
func TestStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for keepBPF, set := range map[bool]uint64{false: 0, true: 1 << unix.CAP_BPF} {
		var out strings.Builder
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), startedPowerless+"=1")
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := Start(cmd, keepBPF); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
		caps := fmt.Sprintf("%016x", set)
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534", "NoNewPrivs:\t1", "CapPrm:\t" + caps, "CapEff:\t" + caps, "CapBnd:\t" + caps} {
			if !strings.Contains(out.String(), want+"\n") {
				t.Errorf("keepBPF %v: no %q in\n%s", keepBPF, want, out.String())
			}
		}
		if disabled, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled"); err == nil && disabled[0] != '0' {
			if want := fmt.Sprintf("BPF\t%v\n", keepBPF); !strings.Contains(out.String(), want) {
				t.Errorf("keepBPF %v: no %q in\n%s", keepBPF, want, out.String())
			}
		}
	}
}
