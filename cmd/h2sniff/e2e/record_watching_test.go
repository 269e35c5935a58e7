// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestRecordWhileWatching: a recording begins and ends while the user interface
// shows what goes on. A connection that is open is in it as one found in its
// middle; what came before and after is not.
func TestRecordWhileWatching(t *testing.T) {
	needPrograms(t, "node", "curl")
	nginx := startNginx(t, 1)
	for i := range 3 {
		nginx.file(t, fmt.Sprint("f", i), 100)
	}
	c := startConsole(t, exec.Command("node", "-e", `
		const session = require('http2').connect(process.argv[1], { rejectUnauthorized: false });
		process.stdin.on('data', (path) => session.request({ ':path': String(path).trim() }).resume());
	`, nginx.url("")))
	s := startScreen(t, 120, 36)
	s.keys(fmt.Sprintf("%s -p %d", h2sniff, nginx.pid), "Enter")
	s.waitFor("LIVE", "OpenSSL")
	c.send(t, []byte("/f0\n"))
	s.waitFor("GET /f0", ":status 200")

	path := filepath.Join(sharedDir(t), "watched.pcapng")
	s.keys(":")
	s.keys("record "+path, "Enter")
	s.waitFor("recording into")
	c.send(t, []byte("/f1\n"))
	s.waitFor("GET /f1")
	run(t, "curl", "-sk", "--http2", "-o", "/dev/null", nginx.url("/f2"))
	s.waitFor("GET /f2", "closed")
	s.keys(":")
	s.keys("record", "Enter")
	s.waitFor("is written")
	c.send(t, []byte("/f0?later\n"))
	s.waitFor("GET /f0?later")
	s.keys("q")
	s.waitForShell()

	rows := dumpRecording(t, path)
	asked := make(map[string]string) // by connection
	for _, r := range frames(rows, "", "recv") {
		for _, h := range r.Headers {
			if h.Name == ":path" && h.Trust == "exact" {
				asked[r.Conn] += h.Value + " "
			}
		}
	}
	list := conns(rows, "")
	if len(list) != 2 || asked[list[0]] != "/f1 " || asked[list[1]] != "/f2 " {
		t.Errorf("connections %v have asked for %v", list, asked)
	}
}
