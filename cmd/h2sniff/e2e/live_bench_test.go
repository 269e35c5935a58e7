// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"

	"golang.org/x/sys/unix"
)

// What BenchmarkLive measures; "make bench-live" sets these from its variables.
// Each is a list of words, all if it is empty.
const (
	benchServers = "BENCH_SERVERS" // nginx h2o go grpc
	benchSizes   = "BENCH_SIZES"   // 1KB 16KB 1MB
	benchConns   = "BENCH_CONNS"   // 1 10 100
	benchModes   = "BENCH_MODES"   // bpftrace idle-tls idle headers-only-tls headers-only full record
	benchRounds  = "BENCH_ROUNDS"  // how often each mode has its turn, 3 if empty
	benchSeconds = "BENCH_SECONDS" // of load in each turn, 2 if empty
)

func chosen(variable, name string) bool {
	list := strings.Fields(os.Getenv(variable))
	return len(list) == 0 || slices.Contains(list, name)
}

func benchNumber(b *testing.B, variable string, otherwise float64) float64 {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 {
		b.Fatalf("%s=%s: a number is needed", variable, text)
	}
	return n
}

// liveServer is a server under load and how it is loaded.
type liveServer struct {
	pid     int
	library string // what it does TLS with, for the floor; "" if that has none
	load    func(conns int, seconds float64) loadResult
	// gaveUp, where set, is how many connections the server has given up since it
	// was last asked, as net/http does where SETTINGS come later than 2 s after a
	// handshake. A load generator that shares its processor can be so late, without
	// capture too.
	gaveUp func() int
}

// loadResult is what a load generator tells of one turn.
type loadResult struct {
	requests int
	rate     float64 // requests/s
	p50, p99 float64 // ms
	failed   string  // what the load generator says where requests failed
}

// turn is one turn of a mode.
type turn struct {
	loadResult
	ratio float64 // of the rate, to the turn without capture in the same round
	work  float64 // processor time of the server, µs a request
	share float64 // of that without capture in the same round, to this
	cpu   float64 // cores that the capturing program used
	lost  uint64  // octets
}

// BenchmarkLive gives what capture costs servers under full load: each mode has
// its turn in each round, so that drift of the machine cancels out, and is
// compared with the turn without capture of the same round. The server has a
// processor of its own, where there are two; the load generator and h2sniff
// share the others.
//
// Requests/s are of the whole machine. The server's own processor time a
// request says what capture costs the server alone, whatever else is running:
// the ratio of requests/s where h2sniff has processors of its own.
//
// There are two floors. bpftrace does nothing but count the same functions, entry
// and return, as they are placed without looking at their code. The idle modes
// have programs that do nothing where h2sniff has its own: what they cost is the
// kernel's, what the others cost more is ours.
func BenchmarkLive(b *testing.B) {
	needPrograms(b, "h2load", "nginx", "h2o")
	rounds, seconds := int(benchNumber(b, benchRounds, 3)), benchNumber(b, benchSeconds, 2)
	fmt.Printf("%d processors, Linux %s, load %s\n", runtime.NumCPU(), kernelRelease(b), loadAverage(b))
	fmt.Printf("%-22s %-16s %9s %17s %8s %17s %8s %8s %7s %10s\n",
		"server size conns", "mode", "req/s", "ratio (spread)", "µs/req", "ratio (spread)", "p50 ms", "p99 ms", "cores", "lost")
	for _, server := range []struct {
		name  string
		start func(testing.TB, int) *liveServer
	}{{"nginx", liveNginx}, {"h2o", liveH2O}, {"go", liveGo}, {"grpc", liveGRPC}} {
		if !chosen(benchServers, server.name) {
			continue
		}
		for _, size := range []struct {
			name   string
			octets int
		}{{"1KB", 1 << 10}, {"16KB", 16 << 10}, {"1MB", 1 << 20}} {
			if !chosen(benchSizes, size.name) {
				continue
			}
			b.Run(server.name+"/"+size.name, func(b *testing.B) {
				s := server.start(b, size.octets)
				pin(b, s.pid, 0)
				for _, conns := range []int{1, 10, 100} {
					if chosen(benchConns, strconv.Itoa(conns)) {
						for range b.N { // -benchtime 1x
							measureLive(b, s, fmt.Sprintf("%s %s %d", server.name, size.name, conns), conns, rounds, seconds)
						}
					}
				}
				b.ReportMetric(0, "ns/op") // says nothing here
			})
		}
	}
}

