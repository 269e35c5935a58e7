// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"h2sniff/bpf"
	"h2sniff/capture/target"
	"h2sniff/capture/uprobe"
)

// BenchmarkGoCalls gives what a Write and a Read of Go's crypto/tls take, 17
// octets each, without and with capture, in turn: medians.
func BenchmarkGoCalls(b *testing.B) {
	const rounds, calls = 5, 10000
	program := goProgram(b, goStripped)
	for b.Loop() {
		var without, with [2][]float64 // Write, Read
		p := startPeerCommand(b, exec.Command(program))
		measure := func(into *[2][]float64) {
			var write, read float64
			if _, err := fmt.Sscan(p.do("bench %d", calls), &write, &read); err != nil {
				b.Fatal(err)
			}
			into[0], into[1] = append(into[0], write), append(into[1], read)
		}
		for range rounds {
			measure(&without)
			stop := startQuiet(b, "-p", strconv.Itoa(p.pid), "--lib", "go")
			measure(&with)
			stop()
		}
		for i, name := range []string{"write", "read"} {
			slices.Sort(without[i])
			slices.Sort(with[i])
			b.ReportMetric(without[i][rounds/2], "ns/"+name+"-without")
			b.ReportMetric(with[i][rounds/2], "ns/"+name+"-with")
			b.ReportMetric(with[i][rounds/2]-without[i][rounds/2], "ns/"+name+"-added")
		}
		b.ReportMetric(0, "ns/op") // says nothing here
		p.end()
	}
}

// BenchmarkGoAttach gives what it takes to look into a Go program and, where it
// runs, to place the probes on it. Loading the BPF programs, which is done once,
// is in the first attach.
func BenchmarkGoAttach(b *testing.B) {
	objs, err := bpf.Load(bpf.Options{RingBytes: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer objs.Close()
	attacher, err := uprobe.NewAttacher(objs, func(uint32, string) {})
	if err != nil {
		b.Fatal(err)
	}
	defer attacher.Close()
	milliseconds := func(do func()) float64 {
		began := time.Now()
		do()
		return float64(time.Since(began).Microseconds()) / 1000
	}
	for _, program := range []struct {
		name, path string
		runs       bool
	}{
		{"first", goProgram(b, goNormal), true},
		{"normal", goProgram(b, goNormal), true},
		{"stripped", goProgram(b, goStripped), true},
		{"pie", goProgram(b, goBuilds[2]), true},
		{"go", "go", false},
		{"caddy", "caddy", false},
	} {
		b.Run(program.name, func(b *testing.B) {
			path, err := exec.LookPath(program.path)
			need(b, program.path, err == nil)
			var found []target.Library
			b.ReportMetric(milliseconds(func() {
				found, err = target.Inspect(path, target.Options{Wanted: uprobe.Wanted()})
			}), "ms/inspect")
			if err != nil || len(found) != 1 {
				b.Fatal(found, err)
			}
			b.ReportMetric(0, "ns/op")
			if !program.runs {
				return
			}
			p := startPeerCommand(b, exec.Command(path))
			b.ReportMetric(milliseconds(func() { err = attacher.Attach(&found[0], p.pid) }), "ms/attach")
			if err != nil {
				b.Fatal(err)
			}
			p.end()
			attacher.DetachProcess(p.pid)
		})
	}
}
