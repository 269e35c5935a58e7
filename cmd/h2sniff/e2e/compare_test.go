// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// identity is what every row of a traced program has to say of it.
type identity struct {
	comm    string
	role    string
	pids    []int
	library string // base name
	// threads is set where other threads than the main one use TLS.
	threads bool
}

const (
	libssl    = "libssl.so.3"
	libgnutls = "libgnutls.so.30"
)

// wantIdentity wants every row to name the process, and the role from each
// connection's preface on: what a server says before it fits both.
func wantIdentity(t testing.TB, rows []row, want identity) {
	t.Helper()
	if len(frames(rows, "", "")) == 0 {
		t.Errorf("no frames of %s", want.comm)
	}
	begun := make(map[string]bool)
	for _, r := range rows {
		begun[r.Conn] = begun[r.Conn] || r.Kind == "preface"
		library := r.Library[strings.LastIndex(r.Library, "/")+1:]
		role := r.Role == want.role || !begun[r.Conn] && r.Role != reverseRole[want.role]
		tid := r.TID == r.PID || want.threads && r.TID > 0
		if r.Comm != want.comm || !role || !tid || !slices.Contains(want.pids, r.PID) || !strings.HasPrefix(library, want.library) {
			t.Errorf("%s row %d: comm %q, role %q, pid %d, tid %d, library %q; want %+v",
				r.Kind, r.Seq, r.Comm, r.Role, r.PID, r.TID, r.Library, want)
			return
		}
	}
}

var reverseRole = map[string]string{"client": "server", "server": "client"}

// children lists the processes that a process has started.
func children(t testing.TB, pid int) []int {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, name := range lists {
		list, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended: its children are another's
		}
		for field := range strings.FieldsSeq(string(list)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// wantExact wants no header field that is not known for sure.
func wantExact(t testing.TB, rows []row) {
	t.Helper()
	n := 0
	for _, r := range rows {
		for _, h := range r.Headers {
			if n++; h.Trust != "exact" {
				t.Errorf("row %d: %s has trust %q", r.Seq, h.Name, h.Trust)
			}
		}
	}
	if n == 0 {
		t.Error("no header fields")
	}
}

// wantTimes wants times within the given bounds that never run backwards in a
// direction of a connection, and elapsed times that agree with them.
func wantTimes(t testing.TB, rows []row, from, to time.Time) {
	t.Helper()
	const slack = time.Second // between reading two clocks
	from, to = from.Add(-slack), to.Add(slack)
	type direction struct{ conn, dir string }
	last := make(map[direction]row)
	start := math.NaN() // h2sniff's start, which elapsed counts from
	for i, r := range rows {
		if r.Time.Before(from) || r.Time.After(to) {
			t.Errorf("row %d: time %v is not within the test, %v to %v", r.Seq, r.Time, from, to)
			return
		}
		began := float64(r.Time.UnixNano())/1e9 - r.Elapsed
		if math.Abs(began-start) > 1e-3 || r.Elapsed < 0 {
			t.Errorf("row %d: time %v and elapsed %v disagree with the rows before", r.Seq, r.Time, r.Elapsed)
			return
		}
		start = began
		if i > 0 && r.Seq <= rows[i-1].Seq {
			t.Errorf("row %d after row %d", r.Seq, rows[i-1].Seq)
		}
		if r.Kind != "frame" {
			continue
		}
		key := direction{r.Conn, r.Dir}
		before := last[key]
		if r.TimeEnd.Before(r.Time) || r.Time.Before(before.Time) || r.TimeEnd.Before(before.TimeEnd) {
			t.Errorf("row %d of %s %s: from %v to %v, after one from %v to %v",
				r.Seq, r.Conn, r.Dir, r.Time, r.TimeEnd, before.Time, before.TimeEnd)
			return
		}
		last[key] = r
	}
}

// On a busy machine processes can be followed late, and notices of them be lost.
var summaryLine = regexp.MustCompile(`(?m)^h2sniff: (\d+) frames?, (\d+) bytes?, (\d+) connections?, (\d+) bytes? lost(?:, \d+ not copied)?(?:, .*\bfollowed\b.*)?$`)

// wantSummary wants the last line on standard error to sum the rows up, which
// are those of HTTP/2 connections only.
func wantSummary(t testing.TB, stderr string, rows []row) {
	t.Helper()
	m := summaryLine.FindStringSubmatch(stderr)
	if m == nil {
		t.Errorf("no summary on standard error:\n%s", stderr)
		return
	}
	var octets uint64
	list := frames(rows, "", "")
	for _, r := range list {
		octets += 9 + uint64(r.Length)
	}
	opened := 0
	for _, r := range rows {
		switch r.Kind {
		case "open":
			opened++
		case "preface":
			octets += uint64(len(http2.ClientPreface))
		}
	}
	if strings.Contains(m[0], "not copied") && !headersOnly {
		t.Errorf("summary %q", m[0])
	}
	want := []string{strconv.Itoa(len(list)), strconv.FormatUint(octets, 10), strconv.Itoa(opened), "0"}
	if !slices.Equal(m[1:], want) {
		t.Errorf("summary %q, want %v", m[0], want)
	}
}

// wantSeq wants rows to be all that were printed: numbered from 1 without a
// hole.
func wantSeq(t testing.TB, rows []row) {
	t.Helper()
	for i, r := range rows {
		if r.Seq != uint64(i)+1 {
			t.Errorf("row %d has seq %d", i+1, r.Seq)
			return
		}
	}
}
