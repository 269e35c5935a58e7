// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"h2sniff/bpf"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"

	"golang.org/x/sys/unix"
)

// targets decides, for each target that the watcher reports, where to attach,
// and keeps account of it; targets_report.go tells the user. handle belongs to one goroutine; name, status and
// gone may be called from any.
type targets struct {
	selection target.Selection
	cleartext bool // HTTP/2 on sockets without TLS too
	options   target.Options
	attacher  *uprobe.Attacher
	report    io.Writer
	debug     func(string, ...any)
	// contained, where set, is told the containers of chosen processes.
	contained func(pid int, container string)

	// known are libraries that exist whether or not a process maps them yet.
	// They are attached to in each chosen process at once: the kernel places
	// the breakpoints when the process maps the file.
	known []target.Library
	// replaced are those whose file has another successor by now.
	replaced map[target.Key]bool
	// own is the binary of -b where it holds the functions itself.
	own map[target.Key]bool
	// everywhere tells when probes of a library were in place in all processes.
	everywhere map[target.Key]int64

	mu        sync.Mutex
	processes map[int]*process
	attached  map[target.Key]*target.Library
	told      map[target.Key]bool // libraries that were reported
	unused    unused
	failures  failures
	coverage  coverage
	ready     bool
	ended     bool // every process of -p has gone
}

// process is a chosen process.
type process struct {
	comm      string
	libraries map[target.Key]bool // mapped
	cleartext bool                // its sockets count
	follows   follows
	placed    map[target.Key]int64 // when probes of its own were in place
}

func newTargets(s target.Selection, cleartext bool, o target.Options, a *uprobe.Attacher, report io.Writer, debug func(string, ...any)) (*targets, error) {
	t := &targets{
		selection: s, cleartext: cleartext, options: o, attacher: a, report: report, debug: debug,
		replaced: make(map[target.Key]bool), everywhere: make(map[target.Key]int64),
		own: make(map[target.Key]bool), processes: make(map[int]*process),
		attached: make(map[target.Key]*target.Library), told: make(map[target.Key]bool),
	}
	if cleartext && s.Machine() {
		if err := a.FollowEveryone(); err != nil {
			return nil, err
		}
	}
	if s.Binary != "" {
		libraries, err := target.Inspect(s.Binary, o)
		if err != nil {
			return nil, err
		}
		for i := range libraries {
			t.own[libraries[i].Key()] = true
			if !t.perProcess(&libraries[i]) {
				t.attach(nil, &libraries[i], 0, 0)
			}
		}
		return t, nil
	}
	installed := target.Installed(s, o)
	for i := range installed {
		if s.Machine() {
			t.attach(nil, &installed[i], 0, 0)
		} else {
			t.known = append(t.known, installed[i])
		}
	}
	if byName := s.Comm != "" && len(s.PIDs) == 0 && s.Container == ""; cleartext && byName {
		if err := a.FollowNamed(s.Comm); err != nil {
			t.fail(err.Error())
		}
	}
	a.Prepare(t.mayCome(), cleartext && !s.Machine())
	return t, nil
}

// mayCome are the families of which a process can turn up: those that are
// installed, and Go, whose programs bring it along.
func (t *targets) mayCome() []target.Family {
	families := t.selection.Families
	if families == nil {
		families = target.Families()
	}
	installed := func(f target.Family) bool {
		return slices.ContainsFunc(t.known, func(l target.Library) bool { return l.Family == f })
	}
	return slices.DeleteFunc(slices.Clone(families), func(f target.Family) bool { return f != target.Go && !installed(f) })
}

// perProcess says whether a library is probed in the chosen processes alone.
func (t *targets) perProcess(lib *target.Library) bool {
	if t.selection.Machine() {
		return false
	}
	restricted := len(t.selection.PIDs) > 0 || t.selection.Comm != "" || t.selection.Container != ""
	return restricted || !t.own[lib.Key()]
}

