// SPDX-License-Identifier: Apache-2.0

package uprobe

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"h2sniff/bpf"
	"h2sniff/capture/target"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Attacher places probes. It owns every link that it made until Close; the
// kernel drops them too when the process ends, however it ends. Methods may be
// called from any goroutine.
type Attacher struct {
	objs *bpf.Objects

	mu     sync.Mutex
	base   []link.Link // not tied to a library
	probes map[probeKey][]link.Link
	number map[target.Key]uint32
	named  func(number uint32, name string)
	last   uint32 // number given

	followed   bpf.Followed
	following  int64 // system calls, since then by CLOCK_MONOTONIC, 0: not yet
	goReceives bool  // what serves all Go programs is attached

	expect expectation

	removals sync.WaitGroup
	room     chan struct{} // a place in it for each removal at one time
	errMu    sync.Mutex
	err      error // of removals
}

// maxRemovals bounds how many removals wait in the kernel at one time, each of
// them in a thread.
const maxRemovals = 64

// probeKey is a place of probes: a library, in one process or (PID 0) in all.
type probeKey struct {
	library target.Key
	pid     int
}

// NewAttacher attaches what serves all libraries: socket evidence, and the
// ends of processes. named is told the name of each library before a record can
// mention its number; it must not call the Attacher.
func NewAttacher(objs *bpf.Objects, named func(number uint32, name string)) (*Attacher, error) {
	a := &Attacher{
		objs: objs, named: named, probes: make(map[probeKey][]link.Link), number: make(map[target.Key]uint32),
		room: make(chan struct{}, maxRemovals), expect: expectation{closed: make(chan struct{})},
	}
	receive, err := link.AttachTracing(link.TracingOptions{Program: objs.Receive})
	if err != nil {
		return nil, fmt.Errorf("attaching to tcp_rcv_space_adjust: %w", err)
	}
	a.base = append(a.base, receive)
	exit, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exit", Program: objs.ProcessExit})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attaching to sched_process_exit: %w", err), a.Close())
	}
	a.base = append(a.base, exit)
	exec, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: objs.ProcessExec})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attaching to sched_process_exec: %w", err), a.Close())
	}
	a.base = append(a.base, exec)
	return a, nil
}

// Prepare loads the programs for some families, and for cleartext HTTP/2, ahead
// of the first process that needs them: loading takes some 0.1 s each, which is
// more than a short-lived process has. They cost nothing until they are
// attached. A program that does not load is told of when it is needed.
func (a *Attacher) Prepare(families []target.Family, cleartext bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, family := range families {
		switch family {
		case target.Go:
			_ = a.objs.LoadGo()
		case target.NSS:
			_ = a.objs.LoadNSS()
		}
	}
	if cleartext {
		_ = a.loadSyscalls(a.followed)
	}
}

// Attach probes a library's functions in the process pid, or with pid 0 in
// every process that maps it now or later. It does nothing where that was done
// before. Return probes come first: an entry without its return would be taken
// for a call that never ended. It fails as target.Library.OpenFile does.
func (a *Attacher) Attach(lib *target.Library, pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := probeKey{lib.Key(), pid}
	if a.probes[key] != nil {
		return nil
	}
	file, err := lib.OpenFile()
	if err != nil {
		return err
	}
	defer file.Close()
	// The kernel takes a path. This one leads to the open file, whatever has
	// the library's name meanwhile.
	ex, err := link.OpenExecutable(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return fmt.Errorf("opening %s: %w", lib.Path, err)
	}
	number, ok := a.number[lib.Key()]
	if !ok {
		number = a.numberOf(lib.Path)
		a.number[lib.Key()] = number
	}
	plan, err := a.planOf(lib.Family)
	if err != nil {
		return err
	}
	var links []link.Link
	for _, p := range plan(lib, number) {
		made, err := a.place(ex, &p, pid)
		links = append(links, made...)
		if err != nil {
			return errors.Join(fmt.Errorf("attaching to %s: %w", lib.Path, err), closeLinks(links))
		}
	}
	a.probes[key] = links
	return nil
}

// numberOf gives a library's name a number. The caller holds mu.
func (a *Attacher) numberOf(name string) uint32 {
	a.last++
	a.named(a.last, name)
	return a.last
}

// placement is one program and the file offsets that it is to be placed at,
// each with its cookie.
type placement struct {
	program          *ebpf.Program
	atReturn         bool // a uretprobe of the function at the offset
	offsets, cookies []uint64
}

func (p *placement) add(offset, cookie uint64) {
	p.offsets = append(p.offsets, offset)
	p.cookies = append(p.cookies, cookie)
}

// planOf gives what says where a family's programs are placed, with those
// loaded. The caller holds mu.
func (a *Attacher) planOf(family target.Family) (func(*target.Library, uint32) []placement, error) {
	switch family {
	case target.Go:
		return a.planGo, a.attachGo()
	case target.NSS:
		return a.planNSS, a.objs.LoadNSS()
	}
	return func(lib *target.Library, number uint32) []placement {
		return plan(lib, number, a.objs.Entry, a.objs.Ret)
	}, nil
}

