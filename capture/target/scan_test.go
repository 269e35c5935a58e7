// SPDX-License-Identifier: Apache-2.0

package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scanOne scans for one process and expects it, without problems.
func scanOne(t *testing.T, s Selection) Process {
	t.Helper()
	found, problems, err := Scan(s, testOptions)
	if err != nil || len(problems) > 0 || len(found) != 1 {
		t.Fatalf("found %v, %v, %v; want one process", found, problems, err)
	}
	return found[0]
}

func wantLibrary(t *testing.T, libraries []Library, path string, family Family) Library {
	t.Helper()
	if len(libraries) != 1 {
		t.Fatalf("libraries %v, want one", libraries)
	}
	l := libraries[0]
	if l.Path != path || l.Family != family || len(l.Functions) == 0 {
		t.Errorf("library %+v, want %s of %v", l, path, family)
	}
	var st unix.Stat_t
	if err := unix.Stat(l.Open, &st); err != nil || uint64(st.Dev) != l.Dev || st.Ino != l.Inode {
		t.Errorf("Open %s leads to %d:%d (%v), want %d:%d", l.Open, st.Dev, st.Ino, err, l.Dev, l.Inode)
	}
	return l
}

func TestScanPID(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl-0123abcd.so.3")
	tls := privateCopy(t, "libgnutls.so.30", dir, "libgnutls.so.30")
	s := start(t)
	s.load(ssl)
	s.load(tls)
	p := scanOne(t, Selection{PIDs: []int{s.pid, s.pid}})
	if p.PID != s.pid || p.PPID != os.Getpid() || p.Comm != "python3" || p.StartTime == 0 || p.Exe == "" {
		t.Errorf("process %+v", p)
	}
	if len(p.Libraries) != 2 {
		t.Fatalf("libraries %v", p.Libraries)
	}
	slices.SortFunc(p.Libraries, func(a, b Library) int { return int(a.Family) - int(b.Family) })
	if l := wantLibrary(t, p.Libraries[:1], ssl, OpenSSL); l.Open != ssl {
		t.Errorf("Open %s, want %s", l.Open, ssl)
	}
	wantLibrary(t, p.Libraries[1:], tls, GnuTLS)

	p = scanOne(t, Selection{PIDs: []int{s.pid}, Families: []Family{GnuTLS}})
	wantLibrary(t, p.Libraries, tls, GnuTLS)
	p = scanOne(t, Selection{PIDs: []int{s.pid}, Families: []Family{OpenSSL}})
	wantLibrary(t, p.Libraries, ssl, OpenSSL)
}

