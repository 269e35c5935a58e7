// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkNginx gives the speed of nginx under h2load without and with
// capture (h2sniff dump into nothing), in turn so that drift of the machine
// cancels out: medians of requests/s, their ratio, and octets lost.
func BenchmarkNginx(b *testing.B) {
	needPrograms(b, "h2load")
	const rounds = 5
	for _, size := range []struct {
		name     string
		octets   int
		requests int
	}{{"1KB", 1 << 10, 20000}, {"16KB", 16 << 10, 10000}, {"1MB", 1 << 20, 500}} {
		b.Run(size.name, func(b *testing.B) {
			nginx := startNginx(b, 2)
			nginx.file(b, "payload", size.octets)
			for b.Loop() {
				var without, with []float64
				var lost uint64
				load := func() float64 { return h2load(b, nginx.url("/payload"), size.requests) }
				load() // warms caches
				for range rounds {
					without = append(without, load())
					stop := startQuiet(b, "-p", strconv.Itoa(nginx.pid))
					with = append(with, load())
					lost += stop()
				}
				slices.Sort(without)
				slices.Sort(with)
				b.ReportMetric(without[rounds/2], "req/s-without")
				b.ReportMetric(with[rounds/2], "req/s-with")
				b.ReportMetric(with[rounds/2]/without[rounds/2], "ratio")
				b.ReportMetric(float64(lost), "lost-bytes")
				b.ReportMetric(0, "ns/op") // says nothing here
			}
		})
	}
}

var requestRate = regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`)

// h2load loads a URL over 10 connections of 10 streams and gives requests/s.
func h2load(t testing.TB, url string, requests int) float64 {
	t.Helper()
	out := run(t, "h2load", "-n", strconv.Itoa(requests), "-c", "10", "-m", "10", url)
	m := requestRate.FindStringSubmatch(out)
	if m == nil || !strings.Contains(out, fmt.Sprintf("%d succeeded, 0 failed", requests)) {
		t.Fatalf("h2load: %s", out)
	}
	rate, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return rate
}

var lostBytes = regexp.MustCompile(`(\d+) bytes lost`)

// startQuiet runs h2sniff dump with its lines thrown away. stop ends it and
// gives the octets that its summary says were lost.
func startQuiet(t testing.TB, args ...string) (stop func() uint64) {
	t.Helper()
	cmd := exec.Command(h2sniff, append([]string{"dump"}, args...)...)
	var log lockedBuilder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(timeout)
	for !strings.Contains(log.String(), "h2sniff: ready") {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("not ready: %s", log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() uint64 {
		cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("h2sniff: %v\n%s", err, log.String())
		}
		m := lostBytes.FindStringSubmatch(log.String())
		if m == nil {
			t.Fatalf("no summary: %s", log.String())
		}
		n, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// lockedBuilder is a strings.Builder that a process can write to while a test
// reads it.
type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