// handle takes in what the watcher reports.
func (t *targets) handle(ev target.Event) {
	switch ev := ev.(type) {
	case target.Chosen:
		t.mu.Lock()
		p := &process{
			comm: ev.Process.Comm, libraries: make(map[target.Key]bool), placed: make(map[target.Key]int64),
			follows: follows{mapped: make(map[target.Key]int64)},
		}
		t.processes[ev.Process.PID] = p
		t.mu.Unlock()
		t.tellContainer(&ev.Process)
		since := ev.Time
		if ev.Time != 0 && !t.selection.Machine() {
			t.attacher.Expect()
		}
		if ev.Forked || t.attacher.FollowsNamed(ev.Process.Comm, ev.Time) {
			since = 0 // the kernel follows it from then on
		}
		t.follow(p, ev.Process.PID, since)
		// Where it runs in its parent's memory the probes there serve until it
		// executes, but where there are none they can be in place by then.
		if !ev.SharesMemory || len(ev.Process.Libraries) == 0 {
			t.attachProcess(p, &ev.Process, ev.Time)
		}
	case target.Executed:
		if p := t.process(ev.Process.PID, ev.Process.Comm); p != nil {
			t.tellContainer(&ev.Process)
			since := int64(0)
			if t.selection.Binary != "" {
				since = ev.Time
			}
			t.follow(p, ev.Process.PID, since)
			for _, library := range t.attacher.Executed(ev.Process.PID) {
				delete(p.placed, library)
			}
			clear(p.follows.mapped)
			t.attachProcess(p, &ev.Process, ev.Time)
		}
	case target.Mapped:
		if p := t.process(ev.PID, ""); p != nil {
			t.attachLibraries(p, ev.PID, []target.Library{ev.Library}, ev.Time)
		}
	case target.Renamed:
		t.process(ev.PID, ev.Comm)
	case target.Exited:
		t.exited(ev)
	case target.Unseen:
		t.unseen(&ev)
	case target.Problem:
		t.fail(ev.Error())
	case target.Overrun:
		t.mu.Lock()
		t.coverage.Unsure = true
		t.mu.Unlock()
		t.fail(fmt.Sprintf("%d notices of new processes were lost: short-lived ones may have been missed", ev.Lost))
	case target.Ready:
		for _, line := range t.lacking() {
			t.fail(line)
		}
		t.setReady()
	}
}

// tellContainer says where a process runs as long as that is known.
func (t *targets) tellContainer(p *target.Process) {
	if t.contained != nil && p.Container != "" {
		t.contained(p.PID, p.Container)
	}
}

// follow captures cleartext HTTP/2 of a process, which could have had some from
// since on, 0 where it is followed already or was there before h2sniff.
func (t *targets) follow(p *process, pid int, since int64) {
	if !t.cleartext || t.selection.Machine() {
		return
	}
	how := bpf.FollowTree
	if t.selection.Binary != "" {
		how = bpf.FollowImage
	}
	err := t.attacher.Follow(pid, how)
	switch {
	case errors.Is(err, unix.ESRCH):
		t.debug("process %d ended before it was followed", pid)
		p.follows.gone = p.follows.gone || since != 0
	case err != nil:
		t.fail(err.Error())
	default:
		t.debug("process %d: TCP sockets", pid)
		t.mu.Lock()
		if since != 0 && !p.cleartext {
			t.coverage.late(&p.follows, since, now())
		}
		p.cleartext = true
		t.mu.Unlock()
	}
}

// process finds a chosen process and takes its new name.
func (t *targets) process(pid int, comm string) *process {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.processes[pid]
	if p != nil && comm != "" {
		p.comm = comm
	}
	return p
}

// attachProcess probes what a process maps since some time, and all that it may
// map later.
func (t *targets) attachProcess(p *process, proc *target.Process, since int64) {
	t.attachLibraries(p, proc.PID, proc.Libraries, since) // in use: they come first
	for i := range t.known {
		t.attach(p, &t.known[i], proc.PID, 0)
	}
	t.known = slices.DeleteFunc(t.known, func(l target.Library) bool { return t.replaced[l.Key()] })
}

func (t *targets) attachLibraries(p *process, pid int, libraries []target.Library, since int64) {
	for i := range libraries {
		lib := &libraries[i]
		at := 0
		if t.perProcess(lib) {
			at = pid
		}
		attached := t.attach(p, lib, at, since)
		p.follows.mapped[lib.Key()] = t.places(p, at)[lib.Key()]
		if attached {
			if err := t.attacher.Describe(lib, pid); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.fail(err.Error())
			}
			t.mu.Lock()
			if at == 0 && lib.Executable && !p.libraries[lib.Key()] {
				t.unused.add(lib.Key())
			}
			p.libraries[lib.Key()] = true
			if t.ready && !t.told[lib.Key()] {
				t.told[lib.Key()] = true
				say(t.report, "%s: enabled, %s, process %d (%s)", lib.Family, lib.Path, pid, p.comm)
			}
			t.mu.Unlock()
		}
	}
}

