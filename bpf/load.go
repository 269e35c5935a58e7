// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the kernel side of h2sniff: the C programs, the objects
// and Go bindings generated from them, and loading. It attaches nothing and
// reads nothing; it hands out programs and maps.
package bpf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/rlimit"
)

//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" process process.bpf.c
//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" tls tls.bpf.c
//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" syscall syscall.bpf.c
//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" gotls gotls.bpf.c
//go:generate go tool bpf2go -cc clang-14 -target amd64,arm64 -cflags "-O2 -mcpu=v3 -Wall -Wextra -Werror" nss nss.bpf.c

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
const privileges = "run as root, or with the capabilities that h2sniff doctor lists"

// Options for Load.
type Options struct {
	// RingBytes is the size of the ring buffer: a power of two and a multiple
	// of the page size.
	RingBytes int
	// LogVerifier collects the verifier's statistics in Objects.VerifierLog.
	LogVerifier bool
	// HeadersOnly leaves the content of DATA frames out: its length is told,
	// and all other frames come whole.
	HeadersOnly bool
	// Idle has every program return at once: what is left is what the kernel
	// itself takes to call them. Nothing is captured.
	Idle bool
}

// Mode says which features of newer kernels the programs use.
type Mode struct {
	// Multi: Entry and Ret are attached by uprobe.multi links (Linux 6.6),
	// otherwise by one perf event a probe.
	Multi bool
	// Sleepable: the programs can fault pages in (Linux 6.0).
	Sleepable bool
	// TCP: it tells of sends and receives itself (Linux 6.16), otherwise each
	// system call of the machine does.
	TCP bool
}

// Objects are the loaded programs and maps. They belong to the caller of Load.
//
// Each object file of this package defines the maps of state.h. Those of
// process.bpf.c are created; the programs of all others are given the same ones.
type Objects struct {
	processObjects
	tlsPrograms
	Mode
	// Syscalls is nil before LoadSyscalls, Go before LoadGo, NSS before LoadNSS.
	Syscalls    *Syscalls
	Go          *GoPrograms
	NSS         *NSS
	VerifierLog string

	options Options
	pidns   uint32
	ending  []*ebpf.Variable // of each object file, to end all programs with
}

// Stop has the programs tell nothing any more. Call it before the probes are taken
// away, which is done one after the other, so that all stop telling at one time,
// and behind the last LoadSyscalls, LoadGo and LoadNSS.
func (o *Objects) Stop() error {
	for _, v := range o.ending {
		if err := v.Set(true); err != nil {
			return fmt.Errorf("stopping the BPF programs: %w", err)
		}
	}
	return nil
}

// Close unloads what nothing else holds.
func (o *Objects) Close() error {
	var err error
	if o.Syscalls != nil {
		err = o.Syscalls.close()
	}
	if o.Go != nil {
		err = errors.Join(err, o.Go.Close())
	}
	if o.NSS != nil {
		err = errors.Join(err, o.NSS.nssPrograms.Close(), o.NSS.Processes.Close())
	}
	return errors.Join(err, o.tlsPrograms.Close(), o.processObjects.Close())
}

// Load loads the programs with the best features that the running kernel has:
// sleepable programs and uprobe.multi links where they load, else plain ones.
func Load(o Options) (*Objects, error) {
	switch err := rlimit.RemoveMemlock(); {
	case errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("%w: %s", ErrPermission, privileges)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: raising RLIMIT_MEMLOCK: %w", ErrPermission, privileges, err)
	}
	if _, err := btf.LoadKernelSpec(); err != nil {
		return nil, fmt.Errorf("%w (/sys/kernel/btf/vmlinux): use a kernel built with CONFIG_DEBUG_INFO_BTF=y: %w", ErrNoBTF, err)
	}
	multi, tcp := HaveUprobeMulti(), HaveTCPTracepoints() == nil
	// Newest first; what fails to load is tried in its plainer form.
	var firstErr error
	for _, mode := range []Mode{{multi, true, tcp}, {multi, false, tcp}, {false, false, false}} {
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

// HaveUprobeMulti tells whether the kernel has uprobe.multi links (Linux 6.6), so
// that no perf events are needed for uprobes.
func HaveUprobeMulti() bool { return features.HaveBPFLinkUprobeMulti() == nil }

// LoadMode loads the programs in a mode that the kernel must have.
func LoadMode(o Options, mode Mode) (*Objects, error) {
	inum, err := pidNamespace()
	if err != nil {
		return nil, err
	}
	objs := &Objects{Mode: mode, options: o, pidns: inum}
	if err := objs.load(loadProcess, &objs.processObjects); err != nil {
		return nil, err
	}
	if err := objs.load(loadTls, &objs.tlsPrograms); err != nil {
		return nil, errors.Join(err, objs.Close())
	}
	return objs, nil
}

// Syscalls are the programs for cleartext HTTP/2, by the tracepoints of TCP or
// those of system calls.
type Syscalls struct {
	// Programs are to be attached in this order: what tells of the beginning of
	// a call is last.
	Programs []*ebpf.Program
	// Followed holds, under the pidfd of a process, a Follow: its system
	// calls count.
	Followed *ebpf.Map `ebpf:"followed"`
}

// Follow says how long a process counts, and whether its children do.
type Follow uint8

const (
	FollowTree  Follow = 1 // it and its children, whatever they execute
	FollowImage Follow = 2 // the same, each until it executes another program
)

// Followed says whose system calls count beside those of processes in
// Syscalls.Followed.
type Followed struct {
	Everyone bool
	// Name is that of leaders which count, with their children, from when they
	// get it on, cut at 15 octets; "" is none.
	Name string
}

// LoadSyscalls loads the programs for cleartext HTTP/2, if that was not done
// before. library gives the number by which their connections are known.
func (o *Objects) LoadSyscalls(who Followed, library func() uint32) error {
	if o.Syscalls != nil {
		return nil
	}
	names := []string{"destroy", "fork", "exec", "named", "killed", "leave", "enter"}
	if o.TCP {
		names = []string{"destroy", "fork", "exec", "named", "received", "receiving", "sent", "sending"}
	}
	var comm [16]byte
	copy(comm[:len(comm)-1], who.Name)
	coll, err := o.loadCollection(only(names), map[string]any{"everyone": who.Everyone, "follow_name": comm, "library": library()})
	if err != nil {
		return err
	}
	defer coll.Close() // of what is not taken
	s := &Syscalls{Followed: coll.DetachMap("followed")}
	for _, name := range names {
		s.Programs = append(s.Programs, coll.DetachProgram(name))
	}
	o.Syscalls = s
	return nil
}

// only reads the object for cleartext HTTP/2 with some of its programs.
func only(names []string) func() (*ebpf.CollectionSpec, error) {
	return func() (*ebpf.CollectionSpec, error) {
		spec, err := loadSyscall()
		if err == nil {
			maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return !slices.Contains(names, name) })
		}
		return spec, err
	}
}

