// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for a machine that has much else to do.
const patience = time.Minute

// watch is a running Watcher and what it has said since the last look.
type watch struct {
	t    testing.TB
	w    *Watcher
	stop context.CancelFunc
	seen []Event
}

// begin starts to watch and waits for Ready; seen is what came before.
func begin(t testing.TB, s Selection) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	o := testOptions
	w, err := Watch(ctx, s, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	x := &watch{t: t, w: w, stop: cancel}
	t.Cleanup(x.end)
	x.until("Ready", func(e Event) bool { _, ok := e.(Ready); return ok })
	return x
}

func (x *watch) end() {
	x.stop()
	for range x.w.Events() {
	}
	if err := x.w.Err(); err != nil {
		x.t.Errorf("Err: %v", err)
	}
}

// until receives up to an event that matches, and returns those before it.
func (x *watch) until(what string, match func(Event) bool) (before []Event) {
	x.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-x.w.Events():
			if !ok {
				x.t.Fatalf("ended (%v) before %s", x.w.Err(), what)
			}
			x.seen = append(x.seen, e)
			if match(e) {
				return x.seen[:len(x.seen)-1]
			}
		case <-late:
			x.t.Fatalf("no %s; seen %d events, last %+v", what, len(x.seen), x.seen[max(0, len(x.seen)-8):])
		}
	}
}

// next receives the next event that is no Renamed; it must be a T.
func next[T Event](x *watch) T {
	x.t.Helper()
	for {
		select {
		case e := <-x.w.Events():
			if _, ok := e.(Renamed); ok {
				continue
			}
			if e, ok := e.(T); ok {
				return e
			}
			x.t.Fatalf("got %T %+v, want %T", e, e, *new(T))
		case <-time.After(patience):
			x.t.Fatalf("no %T came", *new(T))
		}
	}
}

// quiet fails if something comes.
func (x *watch) quiet(d time.Duration) {
	x.t.Helper()
	select {
	case e := <-x.w.Events():
		x.t.Fatalf("got %T %+v, want nothing", e, e)
	case <-time.After(d):
	}
}

func TestWatchLoadAndExit(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	tls := privateCopy(t, "libgnutls.so.30", dir, "libgnutls.so.30")
	s := start(t)
	s.load(tls)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	if len(x.seen) != 2 {
		t.Fatalf("seen %v", x.seen)
	}
	chosen := x.seen[0].(Chosen)
	if chosen.Process.PID != s.pid || chosen.Forked {
		t.Errorf("chosen %+v", chosen)
	}
	wantLibrary(t, chosen.Process.Libraries, tls, GnuTLS)
	s.load(ssl)
	m := next[Mapped](x)
	wantLibrary(t, []Library{m.Library}, ssl, OpenSSL)
	if m.PID != s.pid || m.StartTime != chosen.Process.StartTime {
		t.Errorf("mapped %+v", m)
	}
	s.stop()
	if e := next[Exited](x); e.PID != s.pid || e.StartTime != chosen.Process.StartTime {
		t.Errorf("exited %+v", e)
	}
	x.quiet(50 * time.Millisecond)
}

func TestWatchForkAndExec(t *testing.T) {
	needRoot(t)
	ssl := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	s := start(t)
	s.load(ssl)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	// It executes, and then loads, when it is told to: what it has by then is seen.
	s.do(`r, w = os.pipe(); os.dup2(r, 77)`)
	pid := atoi(t, s.do(`pid = os.fork() or (sys.stdin.close(), os.read(77, 1), os.execv(%q, ["h2s-other", "-c", 'import ctypes, os, time; os.read(77, 1); ctypes.CDLL(%q); time.sleep(60)'])); print(pid)`, python(t), ssl))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	forked := next[Chosen](x)
	if p := forked.Process; !forked.Forked || forked.SharesMemory || p.PID != pid || p.PPID != s.pid || p.StartTime == 0 {
		t.Errorf("forked %+v", forked)
	}
	wantLibrary(t, forked.Process.Libraries, ssl, OpenSSL)
	s.do(`os.write(w, b".")`)
	executed := next[Executed](x)
	if p := executed.Process; p.PID != pid || len(p.Libraries) != 0 || p.Exe == "" {
		t.Errorf("executed %+v", executed)
	}
	s.do(`os.write(w, b".")`)
	m := next[Mapped](x)
	if m.PID != pid {
		t.Errorf("mapped %+v", m)
	}
	wantLibrary(t, []Library{m.Library}, ssl, OpenSSL)
	unix.Kill(pid, unix.SIGKILL)
	if e := next[Exited](x); e.PID != pid {
		t.Errorf("exited %+v", e)
	}
}