func TestScanDeletedLibrary(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	s := start(t)
	s.load(path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	privateCopy(t, "libgnutls.so.30", dir, "libssl.so.3") // what an upgrade puts there
	p := scanOne(t, Selection{PIDs: []int{s.pid}})
	if l := wantLibrary(t, p.Libraries, path, OpenSSL); !l.Deleted || !strings.Contains(l.Open, "map_files") {
		t.Errorf("library %+v", l)
	}
}

// inNamespace starts a subject in a mount namespace of its own, in which setup
// has run, and returns it with the pid of the Python process.
func inNamespace(t *testing.T, setup string) *subject {
	t.Helper()
	return start(t, command(t, "unshare"), "--mount", "--propagation", "private",
		"/bin/sh", "-e", "-c", setup+"\nexec \"$@\"", "sh")
}

func TestScanMountNamespace(t *testing.T) {
	needRoot(t)
	dir, ssl := t.TempDir(), systemLibrary(t, "libssl.so.3")
	s := inNamespace(t, "mount -t tmpfs none "+dir+"; cp -L "+ssl+" "+dir+"/libssl.so.3")
	path := filepath.Join(dir, "libssl.so.3")
	s.load(path)
	if _, err := os.Stat(path); err == nil {
		t.Fatalf("%s is to be seen from here", path)
	}
	p := scanOne(t, Selection{PIDs: []int{s.pid}})
	if l := wantLibrary(t, p.Libraries, path, OpenSSL); !strings.HasPrefix(l.Open, "/proc/") {
		t.Errorf("Open %s", l.Open)
	}

	// Another file of that name in our namespace is not taken for it.
	privateCopy(t, "libgnutls.so.30", dir, "libssl.so.3")
	p = scanOne(t, Selection{PIDs: []int{s.pid}})
	wantLibrary(t, p.Libraries, path, OpenSSL)
}

// Containers of one image: a file system each, one file below.
func TestScanOverlay(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	for _, sub := range []string{"lower", "upper0", "work0", "upper1", "work1", "upper2", "work2", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	privateCopy(t, "libssl.so.3", filepath.Join(dir, "lower"), "libssl.so.3")
	path := dir + "/merged/libssl.so.3"
	mount := func(n string) string {
		return "mount -t overlay none -o lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper" + n +
			",workdir=" + dir + "/work" + n + " " + dir + "/merged"
	}
	if err := exec.Command(command(t, "unshare"), "-m", "/bin/sh", "-c", mount("0")).Run(); err != nil {
		missing(t, "overlayfs on "+dir)
	}
	// The third has a copy of its own.
	a, b, c := inNamespace(t, mount("0")), inNamespace(t, mount("1")), inNamespace(t, mount("2")+"; touch "+path)
	selection := Selection{}
	for _, s := range []*subject{a, b, c} {
		s.load(path)
		selection.PIDs = append(selection.PIDs, s.pid)
	}
	found, problems, err := Scan(selection, testOptions)
	if err != nil || len(problems) > 0 || len(found) != 3 {
		t.Fatalf("found %v, %v, %v", found, problems, err)
	}
	libraries := make(map[int]Library)
	for _, p := range found {
		libraries[p.PID] = wantLibrary(t, p.Libraries, path, OpenSSL)
	}
	la, lb, lc := libraries[a.pid], libraries[b.pid], libraries[c.pid]
	if la.Dev == lb.Dev || la.Key() != lb.Key() || lb.Key() == lc.Key() {
		t.Errorf("devices %d, %d, %d; keys %v, %v, %v; want the first two keys alike",
			la.Dev, lb.Dev, lc.Dev, la.Key(), lb.Key(), lc.Key())
	}
}

func TestScanChroot(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	path := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	s := start(t)
	s.load("libcrypto.so.3") // which it needs
	s.do("os.chroot(%q)", dir)
	s.load("/libssl.so.3")
	p := scanOne(t, Selection{PIDs: []int{s.pid}})
	wantLibrary(t, p.Libraries, path, OpenSSL)
}

func TestScanComm(t *testing.T) {
	needRoot(t)
	s := start(t)
	s.do("open('/proc/self/comm', 'w').write('h2sniff-test-)( x')")
	// 15 octets of it are what the kernel keeps.
	for _, name := range []string{"h2sniff-test-)( x", "h2sniff-test-)( "[:15]} {
		if p := scanOne(t, Selection{Comm: name}); p.PID != s.pid || p.Comm != "h2sniff-test-)(" {
			t.Errorf("-c %s: found %+v, want %d", name, p, s.pid)
		}
	}
	for _, name := range []string{"h2sniff-test-)", "h2sniff-test"} {
		found, _, err := Scan(Selection{Comm: name}, testOptions)
		if err != nil || len(found) > 0 {
			t.Errorf("-c %s: found %v, %v", name, found, err)
		}
	}
	// Different options must all hold.
	other := start(t)
	found, _, err := Scan(Selection{Comm: "h2sniff-test-)(", PIDs: []int{other.pid}}, testOptions)
	if err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
	scanOne(t, Selection{Comm: "h2sniff-test-)(", PIDs: []int{other.pid, s.pid}})
}

func TestScanThreadName(t *testing.T) {
	needRoot(t)
	s := start(t)
	s.do("import threading; threading.Thread(target=lambda: (open('/proc/thread-self/comm','w').write('h2s-thread'), time.sleep(60)), daemon=True).start(); time.sleep(0.2)")
	found, _, err := Scan(Selection{Comm: "h2s-thread"}, testOptions)
	if err != nil || len(found) > 0 {
		t.Errorf("found %v, %v by the name of a thread that is not the leader", found, err)
	}
	tid := s.do("print(max(map(int, os.listdir('/proc/self/task'))))")
	var wrong *ProcessError
	_, _, err = Scan(Selection{PIDs: []int{atoi(t, tid)}}, testOptions)
	if !errors.As(err, &wrong) || wrong.Leader != s.pid || !errors.Is(err, ErrNoProcess) {
		t.Errorf("choosing a thread: %v", err)
	}
}

func TestScanDescendants(t *testing.T) {
	needRoot(t)
	path := privateCopy(t, "libssl.so.3", t.TempDir(), "libssl.so.3")
	s := start(t)
	// A grandchild under another name, which alone maps the library.
	out := s.do(`r, w = os.pipe(); pid = os.fork() or (os.fork() or (ctypes.CDLL(%q), open('/proc/self/comm', 'w').write('other'), os.write(w, str(os.getpid()).encode()), time.sleep(60)), time.sleep(60)); print(pid, os.read(r, 10).decode())`, path)
	var child, grandchild int
	if _, err := fmt.Sscan(out, &child, &grandchild); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Kill(child, unix.SIGKILL); unix.Kill(grandchild, unix.SIGKILL) })
	found, problems, err := Scan(Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil || len(problems) > 0 || len(found) != 3 {
		t.Fatalf("found %v, %v, %v", found, problems, err)
	}
	for _, p := range found {
		if has := len(p.Libraries) == 1; has != (p.PID == grandchild) {
			t.Errorf("process %+v (subject %d, %d, %d)", p, s.pid, child, grandchild)
		}
	}
}

func TestScanBinary(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	// A copy of the interpreter, so that no process of others runs it.
	b, err := os.ReadFile(python(t))
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "interpreter")
	if err := os.WriteFile(bin, b, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func() *subject { return start(t, "/bin/sh", "-c", `shift; exec "`+bin+`" "$@"`, "sh") }
	s, without := run(), start(t)
	s.load(ssl)
	without.load(ssl)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(bin, link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bin, link} {
		p := scanOne(t, Selection{Binary: path})
		wantLibrary(t, p.Libraries, ssl, OpenSSL)
		if p.PID != s.pid {
			t.Errorf("-b %s found %d, want %d", path, p.PID, s.pid)
		}
	}
	found, _, err := Scan(Selection{Binary: bin, PIDs: []int{without.pid}}, testOptions)
	if err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}

	// A file that holds the functions itself: those processes that map it.
	p, _, err := Scan(Selection{Binary: ssl}, testOptions)
	if err != nil || len(p) != 2 {
		t.Fatalf("found %v, %v", p, err)
	}
	wantLibrary(t, p[0].Libraries, ssl, OpenSSL)
}

