// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
)

// Feature is something of the kernel that h2sniff uses.
type Feature struct {
	Name string
	Use  string // what for
	// Fallback says what is done without; "" where nothing works.
	Fallback string
	// Err is nil where the feature is there. It wraps ErrPermission where the
	// caller may not find out.
	Err error
}

// ProbeFeatures tries each feature with a tiny program or map: versions of
// kernels do not tell, since distributions add and remove. What it attaches is
// gone when it returns.
func ProbeFeatures() []Feature {
	without := "" // perf uprobes
	if HaveUprobeMulti() {
		without = "uprobe.multi links are used in any case"
	}
	var list []Feature
	for _, f := range []struct {
		name, use, fallback string
		try                 func() error
	}{
		{"BTF", "places of the kernel's fields", "", probeBTF},
		{"ring buffer", "the way of the plaintext to h2sniff", "", func() error { return features.HaveMapType(ebpf.RingBuf) }},
		{"attach cookies", "telling probed functions apart", "", func() error {
			return features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie)
		}},
		{"perf uprobes", "probes on functions", without, probeUprobe},
		{"raw tracepoints", "the ends of processes", "", probeRawTracepoint},
		{"tp_btf programs", "addresses of sockets", "", probeTracing},
		{"sleepable uprobes", "reading pages that are not in memory", "such octets are told as not copied", probeSleepable},
		{"uprobe.multi links", "placing all probes of a library at once", "a perf event each", features.HaveBPFLinkUprobeMulti},
		{"task storage", "following processes for cleartext HTTP/2", "no cleartext HTTP/2", func() error {
			return features.HaveMapType(ebpf.TaskStorage)
		}},
		{"TCP tracepoints", "cleartext HTTP/2 at no cost for other system calls", "every system call is looked at", HaveTCPTracepoints},
	} {
		err := f.try()
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: %w", ErrPermission, err)
		}
		list = append(list, Feature{Name: f.name, Use: f.use, Fallback: f.fallback, Err: err})
	}
	return list
}

func probeBTF() error {
	_, err := btf.LoadKernelSpec()
	return err
}

// HaveTCPTracepoints fails where the kernel has not all tracepoints by which TCP
// tells of sends and receives: sock_send_length and sock_recv_length are of Linux
// 6.3, tcp_sendmsg_locked of Linux 6.16.
func HaveTCPTracepoints() error {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return err
	}
	for _, name := range []string{"tcp_sendmsg_locked", "sock_send_length", "sock_recv_length"} {
		var t *btf.Typedef
		if err := kernel.TypeByName("btf_trace_"+name, &t); err != nil {
			return fmt.Errorf("tracepoint %s: %w", name, err)
		}
	}
	return nil
}

// tiny returns 0 at once.
func tiny(spec ebpf.ProgramSpec) (*ebpf.Program, error) {
	spec.License = "Dual MIT/GPL"
	if spec.Instructions == nil {
		spec.Instructions = asm.Instructions{asm.LoadImm(asm.R0, 0, asm.DWord), asm.Return()}
	}
	return ebpf.NewProgramWithOptions(&spec, ebpf.ProgramOptions{LogDisabled: true})
}

// OwnEntry gives a place for a probe in this process that is never hit: where it
// began.
func OwnEntry() (*link.Executable, uint64, error) {
	const own = "/proc/self/exe"
	offset, err := entryOffset(own)
	if err != nil {
		return nil, 0, err
	}
	ex, err := link.OpenExecutable(own)
	return ex, offset, err
}

func probeUprobe() error {
	ex, offset, err := OwnEntry()
	if err != nil {
		return err
	}
	p, err := tiny(ebpf.ProgramSpec{Type: ebpf.Kprobe})
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := ex.Uprobe("", p, &link.UprobeOptions{Address: offset, Cookie: 1, PID: os.Getpid()})
	if err != nil {
		return err
	}
	return l.Close()
}

// entryOffset is where in the file the program begins.
func entryOffset(path string) (uint64, error) {
	f, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && f.Entry >= p.Vaddr && f.Entry < p.Vaddr+p.Filesz {
			return f.Entry - p.Vaddr + p.Off, nil
		}
	}
	return 0, errors.New("the executable has no entry point")
}

func probeRawTracepoint() error {
	p, err := tiny(ebpf.ProgramSpec{Type: ebpf.RawTracepoint})
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: p})
	if err != nil {
		return err
	}
	return l.Close()
}

func probeTracing() error {
	p, err := tiny(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceRawTp, AttachTo: "tcp_rcv_space_adjust"})
	if err != nil {
		return err
	}
	defer p.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: p})
	if err != nil {
		return err
	}
	return l.Close()
}

// probeSleepable loads a program that may wait for a page.
func probeSleepable() error {
	p, err := tiny(ebpf.ProgramSpec{
		Type: ebpf.Kprobe, Flags: syscallProgSleepable,
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0),
			asm.FnCopyFromUser.Call(),
			asm.LoadImm(asm.R0, 0, asm.DWord), asm.Return(),
		},
	})
	if err != nil {
		return err
	}
	return p.Close()
}