// A child that runs in its parent's memory is told from one with a copy.
func TestWatchSharedMemory(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	// As vfork does, but without waiting: the child only sleeps.
	s.do(strings.ReplaceAll(`exec("""
libc = ctypes.CDLL(None)
clone = libc.clone
stack = ctypes.create_string_buffer(1 << 16)
child = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
CLONE_VM, SIGCHLD = 0x100, 17
top = (ctypes.addressof(stack) + len(stack)) & ~15
pause = ctypes.cast(libc.sleep, ctypes.c_void_p)
clone.restype = ctypes.c_int
clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
pid = clone(pause, top, CLONE_VM | SIGCHLD, 60)
""")`, "\n", `\n`))
	pid := atoi(t, s.do("print(pid)"))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	if c := next[Chosen](x); c.Process.PID != pid || !c.Forked || !c.SharesMemory {
		t.Errorf("chosen %+v", c)
	}
}

func TestWatchSpawn(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	s.do(`import subprocess; p = subprocess.Popen(["/bin/sleep", "60"])`)
	c := next[Chosen](x)
	if e := next[Executed](x); e.Process.PID != c.Process.PID || e.Process.Comm != "sleep" {
		t.Errorf("executed %+v", e)
	}
	s.do(`p.kill(); p.wait()`)
	next[Exited](x)
}

// The middle process has ended when its notice is read.
func TestWatchDaemon(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	pid := atoi(t, s.do(`r, w = os.pipe(); pid = os.fork() or (os.fork() or (os.write(w, str(os.getpid()).encode()), time.sleep(60)), os._exit(0)); os.waitpid(pid, 0); print(os.read(r, 10).decode())`))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	x.until("the daemon", func(e Event) bool { c, ok := e.(Chosen); return ok && c.Process.PID == pid })
}

func TestWatchComm(t *testing.T) {
	needRoot(t)
	ssl := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	s := start(t)
	s.load(ssl)
	child := atoi(t, s.do(`pid = os.fork() or time.sleep(60); print(pid)`))
	t.Cleanup(func() { unix.Kill(child, unix.SIGKILL) })
	x := begin(t, Selection{Comm: "h2s-renamed-longer-than-fits"})
	s.do("open('/proc/self/comm', 'w').write('h2s-renamed-longer')")
	c := next[Chosen](x)
	if c.Process.PID != s.pid || c.Process.Comm != "h2s-renamed-lon" {
		t.Errorf("chosen %+v", c)
	}
	wantLibrary(t, c.Process.Libraries, ssl, OpenSSL)
	if c = next[Chosen](x); c.Process.PID != child || c.Process.Comm != "python3" {
		t.Errorf("chosen %+v, want the child it has", c)
	}

	// By exec, of a copy under that name.
	bin := filepath.Join(t.TempDir(), "h2s-renamed-lon")
	if b, err := os.ReadFile("/bin/sleep"); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if c = next[Chosen](x); c.Process.PID != cmd.Process.Pid || c.Process.Exe != bin {
		t.Errorf("chosen %+v, want %d", c, cmd.Process.Pid)
	}
}

// A child has the name of the thread that forks, not of its parent's leader.
func TestWatchBornNamed(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{Comm: "h2s-born"})
	pid := atoi(t, s.do(`import threading; r, w = os.pipe(); threading.Thread(target=lambda: (open('/proc/thread-self/comm', 'w').write('h2s-born'), os.fork() or (os.write(w, str(os.getpid()).encode()), time.sleep(60)))).start(); print(os.read(r, 10).decode())`))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	if c := next[Chosen](x); c.Process.PID != pid {
		t.Errorf("chosen %+v, want %d", c, pid)
	}
}

// The leader may end before other threads; the process lives on.
func TestWatchLeaderEnds(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	last := filepath.Join(t.TempDir(), "last")
	if err := unix.Mkfifo(last, 0o600); err != nil {
		t.Fatal(err)
	}
	s.do(`import threading; threading.Thread(target=lambda: (open(%q).read(), os._exit(0))).start()`, last)
	fmt.Fprintln(s.in, `ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)`)
	x.quiet(300 * time.Millisecond)
	if err := os.WriteFile(last, nil, 0); err != nil { // waits for who reads
		t.Fatal(err)
	}
	if e := next[Exited](x); e.PID != s.pid {
		t.Errorf("exited %+v", e)
	}
}