func TestBinaryErrors(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	static := filepath.Join(dir, "static")
	e := testELF{machine: hostMachine, class: 2, symbols: []testSymbol{{"SSL_free", 0x10040, function, 1}}}
	if err := os.WriteFile(static, e.bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): os.ErrNotExist,
		script:                     ErrNotELF,
		fifo:                       ErrNotELF,
		dir:                        ErrNotELF,
		static:                     ErrNoFunctions,
	} {
		_, _, err := Scan(Selection{Binary: path}, testOptions)
		var typed *BinaryError
		if !errors.As(err, &typed) || !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		t.Log(err)
	}
}

func TestProcessErrors(t *testing.T) {
	needRoot(t)
	zombie := exec.Command("/bin/true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	defer zombie.Wait()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, zombie.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]error{
		1 << 30: ErrNoProcess, -1: ErrNoProcess, 0: ErrNoProcess,
		zombie.Process.Pid: ErrNoProcess, os.Getpid(): ErrSelf,
	} {
		_, _, err := Scan(Selection{PIDs: []int{pid}}, testOptions)
		var typed *ProcessError
		if !errors.As(err, &typed) || typed.PID != pid || !errors.Is(err, want) {
			t.Errorf("pid %d: %v, want %v", pid, err, want)
		}
		t.Log(err)
	}
}

