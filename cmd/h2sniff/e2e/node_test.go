// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// nodeLibrary wants the rows to name what holds node's libssl: the system's, or
// node itself where the build carries its own.
func nodeLibrary(t testing.TB, rows []row) {
	t.Helper()
	for _, r := range rows {
		if r.Kind == "open" && !slices.Contains([]string{installedLibrary(t, libssl), nodePath(t)}, r.Library) {
			t.Errorf("library %s", r.Library)
		}
	}
}

func nodePath(t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(run(t, "node", "-p", "require('fs').realpathSync(process.execPath)"))
}

// TestNodeServer: node's http2 module as nghttp sees it. On a busy machine node
// keeps some connections that nghttp has ended, with what came last unread, until
// it ends itself.
func TestNodeServer(t *testing.T) {
	needPrograms(t, "node", "nghttp")
	t.Parallel()
	server := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, server.dir)
	server.file(t, "upload", 200_000)
	server.pid = startServer(t, server.addr(), "node", "testdata/serve.js", strconv.Itoa(server.port), cert, key)
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	bound := 0
	for i, request := range [][]string{
		{server.url("/10")},
		{server.url("/0"), server.url("/300000"), server.url("/5")},
		{"-d", server.dir + "/upload", server.url("/1000")},
		{"-m", "10", server.url("/20000")},
	} {
		log, client := sniffNghttp(t, request...)
		wantAccount(t, log, client, true)
		goodbye := func(f logged) bool { return f.typ == "GOAWAY" && f.dir == "send" }
		log = slices.DeleteFunc(log, goodbye)
		var rows []row
		s.waitFor("the frames that nghttp tells of", func(all []row) bool {
			list := conns(all, "")
			if len(list) <= i {
				return false
			}
			rows = slices.DeleteFunc(all, func(r row) bool {
				return r.Conn != list[i] || r.Type == "GOAWAY" && r.Dir == "recv"
			})
			for _, dir := range []string{"send", "recv"} {
				want := slices.DeleteFunc(slices.Clone(log), func(f logged) bool { return f.dir != dir })
				if len(fold(frames(rows, "", reverse[dir]))) < len(want) {
					return false
				}
			}
			return true
		})
		wantAccount(t, log, rows, false)
		nodeLibrary(t, rows)
		// node gives libssl memory BIOs: an address is inferred, or unknown.
		if countKind(rows, "", "bind") > 0 {
			bound++
			wantEnds(t, rows, client, "inferred", "exact")
		}
	}
	t.Logf("%d of 4 connections have an address", bound)
	if err := syscall.Kill(server.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.wait()
	rows := s.snapshot()
	wantFresh(t, rows, 4)
	if n := countKind(rows, "", "close"); n != countKind(rows, "", "open") {
		t.Errorf("%d connections are closed, %d were opened", n, countKind(rows, "", "open"))
	}
}

// TestNodeClient: node's http2 module as h2sniff sees it at nginx's end.
func TestNodeClient(t *testing.T) {
	needPrograms(t, "node")
	t.Parallel()
	const requests = 200
	nginx := startNginx(t, 1)
	for i := range 20 {
		nginx.file(t, fmt.Sprintf("file%d", i), 1+i*i*40)
	}
	server := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	client := startSniff(t, "--", "node", "testdata/requests.js", nginx.url(""), strconv.Itoa(requests))
	client.wait()
	server.waitFor("the connection to close", closed(1))
	rows, other := client.snapshot(), server.stop()
	wantFresh(t, rows, 1)
	wantClean(t, rows)
	wantExact(t, rows)
	nodeLibrary(t, rows)
	for _, dir := range []string{"send", "recv"} {
		got, want := fold(frames(rows, "", dir)), fold(frames(other, "", reverse[dir]))
		if d := differ(got, want); d != "" {
			t.Errorf("%s %s", dir, d)
		}
		if n := min(len(got), len(want)); n < 2*requests/2 || len(got)+len(want)-2*n > 3 {
			t.Errorf("%s: %d frames, %d at the other end", dir, len(got), len(want))
		}
	}
	if countKind(rows, "", "bind") > 0 { // else unknown: node gives libssl memory BIOs
		wantEnds(t, other, rows, "exact", "inferred")
	}
}
