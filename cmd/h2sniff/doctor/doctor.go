// SPDX-License-Identifier: Apache-2.0

// Package doctor finds out whether live capture can work on this machine, and
// what to do where it cannot. It tries what it can, rather than conclude from
// versions, needs no privilege to run, and leaves nothing behind.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"h2sniff/bpf"
	"h2sniff/capture/inventory"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"
)

// Level says how a check came out.
type Level uint8

const (
	OK      Level = iota
	Note          // worth knowing
	Missing       // something else is done instead
	Broken        // live capture cannot work
)

func (l Level) String() string {
	switch l {
	case OK:
		return "ok"
	case Note:
		return "note"
	case Missing:
		return "missing"
	}
	return "BROKEN"
}

// Check is one thing that was looked at.
type Check struct {
	Level Level
	Name  string
	Text  string // what was found
	Todo  string // what to do about it; "" for nothing
}

// Section is a group of checks.
type Section struct {
	Name   string
	Checks []Check
}

func (s *Section) add(level Level, name, format string, args ...any) *Check {
	s.Checks = append(s.Checks, Check{Level: level, Name: name, Text: fmt.Sprintf(format, args...)})
	return &s.Checks[len(s.Checks)-1]
}

// Examine makes all checks, except that nothing is captured. report, where not
// nil, is called as each section is done.
func Examine(ctx context.Context, report func(Section)) []Section {
	var all []Section
	for _, f := range []func(context.Context) Section{
		func(context.Context) Section { return system() },
		func(context.Context) Section { return privileges() },
		func(context.Context) Section { return kernelFeatures() },
		programs,
		func(context.Context) Section { return libraries() },
	} {
		s := f(ctx)
		all = append(all, s)
		if report != nil {
			report(s)
		}
	}
	return all
}

// Works reports whether nothing in the sections is Broken.
func Works(all []Section) bool {
	for _, s := range all {
		for _, c := range s.Checks {
			if c.Level == Broken {
				return false
			}
		}
	}
	return true
}

const becomeRoot = "run h2sniff doctor as root, or with the capabilities above"

func kernelFeatures() Section {
	s := Section{Name: "BPF features, each tried"}
	for _, f := range bpf.ProbeFeatures() {
		switch {
		case f.Err == nil:
			s.add(OK, f.Name, "%s", f.Use)
		case errors.Is(f.Err, bpf.ErrPermission) && f.Fallback != "":
			s.add(Missing, f.Name, "may not be tried: %s", f.Fallback)
		case errors.Is(f.Err, bpf.ErrPermission):
			s.add(Broken, f.Name, "may not be tried").Todo = becomeRoot
		case f.Fallback != "":
			s.add(Missing, f.Name, "%s: without it, %s", f.Use, f.Fallback)
		default:
			s.add(Broken, f.Name, "%s: %v", f.Use, f.Err).Todo = "use Linux 5.15 or newer with CONFIG_DEBUG_INFO_BTF, CONFIG_BPF_SYSCALL and CONFIG_UPROBE_EVENTS"
		}
	}
	return s
}

// programs loads h2sniff's own programs and attaches those that belong to no
// library.
func programs(ctx context.Context) Section {
	s := Section{Name: "h2sniff's own programs"}
	objs, err := bpf.Load(bpf.Options{RingBytes: 1 << 20})
	if err != nil {
		s.add(Broken, "loading", "%v", err)
	} else {
		defer objs.Close()
		s.add(OK, "loading", "sleepable: %v, uprobe.multi: %v, tracepoints of TCP: %v", objs.Sleepable, objs.Multi, objs.TCP)
		s.attach(objs)
		s.loads(objs, "")
		s.headersOnly()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A name that no process has: what counts is that it can be watched for.
	w, err := target.Watch(ctx, target.Selection{Comm: "h2sniff doctor"}, target.Options{Wanted: uprobe.Wanted()})
	if err != nil {
		s.add(Broken, "watching", "%v", err)
		return s
	}
	cancel()
	for range w.Events() {
	}
	s.add(OK, "watching", "new processes and libraries are reported by perf events")
	return s
}

func (s *Section) headersOnly() {
	objs, err := bpf.Load(bpf.Options{RingBytes: 1 << 20, HeadersOnly: true})
	if err != nil {
		s.add(Missing, "--headers-only", "does not load: %v", err)
		return
	}
	defer objs.Close()
	s.add(OK, "--headers-only", "its programs load")
	s.loads(objs, ", --headers-only")
}

func (s *Section) attach(objs *bpf.Objects) {
	a, err := uprobe.NewAttacher(objs, func(uint32, string) {})
	if err != nil {
		s.add(Broken, "attaching", "%v", err)
		return
	}
	defer a.Close()
	s.add(OK, "attaching", "tracepoints of sockets and processes")
}

// loads tries the programs that are loaded where something needs them.
func (s *Section) loads(objs *bpf.Objects, how string) {
	for _, part := range []struct {
		name string
		load func() error
	}{
		{"cleartext HTTP/2", func() error { return objs.LoadSyscalls(bpf.Followed{}, func() uint32 { return 0 }) }},
		{"Go", objs.LoadGo},
		{"NSS", objs.LoadNSS},
	} {
		if err := part.load(); err != nil {
			s.add(Missing, part.name+how, "is not captured: %v", err)
		} else {
			s.add(OK, part.name+how, "its programs load")
		}
	}
}

func libraries() Section {
	s := Section{Name: "What there is to capture"}
	o := target.Options{Wanted: uprobe.Wanted()}
	for _, l := range inventory.Installed(o) {
		s.add(OK, strings.TrimSpace(l.Family+" "+l.Version), "%s", l.Path)
	}
	if len(s.Checks) == 0 {
		s.add(Note, "libraries", "none is installed where the dynamic loader looks: containers and programs may bring their own")
	}
	list, err := inventory.List(o)
	if err != nil {
		s.add(Broken, "processes", "%v", err)
		return s
	}
	can := 0
	for _, p := range list.Programs {
		if len(p.Libraries) > 0 {
			can++
		}
	}
	s.add(OK, "processes", "%d can be captured, %d use TCP and cannot: see h2sniff targets", can, len(list.Programs)-can)
	if list.Denied > 0 {
		s.add(Note, "processes", "%d may not be looked at", list.Denied).Todo = "run h2sniff as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
	}
	return s
}

// readLine gives the first line of a file of /proc or /sys, "" where it is not
// there or may not be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
