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

// Names of features of which each replaces the other.
const (
	perfUprobes = "perf uprobes"
	multiLinks  = "uprobe.multi links"
)

// ProbeFeatures tries each feature with a tiny program or map: versions of
// kernels do not tell, since distributions add and remove. What it attaches is
// gone when it returns.
func ProbeFeatures() []Feature {
	list := []Feature{
		{Name: "BTF", Use: "places of the kernel's fields"},
		{Name: "ring buffer", Use: "the way of the plaintext to h2sniff"},
		{Name: "attach cookies", Use: "telling probed functions apart"},
		{Name: perfUprobes, Use: "probes on functions"},
		{Name: "raw tracepoints", Use: "the ends of processes"},
		{Name: "tp_btf programs", Use: "addresses of sockets"},
		{Name: "sleepable uprobes", Use: "reading pages that are not in memory", Fallback: "such octets are told as not copied"},
		{Name: multiLinks, Use: "placing all probes of a library at once", Fallback: "a perf event each"},
		{Name: "task storage", Use: "following processes for cleartext HTTP/2", Fallback: "no cleartext HTTP/2"},
		{Name: "TCP tracepoints", Use: "cleartext HTTP/2 at no cost for other system calls", Fallback: "every system call is looked at"},
	}
	var perf *Feature
	for i, probe := range []func() error{
		probeBTF,
		func() error { return features.HaveMapType(ebpf.RingBuf) },
		func() error { return features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie) },
		probeUprobe, probeRawTracepoint, probeTracing, probeSleepable,
		features.HaveBPFLinkUprobeMulti,
		func() error { return features.HaveMapType(ebpf.TaskStorage) },
		HaveTCPTracepoints,
	} {
		err := probe()
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: %w", ErrPermission, err)
		}
		list[i].Err = err
		switch {
		case list[i].Name == perfUprobes:
			perf = &list[i]
		case list[i].Name == multiLinks && err == nil:
			perf.Fallback = "uprobe.multi links are used in any case"
		}
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

// probeUprobe places a probe in this process, where it began: no thread comes
// there again.
func probeUprobe() error {
	const own = "/proc/self/exe"
	offset, err := entryOffset(own)
	if err != nil {
		return err
	}
	p, err := tiny(ebpf.ProgramSpec{Type: ebpf.Kprobe})
	if err != nil {
		return err
	}
	defer p.Close()
	ex, err := link.OpenExecutable(own)
	if err != nil {
		return err
	}
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
