// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"strconv"
	"testing"
	"time"
)

// TestNSSLayers: a program's own layer on top of NSS's calls NSPR for the layer
// below: each octet counts once.
func TestNSSLayers(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		for _, mode := range []string{"plain", "flags"} {
			t.Run(mode+", late "+strconv.FormatBool(late), func(t *testing.T) {
				t.Parallel()
				p := startPeer(t, peerProgram(t, nssPeer))
				p.do("mode layers")
				var s *sniff
				attach := func() { s = startSniff(t, "--body", "-p", strconv.Itoa(p.pid)) }
				if !late {
					attach()
				}
				conn := listen(t).connect(p, "open")
				p.do("mode %s", mode)
				if late {
					w := newWire()
					w.preface()
					conn.take(p, w.take())
					w.WriteSettings()
					conn.send(p, w.take())
					attach()
				}
				w := newWire()
				if !late {
					w.preface()
				} else {
					w.WriteSettings()
				}
				smallFrames(w)
				w.WriteData(5, false, content(10_000))
				sent := w.take()
				conn.take(p, sent)
				w = newWire()
				w.WriteSettings()
				smallFrames(w)
				received := w.take()
				conn.send(p, received)
				p.do("close")
				p.end()
				s.wait()
				rows := s.snapshot()
				wantClean(t, rows)
				wantFrames(t, frames(rows, "", "send"), wireFrames(t, sent))
				wantFrames(t, frames(rows, "", "recv"), wireFrames(t, received))
				wantBound(t, rows, conn)
			})
		}
	}
}

// TestTstclnt: NSS's own client, which sends what it gets on its standard input
// and does its handshake inside a call that sends.
func TestTstclnt(t *testing.T) {
	needPrograms(t, "tstclnt", "certutil")
	t.Parallel()
	far := listen(t)
	database := "sql:" + t.TempDir()
	run(t, "certutil", "-N", "--empty-password", "-d", database)
	client := hold(t, `exec tstclnt -h 127.0.0.1 -p "$1" -d "$2" -o`, strconv.Itoa(far.port()), database)
	s := startSniff(t, "--body", "-p", client.pid())
	client.release()
	c, err := far.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * timeout))
	w := newWire()
	w.preface()
	smallFrames(w)
	for range 5 {
		w.WriteData(5, false, content(16_000))
	}
	sent := w.take()
	go client.in.Write(sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	w = newWire()
	w.WriteSettings()
	for range 10 {
		w.WriteData(5, false, content(16_000))
	}
	smallFrames(w)
	received := w.take()
	if _, err := c.Write(received); err != nil {
		t.Fatal(err)
	}
	s.waitFor("the last frame", func(rows []row) bool {
		return count(rows, func(r row) bool { return r.Type == "GOAWAY" && r.Dir == "recv" }) > 0
	})
	client.cmd.Process.Kill() // it does not always end by itself
	client.cmd.Wait()
	s.wait()
	rows := s.snapshot()
	wantFresh(t, rows, 1)
	wantClean(t, rows)
	wantExact(t, rows)
	wantFrames(t, frames(rows, "", "send"), wireFrames(t, sent))
	wantFrames(t, frames(rows, "", "recv"), wireFrames(t, received))
	wantBound(t, rows, &farConn{t: t, Conn: c})
	wantIdentity(t, withoutCloses(rows), identity{comm: "tstclnt", role: "client", pids: []int{rows[0].PID}, library: "libssl3.so"})
}
