// SPDX-License-Identifier: Apache-2.0

package target

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const insideKey = "H2SNIFF_TEST_INSIDE"

// inside runs the calling test once more under a command such as unshare, and
// reports whether we are that run. The machine is not ours: what regards all of
// its processes is tested in a pid namespace that holds none but ours.
func inside(t *testing.T, wrap ...string) bool {
	t.Helper()
	needRoot(t)
	if os.Getenv(insideKey) == t.Name() {
		return true
	}
	args := append(wrap[1:], os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd := exec.Command(command(t, wrap[0]), args...)
	cmd.Env = append(os.Environ(), insideKey+"="+t.Name())
	out, err := cmd.CombinedOutput()
	t.Logf("inside:\n%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Fatalf("inside: %v", err)
	}
	return false
}

func TestMachine(t *testing.T) {
	if !inside(t, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child") {
		return
	}
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	a, b := start(t), start(t)
	a.load(ssl)
	if a.pid > 1000 {
		t.Fatalf("pid %d: not in a namespace of our own", a.pid)
	}
	x := begin(t, Selection{})
	if len(x.seen) != 2 || x.seen[0].(Chosen).Process.PID != a.pid {
		t.Fatalf("seen %+v, want %d alone", x.seen, a.pid)
	}
	b.load(ssl)
	c := next[Chosen](x)
	if c.Process.PID != b.pid || c.Process.Comm != "python3" || c.Time == 0 {
		t.Errorf("chosen %+v", c)
	}
	wantLibrary(t, c.Process.Libraries, ssl, OpenSSL)
	b.load(privateCopy(t, "libgnutls.so.30", dir, "libgnutls.so.30"))
	if m := next[Mapped](x); m.PID != b.pid || m.Library.Family != GnuTLS {
		t.Errorf("mapped %+v", m)
	}
	child := atoi(t, b.do("pid = os.fork() or time.sleep(60); print(pid)"))
	if c = next[Chosen](x); !c.Forked || c.Process.PID != child || len(c.Process.Libraries) != 2 {
		t.Errorf("chosen %+v", c)
	}
	unix.Kill(child, unix.SIGKILL)
	next[Exited](x)
	x.quiet(50 * time.Millisecond)
}

// The programs of this trade, from their start to their end.
func TestMachinePrograms(t *testing.T) {
	if !inside(t, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child") {
		return
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	nginx := write("nginx.conf", "daemon off; pid "+dir+"/pid; error_log stderr crit; events {}\n"+
		"http { access_log off; server { listen unix:"+dir+"/nginx; } }\n")
	h2o := write("h2o.conf", "listen: {type: unix, port: "+dir+"/h2o}\nhosts: {x: {paths: {/: {file.dir: "+dir+"}}}}\n")
	port := silentPort(t)
	x := begin(t, Selection{})
	for _, c := range []struct {
		argv []string
		want []Family
	}{
		{[]string{"curl", "-s", "https://127.0.0.1:" + port}, []Family{OpenSSL, GnuTLS}}, // GnuTLS by way of RTMP
		{[]string{"openssl", "s_client", "-connect", "127.0.0.1:" + port}, []Family{OpenSSL}},
		{[]string{"gnutls-cli", "-p", port, "127.0.0.1"}, []Family{GnuTLS}},
		{[]string{"nginx", "-p", dir, "-c", nginx}, []Family{OpenSSL}},
		{[]string{"h2o", "-c", h2o}, []Family{OpenSSL}},
	} {
		path := command(t, c.argv[0])
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(path, c.argv[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var got []Family
		x.seen = nil
		x.until("the libraries of "+c.argv[0], func(e Event) bool {
			var libraries []Library
			switch e := e.(type) {
			case Chosen:
				if e.Process.PID != cmd.Process.Pid {
					break // a child
				}
				libraries = e.Process.Libraries
				if e.Process.Exe != real {
					t.Errorf("%s: %+v, want %s", c.argv[0], e.Process, real)
				}
			case Mapped:
				if e.PID == cmd.Process.Pid {
					libraries = []Library{e.Library}
				}
			case Problem:
				t.Errorf("%s: %v", c.argv[0], e)
			}
			for _, l := range libraries {
				got = append(got, l.Family)
			}
			return len(got) == len(c.want)
		})
		_ = cmd.Process.Signal(unix.SIGTERM)
		// nginx forgets a signal that comes while it is starting.
		again := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		again.Stop()
		x.until("the end of "+c.argv[0], func(e Event) bool {
			if m, ok := e.(Mapped); ok && m.PID == cmd.Process.Pid {
				got = append(got, m.Library.Family)
			}
			exited, ok := e.(Exited)
			return ok && exited.PID == cmd.Process.Pid
		})
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.argv[0], got, c.want)
		}
	}
}

// A process whose notices came, but that has ended before they were read, and
// whose pid another has now.
func TestPIDReuse(t *testing.T) {
	if !inside(t, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child") {
		return
	}
	s := start(t)
	x := begin(t, Selection{PIDs: []int{s.pid}})
	// The kernel lets us choose the next pid.
	const pid = 300
	for range 3 {
		if got := s.do(`open("/proc/sys/kernel/ns_last_pid", "w").write("299"); pid = os.fork() or time.sleep(60); print(pid)`); got != "300" {
			missing(t, "/proc/sys/kernel/ns_last_pid (CONFIG_CHECKPOINT_RESTORE)")
		}
		a := next[Chosen](x)
		s.do(`os.kill(%d, 9); os.waitpid(%d, 0); time.sleep(0.02)`, pid, pid)
		if e := next[Exited](x); a.Process.PID != pid || e.PID != pid || e.StartTime != a.Process.StartTime {
			t.Errorf("chosen %+v, exited %+v", a, e)
		}
	}
	// The selected process itself: its pid in the hands of another is not
	// selected, nor taken for it in a scan.
	chooser, err := newChooser(Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	var seen []Event
	tracker := newTracker(chooser, nil, func(e Event) { seen = append(seen, e) })
	if err := tracker.scan(); err != nil || len(seen) != 1 {
		t.Fatalf("seen %v, %v", seen, err)
	}
	s.stop()
	next[Exited](x)
	other := start(t)
	if got := other.do(`open("/proc/sys/kernel/ns_last_pid", "w").write("%d"); pid = os.fork() or time.sleep(60); print(pid)`, s.pid-1); got != itoa(s.pid) {
		t.Fatalf("pid %s, want %d", got, s.pid)
	}
	x.quiet(100 * time.Millisecond)
	if err := tracker.scan(); err != nil || len(seen) != 2 {
		t.Fatalf("seen %v, %v", seen, err)
	}
	if e, ok := seen[1].(Exited); !ok || e.PID != s.pid {
		t.Errorf("seen %+v, want the end", seen[1])
	}
}

// Without the right to follow map_files, the numbers of maps must do.
func TestWithoutMapFiles(t *testing.T) {
	if !inside(t, "unshare", "--user", "--map-root-user", "--mount") {
		return
	}
	dir := t.TempDir()
	ssl := privateCopy(t, "libssl.so.3", dir, "libssl.so.3")
	gone := privateCopy(t, "libgnutls.so.30", dir, "libgnutls.so.30")
	s := start(t)
	s.load(ssl)
	s.load(gone)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(procPath(s.pid, "map_files/*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("map_files: %v, %v", files, err)
	}
	if _, err := os.Stat(files[0]); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("map_files can be followed here (%v)", err)
	}
	found, problems, err := Scan(Selection{PIDs: []int{s.pid}}, testOptions)
	if err != nil || len(found) != 1 || len(problems) != 1 || !errors.Is(problems[0].Err, ErrMoved) || problems[0].Path != gone {
		t.Fatalf("found %v, %v, %v", found, problems, err)
	}
	wantLibrary(t, found[0].Libraries, ssl, OpenSSL)

	// Not the right to watch either: a sentence that says so.
	_, err = Watch(context.Background(), Selection{PIDs: []int{s.pid}}, testOptions)
	var typed *WatchError
	if !errors.As(err, &typed) || !errors.Is(err, os.ErrPermission) {
		t.Errorf("Watch: %v", err)
	}
	t.Log(err)
}

// /proc of another pid namespace would give us the processes of others.
func TestForeignProc(t *testing.T) {
	if !inside(t, "unshare", "--pid", "--fork", "--kill-child") {
		return
	}
	_, _, err := Scan(Selection{}, testOptions)
	var typed *ProcError
	if !errors.As(err, &typed) {
		t.Fatalf("Scan: %v", err)
	}
	t.Log(err)
}