func (s *Syscalls) close() error {
	err := s.Followed.Close()
	for _, p := range s.Programs {
		err = errors.Join(err, p.Close())
	}
	return err
}

// GoPrograms are those for Go's crypto/tls.
type GoPrograms struct{ gotlsPrograms }

// LoadGo loads the programs for Go's crypto/tls, if that was not done before.
func (o *Objects) LoadGo() error {
	if o.Go != nil {
		return nil
	}
	var g GoPrograms
	if err := o.load(loadGotls, &g.gotlsPrograms); err != nil {
		return err
	}
	o.Go = &g
	return nil
}

// NSS are the programs for NSS and NSPR.
type NSS struct {
	nssPrograms
	// Processes holds, under the pid of a process, its NSSData.
	Processes *ebpf.Map `ebpf:"nss_processes"`
}

// LoadNSS loads the programs for NSS and NSPR, if that was not done before.
func (o *Objects) LoadNSS() error {
	if o.NSS != nil {
		return nil
	}
	var n NSS
	if err := o.load(loadNss, &n); err != nil {
		return err
	}
	o.NSS = &n
	return nil
}

// load loads the programs of one object file into the fields of to. The maps of
// state.h must be loaded, but for the object that creates them.
func (o *Objects) load(read func() (*ebpf.CollectionSpec, error), to any) error {
	coll, err := o.loadCollection(read, nil)
	if err != nil {
		return err
	}
	defer coll.Close() // of what is not assigned
	if err := coll.Assign(to); err != nil {
		return fmt.Errorf("loading BPF programs: %w", err)
	}
	return nil
}

// loadCollection loads all that an object file holds. more are variables that the
// other objects do not have.
func (o *Objects) loadCollection(read func() (*ebpf.CollectionSpec, error), more map[string]any) (*ebpf.Collection, error) {
	spec, err := read()
	if err != nil {
		return nil, fmt.Errorf("reading the embedded BPF object: %w", err)
	}
	values := map[string]any{
		"sleepable":    o.Sleepable,
		"headers_only": o.options.HeadersOnly,
		"pidns_inum":   o.pidns,
		"wakeup_bytes": uint64(o.options.RingBytes / 8),
	}
	maps.Copy(values, more)
	for name, value := range values {
		v := spec.Variables[name]
		if v == nil {
			continue // this object has no use for it
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("setting %s: %w", name, err)
		}
	}
	spec.Maps["events"].MaxEntries = uint32(o.options.RingBytes)
	for _, p := range spec.Programs {
		if o.options.Idle {
			p.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
		}
		if p.Type != ebpf.Kprobe {
			continue
		}
		if o.Sleepable {
			p.Flags |= syscallProgSleepable
		}
		if o.Multi {
			p.AttachType = ebpf.AttachTraceUprobeMulti
		}
	}
	opts := ebpf.CollectionOptions{MapReplacements: o.shared()}
	if o.options.LogVerifier {
		opts.Programs.LogLevel = ebpf.LogLevelStats
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("loading BPF programs: %w", err)
	}
	o.ending = append(o.ending, coll.Variables["ending"])
	for _, name := range slices.Sorted(maps.Keys(coll.Programs)) {
		if o.options.LogVerifier {
			o.VerifierLog += fmt.Sprintf("%s: %s\n", name, coll.Programs[name].VerifierLog)
		}
	}
	return coll, nil
}

// shared gives the maps of state.h by name, nil before they are created.
func (o *Objects) shared() map[string]*ebpf.Map {
	if o.Events == nil {
		return nil
	}
	return map[string]*ebpf.Map{
		"events": o.Events, "threads": o.Threads, "conns": o.Conns,
		"ignored": o.Ignored, "processes": o.Processes, "counters": o.Counters,
		"lost_closes": o.LostCloses,
	}
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