func measureLive(b *testing.B, s *liveServer, name string, conns, rounds int, seconds float64) {
	modes := []string{"none"}
	for _, mode := range []string{"bpftrace", "idle-tls", "idle", "headers-only-tls", "headers-only", "full", "record"} {
		if chosen(benchModes, mode) && (mode != "bpftrace" || s.library != "") {
			modes = append(modes, mode)
		}
	}
	measureTurn(b, s, name+" first", conns, seconds/10) // finds the rate, and warms caches
	measureTurn(b, s, name+" second", conns, seconds/2)
	turns := make(map[string][]turn)
	for round := range rounds {
		var without turn
		for i := range modes {
			mode := modes[i]
			if i > 0 { // who comes first has no advantage
				mode = modes[1+(i-1+round)%(len(modes)-1)]
			}
			stop := startCapture(b, s, mode)
			r := measureTurn(b, s, name+" "+mode, conns, seconds)
			r.cpu, r.lost = stop()
			if mode == "none" {
				without = r
			}
			r.ratio, r.share = r.rate/without.rate, without.work/r.work
			turns[mode] = append(turns[mode], r)
		}
	}
	for _, mode := range modes {
		t := turns[mode]
		of := func(value func(turn) float64) float64 {
			slices.SortFunc(t, func(x, y turn) int {
				switch d := value(x) - value(y); {
				case d < 0:
					return -1
				case d > 0:
					return 1
				}
				return 0
			})
			return value(t[len(t)/2])
		}
		spread := func(value func(turn) float64) string {
			median := of(value)
			return fmt.Sprintf("%.2f (%.2f-%.2f)", median, value(t[0]), value(t[len(t)-1]))
		}
		var lost uint64
		for _, t := range t {
			lost += t.lost
		}
		fmt.Printf("%-22s %-16s %9.0f %17s %8.1f %17s %8.2f %8.2f %7.2f %10d\n", name, mode,
			of(func(t turn) float64 { return t.rate }), spread(func(t turn) float64 { return t.ratio }),
			of(func(t turn) float64 { return t.work }), spread(func(t turn) float64 { return t.share }),
			of(func(t turn) float64 { return t.p50 }), of(func(t turn) float64 { return t.p99 }), of(func(t turn) float64 { return t.cpu }), lost)
	}
}

// measureTurn loads a server once, and once more where that failed by the server's
// own doing.
func measureTurn(b *testing.B, s *liveServer, name string, conns int, seconds float64) turn {
	const tries = 5
	for try := 1; ; try++ {
		used := processorTime(b, s.pid)
		r := turn{loadResult: s.load(conns, seconds)}
		gaveUp := 0
		if s.gaveUp != nil {
			gaveUp = s.gaveUp()
		}
		switch {
		case r.failed == "":
			r.work = float64((processorTime(b, s.pid) - used).Microseconds()) / float64(max(1, r.requests))
			return r
		case gaveUp == 0 || try == tries:
			b.Fatalf("h2load: %s", r.failed)
		}
		fmt.Printf("%s: once more, the server gave up %d connections whose SETTINGS came late\n", name, gaveUp)
	}
}

