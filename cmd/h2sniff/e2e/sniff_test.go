// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// timeout bounds every wait of a test for something that has to happen, on a
// machine that has much else to do.
const timeout = 2 * time.Minute

// row is a JSON line of "h2sniff dump --format json" as tests read it.
type row struct {
	Kind      string    `json:"kind"`
	Seq       uint64    `json:"seq"`
	Time      time.Time `json:"time"`
	TimeEnd   time.Time `json:"time_end"`
	Elapsed   float64   `json:"elapsed"`
	Conn      string    `json:"conn"`
	PID       int       `json:"pid"`
	TID       int       `json:"tid"`
	Comm      string    `json:"comm"`
	Library   string    `json:"library"`
	Container string    `json:"container"`
	Role      string    `json:"role"`
	Local     string    `json:"local"`
	Remote    string    `json:"remote"`
	Address   string    `json:"address"`
	Peer      string    `json:"peer"`
	Dir       string    `json:"dir"`
	Type      string    `json:"type"`
	TypeCode  uint8     `json:"type_code"`
	Flags     uint8     `json:"flags_code"`
	Stream    uint32    `json:"stream"`
	Length    uint32    `json:"length"`
	BlockSeq  uint64    `json:"block_seq"`
	Headers   []header  `json:"headers"`
	Error     any       `json:"error"`
	Bytes     uint64    `json:"bytes"`
	Reason    string    `json:"reason"`
	Data      []byte    `json:"data"`
	Payload   []byte    `json:"payload"`
	LastID    *uint32   `json:"last_stream"`
	Protocol  string    `json:"protocol"`
	Fresh     *bool     `json:"fresh"`
	Processes int       `json:"processes"`
	Late      int       `json:"late"`
	LateBy    float64   `json:"late_by"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Trust string `json:"trust"`
	// Sensitive is set for never-indexed fields.
	Sensitive bool `json:"sensitive"`
}

// sniff is a running "h2sniff dump --format json".
type sniff struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	rows []row
	// unfollowed are the lines that tell of processes, which can be late on a
	// busy machine in many tests.
	unfollowed []row
	stderr     bytes.Buffer
	ready      chan struct{}
}

// startSniff runs h2sniff dump --format json with more arguments and returns
// when it has said that it is ready.
func startSniff(t testing.TB, args ...string) *sniff {
	t.Helper()
	return startSniffCommand(t, exec.Command(h2sniff, append([]string{"dump", "--format", "json"}, args...)...))
}

func startSniffCommand(t testing.TB, cmd *exec.Cmd) *sniff {
	t.Helper()
	s := launchSniff(t, cmd)
	select {
	case <-s.ready:
	case <-s.done:
		t.Fatalf("%v ended before it was ready:\n%s", cmd.Args, s.errors())
	case <-time.After(timeout):
		t.Fatalf("%v is not ready:\n%s", cmd.Args, s.errors())
	}
	return s
}

// launchSniff does not wait: under load one with -n can have seen enough before
// it says that it is ready.
func launchSniff(t testing.TB, cmd *exec.Cmd) *sniff {
	t.Helper()
	chooseMode(cmd)
	s := &sniff{t: t, cmd: cmd, done: make(chan struct{}), ready: make(chan struct{})}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { s.readRows(stdout) })
	readers.Go(func() { s.readErrors(stderr) })
	go func() {
		readers.Wait()
		cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		select {
		case <-s.done:
		case <-time.After(5 * time.Second):
			// A command that h2sniff had started goes on, and holds the pipes.
			stdout.Close()
			stderr.Close()
			<-s.done
		}
		if t.Failed() {
			t.Logf("standard error of %v:\n%s", cmd.Args, s.errors())
		}
	})
	return s
}

func (s *sniff) readRows(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			s.t.Errorf("not JSON: %v: %.200s", err, lines.Bytes())
			continue
		}
		s.mu.Lock()
		if r.Kind == "unfollowed" { // says nothing of a connection
			s.unfollowed = append(s.unfollowed, r)
		} else {
			s.rows = append(s.rows, r)
		}
		s.mu.Unlock()
	}
}

func (s *sniff) readErrors(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	ready := false
	for lines.Scan() {
		s.mu.Lock()
		s.stderr.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if lines.Text() == "h2sniff: ready" && !ready {
			ready = true
			close(s.ready)
		}
	}
}

func (s *sniff) errors() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// snapshot is what was printed until now.
func (s *sniff) snapshot() []row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]row(nil), s.rows...)
}

// waitFor waits until what was printed satisfies enough.
func (s *sniff) waitFor(what string, enough func([]row) bool) {
	s.t.Helper()
	deadline := time.Now().Add(timeout)
	for !enough(s.snapshot()) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %s in vain; %d rows, standard error:\n%s", what, len(s.snapshot()), s.errors())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// stop ends h2sniff as Ctrl-C does and gives all rows.
func (s *sniff) stop() []row {
	s.t.Helper()
	time.Sleep(50 * time.Millisecond) // more than the reader's deadline
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && err != os.ErrProcessDone {
		s.t.Fatal(err)
	}
	s.wait()
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("exit status %d:\n%s", code, s.errors())
	}
	return s.snapshot()
}

// wait waits until h2sniff has ended by itself.
func (s *sniff) wait() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(timeout):
		s.t.Fatalf("does not end:\n%s", s.errors())
	}
}

// frames are the rows of a connection's direction that are frames; "" stands
// for any.
func frames(rows []row, conn, dir string) []row {
	var out []row
	for _, r := range rows {
		if r.Kind == "frame" && (conn == "" || r.Conn == conn) && (dir == "" || r.Dir == dir) {
			out = append(out, r)
		}
	}
	return out
}

// countKind counts the rows of a kind, of one connection or ("") of all.
func countKind(rows []row, conn, kind string) int {
	n := 0
	for _, r := range rows {
		if r.Kind == kind && (conn == "" || r.Conn == conn) {
			n++
		}
	}
	return n
}

// conns lists the connections that have frames, in order of appearance, of
// processes whose name is comm ("" for any).
func conns(rows []row, comm string) []string {
	var out []string
	seen := make(map[string]bool)
	for _, r := range rows {
		if r.Kind == "frame" && !seen[r.Conn] && (comm == "" || r.Comm == comm) {
			seen[r.Conn] = true
			out = append(out, r.Conn)
		}
	}
	return out
}

// wantClean fails on gaps and malformed frames, which no test here expects
// unless it looks for them.
func wantClean(t testing.TB, rows []row) {
	t.Helper()
	for i, r := range rows {
		if r.Kind == "gap" && !notSentAtEnd(rows[i:]) {
			t.Errorf("row %d of %s: a gap of %d octets", r.Seq, r.Conn, r.Bytes)
		}
		if r.Kind == "frame" && r.Error != nil {
			t.Errorf("row %d of %s: %s frame with error %v", r.Seq, r.Conn, r.Type, r.Error)
		}
	}
}

// notSentAtEnd tells whether the first row says that the last that a program
// wrote to a connection was not sent: Go programs close one while another
// goroutine writes a GOAWAY to it.
func notSentAtEnd(rows []row) bool {
	gap := rows[0]
	return gap.Reason == "not sent" && !slices.ContainsFunc(rows, func(r row) bool {
		return r.Conn == gap.Conn && r.Kind == "frame" && r.Dir == gap.Dir
	})
}

// run runs a program to its end and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