// A thread that is not the leader executes: the old leader's end is not that
// of the process.
func TestWatchThreadExecutes(t *testing.T) {
	needRoot(t)
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	fmt.Fprintln(s.in, `import threading; threading.Thread(target=lambda: os.execv("/bin/sleep", ["sleep", "60"])).start()`)
	if e := next[Executed](x); e.Process.PID != s.pid || e.Process.Comm != "sleep" {
		t.Errorf("executed %+v", e)
	}
	x.quiet(100 * time.Millisecond)
	s.stop()
	next[Exited](x)
}

func TestWatchBinary(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	bin := filepath.Join(dir, "interpreter")
	if b, err := os.ReadFile(python(t)); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	x := begin(t, Selection{Binary: bin})
	other := start(t)
	other.load(ssl)
	s := start(t, "/bin/sh", "-c", `shift; exec "`+bin+`" "$@"`, "sh")
	s.load(ssl)
	c := next[Chosen](x)
	if c.Process.PID != s.pid {
		t.Errorf("chosen %+v", c)
	}
	wantLibrary(t, c.Process.Libraries, ssl, OpenSSL)
	x.quiet(50 * time.Millisecond)

	y := begin(t, Selection{Binary: ssl, PIDs: []int{other.pid}})
	wantLibrary(t, y.seen[0].(Chosen).Process.Libraries, ssl, OpenSSL)
}

func TestWatchMountNamespace(t *testing.T) {
	needRoot(t)
	dir, lib := t.TempDir(), systemLibrary(t, "libssl.so.3")
	s := inNamespace(t, "mount -t tmpfs none "+dir+"; cp -L "+lib+" "+dir+"/libssl.so.3")
	x := begin(t, Selection{PIDs: []int{s.pid}})
	path := filepath.Join(dir, "libssl.so.3")
	s.load(path)
	l := next[Mapped](x).Library
	wantLibrary(t, []Library{l}, path, OpenSSL)
	if !strings.HasPrefix(l.Open, "/proc/"+itoa(s.pid)+"/") {
		t.Errorf("Open %s", l.Open)
	}
	// A child's library can be opened when the parent has gone.
	pid := atoi(t, s.do(`pid = os.fork() or time.sleep(60); print(pid)`))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	c := next[Chosen](x)
	s.stop()
	next[Exited](x)
	wantLibrary(t, c.Process.Libraries, path, OpenSSL)
}

func TestWatchProblemOnce(t *testing.T) {
	needRoot(t)
	path := privateCopy(t, "libgnutls.so.30", t.TempDir(), "libssl.so.3")
	a, b := start(t), start(t)
	x := begin(t, Selection{PIDs: []int{a.pid, b.pid}})
	a.load(path)
	if p := next[Problem](x); p.PID != a.pid || p.Path != path {
		t.Errorf("problem %+v", p)
	}
	b.load(path)
	x.quiet(50 * time.Millisecond)
}

// A child inherits libraries whose file was replaced since its parent mapped
// it: it is told by a path to the mapped file, not to the one that has the name.
func TestForkAfterUpgrade(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	s := start(t)
	s.load(path)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	before := x.seen[0].(Chosen).Process.Libraries
	if err := os.Rename(privateCopy(t, "libssl.so.3", dir, "new"), path); err != nil {
		t.Fatal(err)
	}
	if _, err := before[0].OpenFile(); !errors.Is(err, ErrReplaced) {
		t.Errorf("opening the library that was replaced: %v", err)
	}
	pid := atoi(t, s.do("pid = os.fork() or time.sleep(60); print(pid)"))
	t.Cleanup(func() { unix.Kill(pid, unix.SIGKILL) })
	c := next[Chosen](x)
	if c.Process.PID != pid || len(c.Process.Libraries) != 1 {
		t.Fatalf("chosen %+v", c)
	}
	l := c.Process.Libraries[0]
	if l.Key() != before[0].Key() || !l.Deleted {
		t.Errorf("library %+v, want the inode %d", l, before[0].Inode)
	}
	f, err := l.OpenFile()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// A file that was written to is not the one whose functions were found.
func TestOpenChangedFile(t *testing.T) {
	path := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	found, err := Inspect(path, testOptions)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d libraries, %v", len(found), err)
	}
	f, err := found[0].OpenFile()
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := os.Truncate(path, 100_000); err != nil {
		t.Fatal(err)
	}
	if _, err := found[0].OpenFile(); !errors.Is(err, ErrReplaced) {
		t.Errorf("error %v", err)
	}
}