// startCapture begins what a mode does to a server. stop ends it and gives the
// processors that it has used on the average, and the octets that it has lost.
func startCapture(b *testing.B, s *liveServer, mode string) (stop func() (cpu float64, lost uint64)) {
	b.Helper()
	pid := strconv.Itoa(s.pid)
	var cmd *exec.Cmd
	ready := "h2sniff: ready"
	switch mode {
	case "none":
		return func() (float64, uint64) { return 0, 0 }
	case "idle", "idle-tls":
		stop := attachIdle(b, s.pid, mode == "idle")
		return func() (float64, uint64) { stop(); return 0, 0 }
	case "bpftrace":
		ready = "floor begins"
		cmd = exec.Command("bpftrace", "-e", floorProgram(s.library))
	case "full":
		cmd = exec.Command(h2sniff, "dump", "-p", pid)
	case "headers-only":
		cmd = exec.Command(h2sniff, "dump", "--headers-only", "-p", pid)
	case "headers-only-tls": // what a server without cleartext HTTP/2 needs
		cmd = exec.Command(h2sniff, "dump", "--headers-only", "--h2c=false", "-p", pid)
	case "record":
		cmd = exec.Command(h2sniff, "record", "-w", filepath.Join(b.TempDir(), "x.pcapng"), "-p", pid)
	}
	var log lockedBuilder
	cmd.Stderr = &log
	if mode == "bpftrace" {
		cmd.Stdout = &log
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	pin(b, cmd.Process.Pid, 1)
	deadline := time.Now().Add(timeout)
	for !strings.Contains(log.String(), ready) {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			b.Fatalf("%v is not ready: %s", cmd.Args, log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	began, used := time.Now(), processorTime(b, cmd.Process.Pid)
	return func() (float64, uint64) {
		cpu := (processorTime(b, cmd.Process.Pid) - used).Seconds() / time.Since(began).Seconds()
		if mode == "bpftrace" { // sometimes forgets a SIGINT
			cmd.Process.Kill()
			cmd.Wait()
			return cpu, 0
		}
		cmd.Process.Signal(syscall.SIGINT)
		err := cmd.Wait()
		if err != nil {
			b.Fatalf("h2sniff: %v\n%s", err, log.String())
		}
		m := lostBytes.FindStringSubmatch(log.String())
		if m == nil || strings.HasPrefix(m[0], "0 frames") {
			b.Fatalf("no summary: %s", log.String())
		}
		lost, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		return cpu, lost
	}
}

// attachIdle places programs that do nothing where "h2sniff -p" has those that
// capture, and with cleartext those for that.
func attachIdle(b *testing.B, pid int, cleartext bool) (stop func()) {
	b.Helper()
	objs, err := bpf.Load(bpf.Options{RingBytes: 1 << 20, Idle: true})
	if err != nil {
		b.Fatal(err)
	}
	attacher, err := uprobe.NewAttacher(objs, func(uint32, string) {})
	if err != nil {
		b.Fatal(err)
	}
	processes, problems, err := target.Scan(target.Selection{PIDs: []int{pid}}, target.Options{Wanted: uprobe.Wanted()})
	if err != nil || len(problems) > 0 {
		b.Fatal(err, problems)
	}
	placed := 0
	for _, p := range processes {
		for i := range p.Libraries {
			if err := attacher.Attach(&p.Libraries[i], p.PID); err != nil {
				b.Fatal(err)
			}
			placed++
		}
		if cleartext {
			if err := attacher.Follow(p.PID, bpf.FollowTree); err != nil {
				b.Fatal(err)
			}
		}
	}
	if placed == 0 {
		b.Fatalf("process %d has nothing to probe", pid)
	}
	return func() {
		if err := errors.Join(attacher.Close(), objs.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// floorProgram counts what h2sniff probes of libssl while data flow.
func floorProgram(library string) string {
	var b strings.Builder
	for _, f := range []string{"SSL_write", "SSL_write_ex", "SSL_read", "SSL_read_ex", "SSL_do_handshake"} {
		fmt.Fprintf(&b, "uprobe:%[1]s:%[2]s { @[probe] = count(); } uretprobe:%[1]s:%[2]s { @[probe] = count(); } ", library, f)
	}
	return b.String() + `BEGIN { printf("floor begins\n"); }`
}

// processorTime is what a process and its children that exist have used, of all
// their threads: field 1 of schedstat, which is exact where ticks are not.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, process := range append(children(t, pid), pid) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", process))
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err != nil {
				continue // it has ended
			}
			var ns time.Duration
			if _, err := fmt.Sscan(string(stat), &ns); err != nil {
				t.Fatal(err)
			}
			sum += ns
		}
	}
	return sum
}

// pin keeps a process and its children that exist on the first processor, or on
// all others.
func pin(t testing.TB, pid, which int) {
	t.Helper()
	n := runtime.NumCPU()
	if n < 2 {
		return
	}
	var set unix.CPUSet
	if which == 0 {
		set.Set(0)
	} else {
		for i := 1; i < n; i++ {
			set.Set(i)
		}
	}
	for _, process := range append(children(t, pid), pid) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process))
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil && err != unix.ESRCH {
				t.Fatal(err)
			}
		}
	}
}

func kernelRelease(t testing.TB) string {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release, _, _ := bytes.Cut(u.Release[:], []byte{0})
	return string(release)
}

func loadAverage(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b))
}
