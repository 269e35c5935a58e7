// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the kernel side of h2sniff: the C programs, the objects
// and Go bindings generated from them, and loading. It attaches nothing and
// reads nothing; it hands out programs and maps.
package bpf

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
)

//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" tls tls.bpf.c

// Sentinels of Load. Each error that wraps one says what to do about it.
var (
	// ErrPermission: the caller may not load BPF programs.
	ErrPermission = errors.New("not permitted to load BPF programs")
	// ErrNoBTF: the kernel does not describe its types.
	ErrNoBTF = errors.New("the kernel has no BTF")
	// ErrKernel: the kernel lacks a feature without which nothing works.
	ErrKernel = errors.New("the kernel is too old")
)

// privileges is what helps against ErrPermission.
const privileges = "run as root, or with CAP_BPF and CAP_PERFMON"

// Options for Load.
type Options struct {
	// RingBytes is the size of the ring buffer: a power of two and a multiple
	// of the page size.
	RingBytes int
	// LogVerifier collects the verifier's statistics in Objects.VerifierLog.
	LogVerifier bool
}

// Mode says which features of newer kernels the programs use.
type Mode struct {
	// Multi: Entry and Ret are attached by uprobe.multi links (Linux 6.6),
	// otherwise by one perf event a probe.
	Multi bool
	// Sleepable: the programs can fault pages in (Linux 6.0).
	Sleepable bool
}

// Objects are the loaded programs and maps. They belong to the caller of Load.
type Objects struct {
	tlsObjects
	Mode
	VerifierLog string
}

// Load loads the programs with the best features that the running kernel has:
// sleepable programs and uprobe.multi links where they load, else plain ones.
func Load(o Options) (*Objects, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: %s: raising RLIMIT_MEMLOCK: %w", ErrPermission, privileges, err)
	}
	if _, err := btf.LoadKernelSpec(); err != nil {
		return nil, fmt.Errorf("%w (/sys/kernel/btf/vmlinux): use a kernel built with CONFIG_DEBUG_INFO_BTF=y: %w", ErrNoBTF, err)
	}
	multi := features.HaveBPFLinkUprobeMulti() == nil
	// Newest first; what fails to load is tried in its plainer form.
	var firstErr error
	for _, mode := range []Mode{{multi, true}, {multi, false}, {false, false}} {
		objs, err := LoadMode(o, mode)
		if err == nil {
			return objs, nil
		}
		var ve *ebpf.VerifierError
		verified := errors.As(err, &ve) && len(ve.Log) > 0
		switch {
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
			return nil, err // the plainer forms need as much
		case verified, errors.Is(err, syscall.EINVAL), errors.Is(err, ebpf.ErrNotSupported):
			// The kernel does not know something that the mode needs.
		case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
			return nil, fmt.Errorf("%w: %s", ErrPermission, privileges)
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, fmt.Errorf("%w: Linux 5.15 or newer is needed: %w", ErrKernel, firstErr)
}

// LoadMode loads the programs in a mode that the kernel must have.
func LoadMode(o Options, mode Mode) (*Objects, error) {
	inum, err := pidNamespace()
	if err != nil {
		return nil, err
	}
	spec, err := loadTls()
	if err != nil {
		return nil, fmt.Errorf("reading the embedded BPF object: %w", err)
	}
	for name, value := range map[string]any{
		"sleepable":    mode.Sleepable,
		"pidns_inum":   inum,
		"wakeup_bytes": uint64(o.RingBytes / 8),
	} {
		v := spec.Variables[name]
		if v == nil {
			return nil, fmt.Errorf("BPF object has no variable %s", name)
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
	}
	spec.Maps["events"].MaxEntries = uint32(o.RingBytes)
	for _, name := range []string{"entry", "ret"} {
		p := spec.Programs[name]
		if mode.Sleepable {
			p.Flags |= syscallProgSleepable
		}
		if mode.Multi {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	objs := &Objects{Mode: mode}
	opts := &ebpf.CollectionOptions{}
	if o.LogVerifier {
		opts.Programs.LogLevel = ebpf.LogLevelStats
	}
	if err := spec.LoadAndAssign(&objs.tlsObjects, opts); err != nil {
		return nil, fmt.Errorf("loading BPF programs: %w", err)
	}
	if o.LogVerifier {
		for name, p := range map[string]*ebpf.Program{"entry": objs.Entry, "ret": objs.Ret, "receive": objs.Receive} {
			objs.VerifierLog += fmt.Sprintf("%s: %s\n", name, p.VerifierLog)
		}
	}
	return objs, nil
}

const syscallProgSleepable = 1 << 4 // BPF_F_SLEEPABLE, linux/bpf.h

// pidNamespace gives the inode of h2sniff's own pid namespace, by which the
// programs find the pids that /proc shows here.
func pidNamespace() (uint32, error) {
	fi, err := os.Stat("/proc/self/ns/pid")
	if err != nil {
		return 0, fmt.Errorf("finding the own pid namespace (is /proc mounted?): %w", err)
	}
	return uint32(fi.Sys().(*syscall.Stat_t).Ino), nil
}
