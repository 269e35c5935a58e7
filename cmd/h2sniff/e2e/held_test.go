// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// held is a shell that waits for a go-ahead before it runs a script, so that
// its pid can be given to h2sniff first.
type held struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out lockedBuilder // standard output and standard error
}

// hold starts a shell for a script with arguments ("$1", ...).
func hold(t testing.TB, script string, args ...string) *held {
	t.Helper()
	h := &held{t: t, cmd: exec.Command("sh", append([]string{"-c", "read go\n" + script, "sh"}, args...)...)}
	in, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.in, h.cmd.Stdout, h.cmd.Stderr = in, &h.out, &h.out
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if h.cmd.ProcessState == nil {
			// The shell may have started others.
			for _, pid := range append(children(t, h.cmd.Process.Pid), h.cmd.Process.Pid) {
				if p, err := os.FindProcess(pid); err == nil {
					p.Kill()
				}
			}
			h.cmd.Wait()
		}
	})
	return h
}

func (h *held) pid() string { return strconv.Itoa(h.cmd.Process.Pid) }

// release lets the script begin.
func (h *held) release() {
	h.t.Helper()
	if _, err := io.WriteString(h.in, "\n"); err != nil {
		h.t.Fatal(err)
	}
}

// run lets the script run to its end and gives what it printed.
func (h *held) run() string {
	h.t.Helper()
	h.release()
	return h.wait()
}

// wait waits for the script's end and gives what it printed.
func (h *held) wait() string {
	h.t.Helper()
	if err := h.cmd.Wait(); err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(h.cmd.Args, " "), err, h.out.String())
	}
	return h.out.String()
}