// TestKernelThread: -p of one is a mistake that is told of. A container has none.
func TestKernelThread(t *testing.T) {
	needRoot(t)
	all, err := pids()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range all {
		if exe, err := os.Readlink(procPath(pid, "exe")); exe == "" && errors.Is(err, fs.ErrNotExist) {
			if st, err := readStat(pid); err == nil && st.ppid == 2 {
				_, _, err := Scan(Selection{PIDs: []int{pid}}, testOptions)
				if want := fmt.Sprintf("%d is a kernel thread: it runs no program", pid); !errors.Is(err, ErrKernelThread) || err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
				return
			}
		}
	}
	t.Skip("no kernel thread is to be seen: /proc is that of a container")
}

func TestScanProblems(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	// Named like the library, but it is another one.
	path := privateCopy(t, "libgnutls.so.30", dir, "libssl.so.3")
	nss := privateCopy(t, "libgnutls.so.30", dir, "libssl3.so")
	s := start(t)
	s.load(path)
	s.load(nss)
	found, problems, err := Scan(Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil || len(found) != 1 || len(found[0].Libraries) != 0 || len(problems) != 1 {
		t.Fatalf("found %v, %v, %v", found, problems, err)
	}
	if p := problems[0]; p.PID != s.pid || p.Path != path || p.Family != OpenSSL || !errors.Is(p, ErrNoFunctions) {
		t.Errorf("problem %+v", p)
	}
	t.Log(problems[0])
}

func TestFamilyOf(t *testing.T) {
	for path, want := range map[string]struct {
		family Family
		strict bool
	}{
		"/usr/lib/x86_64-linux-gnu/libssl.so.3":        {OpenSSL, true},
		"/opt/lib/libssl.so":                           {OpenSSL, true},
		"libssl.so.1.1":                                {OpenSSL, true},
		"/x/site-packages/a.libs/libssl-81ffa89e.so.3": {OpenSSL, true},
		"/usr/lib/libssl3.so":                          {NSS, true},
		"/usr/lib/libssl.conf":                         {},
		"/usr/lib/libssl.something":                    {},
		"/usr/lib/libssl/libcrypto.so.3":               {},
		"/usr/lib/libgnutls.so.30.34.3":                {GnuTLS, true},
		"/usr/lib/libgnutls-dane.so.0":                 {GnuTLS, false},
		"/usr/lib/libgnutlsxx.so.30":                   {GnuTLS, false},
		"/usr/lib/libgnutls-deadbeef.so.30":            {GnuTLS, true},
		"/usr/lib/libgnutls-openssl.so.27":             {GnuTLS, false},
		"/tmp/libnetty_tcnative_linux_x86_6412.so":     {OpenSSL, false},
		"/opt/lib/libboringssl.so":                     {OpenSSL, false},
		"/usr/bin/openssl":                             {},
		"/usr/lib/libwolfssl.so.35":                    {WolfSSL, true},
		"/usr/lib/libmbedtls.so.14":                    {MbedTLS, true},
		"/usr/lib/libc.so.6":                           {},
		"":                                             {},
	} {
		if family, strict := familyOf([]byte(path)); family != want.family || strict != want.strict {
			t.Errorf("%s: %v, %v, want %v", path, family, strict, want)
		}
	}
}

func FuzzParseProc(f *testing.F) {
	f.Add([]byte("7f1db2e6e000-7f1db2f0c000 r-xp 0001e000 fe:00 1234    /usr/lib/libssl.so.3\n"))
	f.Add([]byte("1234 (a) b) S 1 1234 1234 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 100 1 1 1 1 2 3 4\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, path, ok := parseMapping(b); ok && (len(path) == 0 || m.inode == 0) {
			t.Errorf("%q: %+v", b, m)
		}
		_, _ = parseStat(b)
	})
}