// plan says what is placed on a library, in that order.
func plan(lib *target.Library, number uint32, entry, ret *ebpf.Program) []placement {
	returns := placement{program: ret, atReturn: true}
	entries := placement{program: entry}
	for _, f := range lib.Functions {
		op, ok := opOf(lib.Family, f.Name)
		if !ok {
			continue
		}
		offset := f.Offset
		if f.Entry != 0 {
			offset = f.Entry
		}
		if f.Inner.Offset != 0 {
			if offset = f.Inner.Entry; slices.Contains(entries.offsets, offset) {
				continue
			}
			op = innerOp(op, f.Inner.Count)
		}
		cookie := bpf.Cookie(op, number)
		entries.add(offset, cookie)
		if op.HasReturn() {
			returns.add(offset, cookie)
		}
	}
	return []placement{returns, entries}
}

// place places what a placement says in one process, or with pid 0 in all.
func (a *Attacher) place(ex *link.Executable, p *placement, pid int) ([]link.Link, error) {
	if a.objs.Multi {
		return attachMulti(ex, p, pid)
	}
	return attachEach(ex, p, pid)
}

func attachMulti(ex *link.Executable, p *placement, pid int) ([]link.Link, error) {
	if len(p.offsets) == 0 {
		return nil, nil
	}
	opts := &link.UprobeMultiOptions{Addresses: p.offsets, Cookies: p.cookies, PID: uint32(pid)}
	attach := ex.UprobeMulti
	if p.atReturn {
		attach = ex.UretprobeMulti
	}
	l, err := attach(nil, p.program, opts)
	if err != nil {
		return nil, err
	}
	return []link.Link{l}, nil
}

func attachEach(ex *link.Executable, p *placement, pid int) ([]link.Link, error) {
	attach := ex.Uprobe
	if p.atReturn {
		attach = ex.Uretprobe
	}
	var links []link.Link
	for i, offset := range p.offsets {
		l, err := attach("", p.program, &link.UprobeOptions{Address: offset, Cookie: p.cookies[i], PID: pid})
		if err != nil {
			return links, err
		}
		links = append(links, l)
	}
	return links, nil
}

// DetachProcess removes every probe placed for a process of its own. It does
// not wait until they are gone: the kernel takes some 50 ms for each link, in
// which a new process comes and goes without having been attached to.
func (a *Attacher) DetachProcess(pid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, links := range a.probes {
		if key.pid == pid {
			delete(a.probes, key)
			a.remove(links)
		}
	}
}

// Executed says that a process has executed a program. Its probes hold for that
// too, unless another thread than the leader did it: the kernel knows a process
// by its leader's task, which is then gone. Such probes are forgotten, so that
// Attach places them anew. Kernels before 6.8 do not tell, and the probes stay. It
// gives the libraries that have none any more.
func (a *Attacher) Executed(pid int) (forgotten []target.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, links := range a.probes {
		if key.pid == pid && slices.ContainsFunc(links, orphaned) {
			delete(a.probes, key)
			a.remove(links)
			forgotten = append(forgotten, key.library)
		}
	}
	return forgotten
}

// orphaned reports whether the process that a link is for has another task now.
func orphaned(l link.Link) bool {
	info, err := l.Info()
	if err != nil {
		return false
	}
	multi := info.UprobeMulti()
	if multi == nil || multi.Count == 0 { // the kernel does not tell
		return false
	}
	_, alive := multi.Pid()
	return !alive
}

// DetachLibrary removes the probes that a library has in every process, and
// does not wait either.
func (a *Attacher) DetachLibrary(library target.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := probeKey{library: library}
	if links := a.probes[key]; links != nil {
		delete(a.probes, key)
		a.remove(links)
	}
}

// remove closes links in the background. The kernel's grace periods, which
// each of them waits for, are shared by those that wait at one time.
func (a *Attacher) remove(links []link.Link) {
	a.removals.Go(func() {
		a.room <- struct{}{}
		err := closeLinks(links)
		<-a.room
		a.errMu.Lock()
		defer a.errMu.Unlock()
		a.err = errors.Join(a.err, err)
	})
}

// Close removes all probes and waits until they are gone. Traced programs go on
// running.
func (a *Attacher) Close() error {
	a.expect.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, links := range a.probes {
		a.remove(links)
	}
	clear(a.probes)
	a.removals.Wait()
	a.errMu.Lock()
	defer a.errMu.Unlock()
	err := errors.Join(a.err, closeLinks(a.base))
	a.base, a.err = nil, nil
	return err
}

// closeLinks removes entry probes before return probes, the reverse of the
// order in which they were placed.
func closeLinks(links []link.Link) error {
	var err error
	for i := len(links) - 1; i >= 0; i-- {
		err = errors.Join(err, links[i].Close())
	}
	return err
}
