// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// table prints what a benchmark found.
func table(title string, rows ...[]any) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Printf("\n%s\n%s\n", title, b.String())
}

// spread is a median, a 90th percentile and a maximum.
func spread(took []time.Duration) []any {
	slices.Sort(took)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return []any{round(took[len(took)/2]), round(took[len(took)*9/10]), round(took[len(took)-1])}
}

var toldAfter = regexp.MustCompile(`maps \S+: told ([0-9.]+) ms after`)

// BenchmarkDiscovery gives how long it takes from the start of a program until
// it is attached to, and from the mapping of its library until h2sniff knows:
// a library that nobody knew before.
func BenchmarkDiscovery(b *testing.B) {
	const starts = 40
	program := namedPeer(b, "discovered")
	enterNamespace(b, "")
	s := startSniff(b, "-d", "-c", "discovered")
	for b.Loop() {
		var started, told []time.Duration
		for range starts {
			library := privateLibrary(b, libssl)
			cmd := exec.Command(program)
			cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(library))
			before := time.Now()
			p := startPeerCommand(b, cmd)
			attached := fmt.Sprintf("h2sniff: OpenSSL %s: ", library)
			for !strings.Contains(s.errors(), attached) {
				if time.Since(before) > timeout {
					b.Fatalf("%d is not attached to", p.pid)
				}
				time.Sleep(200 * time.Microsecond)
			}
			started = append(started, time.Since(before))
			p.end()
		}
		for _, m := range toldAfter.FindAllStringSubmatch(s.errors(), -1) {
			ms, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			told = append(told, time.Duration(ms*float64(time.Millisecond)))
		}
		table(fmt.Sprintf("Discovery latency, %d starts of a program", starts),
			[]any{"from", "to", "median", "90th percentile", "maximum"},
			append([]any{"library mapped", "h2sniff knows"}, spread(told)...),
			append([]any{"program started", "probes in place"}, spread(started)...))
		b.ReportMetric(float64(started[starts/2].Microseconds()), "µs-to-attach")
		b.ReportMetric(0, "ns/op") // says nothing here
	}
	s.stop()
}

// ownProcesses are those of h2sniff in the pid namespace that the test is in.
func ownProcesses(t testing.TB) (pids []int) {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if comm, err := os.ReadFile(name); err == nil && string(comm) == "h2sniff\n" {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	if len(pids) != 2 {
		t.Fatalf("h2sniff is the processes %v, want two", pids)
	}
	return pids
}

// BenchmarkIdle gives what h2sniff costs where 1,000 processes sleep and nothing
// happens, and how long it takes until it is ready there. The processes, and
// the libraries, are in namespaces of their own.
func BenchmarkIdle(b *testing.B) {
	const rest = 10 * time.Second
	for b.Loop() {
		rows := [][]any{{"processes", "chosen", "until ready", "processor time a second", "memory of its own"}}
		for _, processes := range []int{10, 1000} {
			for _, args := range [][]string{nil, {"-c", "nobody"}} {
				done := make(chan struct{})
				go func() { // its thread enters the namespaces, and is thrown away
					defer close(done)
					runtime.LockOSThread()
					b.Run(fmt.Sprintf("%d %v", processes, args), func(b *testing.B) {
						rows = append(rows, idle(b, processes, args, rest))
					})
				}()
				<-done
			}
		}
		table("An idle h2sniff", rows...)
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}

func idle(b *testing.B, processes int, args []string, rest time.Duration) []any {
	enterNamespace(b, privateLibraries)
	sleepers := startPeerCommand(b, exec.Command("sh", "-c",
		`for i in $(seq "$1"); do sleep 600 & done; echo "ok $$"; read -r end`, "sh", strconv.Itoa(processes)))
	before := time.Now()
	s := startSniff(b, args...)
	ready := time.Since(before).Round(time.Millisecond)
	time.Sleep(4 * time.Second) // until the reader has seen that nothing comes
	own := ownProcesses(b)
	used := processorTime(b, slices.Min(own)) // and of its child
	began := time.Now()
	time.Sleep(rest)
	used = processorTime(b, slices.Min(own)) - used
	share := time.Duration(float64(used) / time.Since(began).Seconds())
	memory := 0
	for _, pid := range own {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			b.Fatal(err)
		}
		if _, text, ok := strings.Cut(string(status), "RssAnon:"); ok {
			var kib int
			fmt.Sscan(text, &kib)
			memory += kib
		}
	}
	s.stop()
	sleepers.in.Close()
	sleepers.cmd.Wait()
	chosen := "the machine"
	if len(args) > 0 {
		chosen = strings.Join(args, " ")
	}
	return []any{processes, chosen, ready, share.Round(10 * time.Microsecond), fmt.Sprintf("%d MiB", memory>>10)}
}

// BenchmarkAddresses gives, by program, how the addresses of its connections are
// known in the end; those that are known are compared with the truth.
func BenchmarkAddresses(b *testing.B) {
	const connections = 96
	for b.Loop() {
		rows := [][]any{{"program", "connections", "exact", "inferred", "unknown"}}
		add := func(name string, e evidence) {
			all := e.exact + e.inferred + e.unknown
			percent := func(n int) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(all)) }
			rows = append(rows, []any{name, all, percent(e.exact), percent(e.inferred), percent(e.unknown)})
		}
		for _, server := range addressServers {
			add(server.name+" (server)", serverEvidence(b, server.start, connections))
		}
		clients, request := addressClients(b)
		for _, client := range clients {
			add(client.name, client.evidence(b, request))
		}
		table("How addresses are known", rows...)
		b.ReportMetric(0, "ns/op") // says nothing here
	}
}
