// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
	"syscall"
	"testing"
)

// TestLostEnds: a connection, or its process, ends while h2sniff is stopped and
// the ring buffer has no room to tell it. It is closed all the same, behind what
// was lost of it, and nothing of it is kept.
func TestLostEnds(t *testing.T) {
	t.Parallel()
	hangUp := func(f *flooded) { f.p.do("close") }
	kill := func(f *flooded) {
		f.p.cmd.Process.Kill()
		f.p.cmd.Wait()
	}
	for _, test := range []struct {
		name  string
		begin func(testing.TB) *flooded
		end   func(*flooded)
		again bool // the process makes another connection
	}{
		{"close", startFlooded, hangUp, true},
		{"SIGKILL", startFlooded, kill, false},
		{"exec", startFlooded, func(f *flooded) { f.p.do("exec") }, true},
		{"close, cleartext", startFloodedCleartext, hangUp, true},
		{"SIGKILL, cleartext", startFloodedCleartext, kill, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s, resume := floodStopped(t, test.begin(t))
			test.end(f)
			resume()
			s.waitFor("the end", func(rows []row) bool { return countKind(rows, "c1", "close") == 1 })
			if test.again {
				conn := f.listen(t).connect(f.p, "open")
				w := newWire()
				w.preface()
				conn.take(f.p, w.take())
				s.waitFor("another connection", func(rows []row) bool { return len(frames(rows, "c2", "send")) == 1 })
				f.p.end()
				s.waitFor("its end", func(rows []row) bool { return countKind(rows, "c2", "close") == 1 })
			}
			waitUntil(t, "nothing to be kept", func() bool {
				kept := 0
				for _, name := range []string{"conns", "lost_closes", "processes"} {
					kept += mapEntries(t, s.cmd.Process.Pid, name)
				}
				return kept == 0
			})
			rows := s.stop()
			var lost uint64
			for _, r := range rows {
				if r.Conn == "c1" && r.Kind == "gap" && r.Reason == "lost" {
					lost += r.Bytes
				}
			}
			m := lostBytes.FindStringSubmatch(s.errors())
			if m == nil || m[1] != strconv.FormatUint(lost, 10) {
				t.Errorf("%d octets lost by the rows, by the summary %q", lost, m)
			}
			if least := uint64(floodSize - 4*smallRing); lost < least || lost > uint64(f.octets) {
				t.Errorf("%d octets lost of %d", lost, f.octets)
			}
		})
	}
}

// TestConnectionsMissed: the octets of connections that begin while the ring
// buffer has no room count as lost, whether these end there, all in the same
// memory, or with their process, or not at all.
func TestConnectionsMissed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*flooded)
	}{
		{"open", func(*flooded) {}},
		{"close", func(f *flooded) { f.p.do("close") }},
		{"SIGKILL", func(f *flooded) {
			f.p.cmd.Process.Kill()
			f.p.cmd.Wait()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s, resume := floodStopped(t, startFlooded(t))
			missed := 0
			for range 3 {
				f.p.do("close")
				conn, w := listen(t).connect(f.p, "open"), newWire()
				w.preface()
				w.WriteData(1, false, content(1000))
				octets := w.take()
				conn.take(f.p, octets)
				missed += len(octets)
			}
			test.end(f)
			resume()
			s.waitFor("the end", func(rows []row) bool { return countKind(rows, "c1", "close") == 1 })
			if test.name != "open" {
				waitUntil(t, "nothing to be kept", func() bool {
					return mapEntries(t, s.cmd.Process.Pid, "conns")+mapEntries(t, s.cmd.Process.Pid, "lost_closes") == 0
				})
			}
			rows := s.stop()
			lost := uint64(missed)
			for _, r := range rows {
				if r.Kind == "gap" && r.Reason == "lost" {
					lost += r.Bytes
				}
			}
			m := lostBytes.FindStringSubmatch(s.errors())
			if m == nil || m[1] != strconv.FormatUint(lost, 10) {
				t.Errorf("%d octets lost, %d of them of connections that were missed; by the summary %q", lost, missed, m)
			}
		})
	}
}

// startFloodedCleartext is startFlooded without TLS.
func startFloodedCleartext(t testing.TB) *flooded {
	t.Helper()
	return &flooded{p: startPeer(t, peerProgram(t, cleartextPeer)), listen: listenCleartext}
}

// floodStopped stops h2sniff and floods it, so that its ring buffer has no room.
func floodStopped(t *testing.T, f *flooded) (_ *flooded, s *sniff, resume func()) {
	t.Helper()
	other := startPeer(t, peerProgram(t, opensslPeer))
	s = startSniff(t, "--ring", "256KiB", "-p", strconv.Itoa(f.p.pid), "-p", strconv.Itoa(other.pid))
	f.begin(t)
	s.waitFor("the beginning", func(rows []row) bool { return len(frames(rows, "", "send")) == 2 })
	resume = stopBoth(t, s)
	f.flood()
	for range 500 { // more than there can be room for
		f.ping()
	}
	return f, s, resume
}

// stopBoth stops h2sniff's processes, and gives what lets them go on.
func stopBoth(t *testing.T, s *sniff) (resume func()) {
	t.Helper()
	both := append(children(t, s.cmd.Process.Pid), s.cmd.Process.Pid)
	tell := func(signal syscall.Signal) {
		t.Helper()
		for _, pid := range both {
			if err := syscall.Kill(pid, signal); err != nil {
				t.Fatal(err)
			}
		}
	}
	tell(syscall.SIGSTOP)
	for _, pid := range both {
		waitUntil(t, "h2sniff to stop", func() bool { return stopped(t, pid) })
	}
	return func() { tell(syscall.SIGCONT) }
}