// attach probes a library in one process, or with pid 0 everywhere. p, where not
// nil, is a process that maps it since some time; 0 is for one that does not, or
// did so before h2sniff came.
func (t *targets) attach(p *process, lib *target.Library, pid int, since int64) bool {
	err := t.attacher.Attach(lib, pid)
	if err == nil {
		t.inPlace(p, lib.Key(), pid, since)
	}
	switch {
	case errors.Is(err, target.ErrReplaced):
		// Who maps what has the name now is attached to then.
		t.debug("%v", err)
		t.replaced[lib.Key()] = true
		return false
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		t.debug("process %d ended before %s was attached", pid, lib.Path)
		if p != nil && unix.Kill(pid, 0) == unix.ESRCH { // else the file has gone
			p.follows.gone = true
		}
		return false
	case err != nil:
		t.fail(err.Error())
		return false
	}
	t.debug("%s %s: %d functions, process %d (0: all)", lib.Family, lib.Path, len(lib.Functions), pid)
	for _, f := range lib.Functions {
		switch {
		case f.Inner.Offset != 0:
			t.debug("  %s is probed at %#x, in the function that it wraps", f.Name, f.Inner.Entry)
		case f.Entry != 0:
			t.debug("  %s is probed at %#x, %d octets behind its beginning", f.Name, f.Entry, f.Entry-f.Offset)
		case f.Go != nil && f.Go.Deferred.Body != 0:
			t.debug("  %s is probed at %#x, at %d of its returns, and for others at %#x, which it defers", f.Name, f.Go.Body, len(f.Go.Returns), f.Go.Deferred.Body)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.attached[lib.Key()] == nil {
		t.attached[lib.Key()] = lib
	}
	return true
}

// places tells when probes of a process, or with pid 0 of all, were in place.
func (t *targets) places(p *process, pid int) map[target.Key]int64 {
	if pid == 0 {
		return t.everywhere
	}
	return p.placed
}

// inPlace keeps account of when probes came.
func (t *targets) inPlace(p *process, library target.Key, pid int, since int64) {
	places := t.places(p, pid)
	at, there := places[library]
	if !there {
		at = now()
		places[library] = at
	}
	if p == nil || there && at <= since {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.coverage.late(&p.follows, since, at)
}

// unseen counts a process that had ended before it could be looked at, and probes
// what it used for the next one.
func (t *targets) unseen(u *target.Unseen) {
	t.countUnseen(u)
	for i := range u.Libraries {
		if lib := &u.Libraries[i]; !t.perProcess(lib) && t.attach(nil, lib, 0, 0) && lib.Executable {
			t.mu.Lock()
			t.unused.add(lib.Key())
			t.drop(lib.Key())
			t.mu.Unlock()
		}
	}
}

func (t *targets) countUnseen(u *target.Unseen) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.selection; s.Families != nil && len(s.Families) == 0 && t.attacher.FollowsNamed(u.Comm, u.Time) {
		return // the kernel followed its sockets, and nothing else counts
	}
	if t.coverage.unseen(u, t.everywhere) {
		t.debug("process %d has ended before it could be followed", u.PID)
	}
}

// account takes in what the watcher reports when nothing is attached any more.
func (t *targets) account(ev target.Event) {
	switch ev := ev.(type) {
	case target.Chosen:
		if !ev.SharesMemory {
			t.mu.Lock()
			t.processes[ev.Process.PID] = &process{follows: follows{gone: true}}
			t.mu.Unlock()
		}
	case target.Exited:
		t.exited(ev)
	case target.Unseen:
		t.countUnseen(&ev)
	}
}

func (t *targets) exited(ev target.Exited) {
	pid := ev.PID
	t.attacher.DetachProcess(pid)
	if err := t.attacher.Unfollow(pid); err != nil {
		t.fail(err.Error())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.processes[pid]; p != nil {
		if t.coverage.ended(&p.follows, ev.Time) {
			t.debug("process %d has ended before it could be followed", pid)
		}
		for key := range p.libraries {
			t.drop(key)
		}
	}
	delete(t.processes, pid)
	t.checkEnded()
}

// drop says that one process less runs an executable. The caller holds mu.
func (t *targets) drop(key target.Key) {
	for _, unused := range t.unused.remove(key) {
		t.attacher.DetachLibrary(unused)
		delete(t.attached, unused)
		delete(t.told, unused)
		delete(t.everywhere, unused)
	}
}

// checkEnded finds that every process of -p has gone. Only pids cannot come
// back; a name or a binary can. The caller holds mu.
func (t *targets) checkEnded() {
	s := t.selection
	t.ended = t.ready && len(t.processes) == 0 && len(s.PIDs) > 0 && s.Comm == "" && s.Binary == "" && s.Container == ""
}

// gone says that every process of -p has ended, so that nothing can come.
func (t *targets) gone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// covers is what was not followed.
func (t *targets) covers() coverage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.coverage
}
