// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// wantFresh wants all connections, at least n, to be said to be seen from their
// first octet.
func wantFresh(t testing.TB, rows []row, n int) {
	t.Helper()
	opened := countKind(rows, "", "open")
	fresh := count(rows, func(r row) bool { return r.Fresh != nil && *r.Fresh })
	if opened < n || fresh != opened {
		t.Errorf("%d of %d connections are seen from their first octet, want all of at least %d", fresh, opened, n)
	}
}

// TestCleartextFresh: connections that begin while more octets of them arrive are
// seen from their first one, and said to be.
func TestCleartextFresh(t *testing.T) {
	needPrograms(t, "h2load")
	t.Parallel()
	const rounds, connections = 3, 30
	server := startCleartextNginx(t, 1)
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	for range rounds {
		// Many connections at once: their first octets come while others are read.
		client := startSniff(t, "--", "h2load", "-n", strconv.Itoa(4*connections), "-c", strconv.Itoa(connections), "-m", "4", server.plainURL("/"))
		client.wait()
		wantFresh(t, client.snapshot(), connections)
	}
	s.waitFor("all connections to close", closed(rounds*connections))
	wantFresh(t, s.stop(), rounds*connections)
}

// TestHandshakeByReading: a connection whose handshake is run by a read is seen
// from its first octet too, where an earlier call made the handle ready for it.
func TestHandshakeByReading(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(peerProgram(t, wolfsslPeer))
	cmd.Env = append(os.Environ(), "PEER_READS=1")
	p := startPeerCommand(t, cmd)
	s := startSniff(t, "-p", strconv.Itoa(p.pid))
	_, _, sent := listen(t).begin(p)
	p.do("close")
	p.end()
	rows := s.stop()
	wantFresh(t, rows, 1)
	wantFrames(t, frames(rows, "", "send"), sent)
	if last := rows[len(rows)-1]; last.Kind != "close" || last.Role != "client" {
		t.Errorf("the last row says %+v", last)
	}
}
