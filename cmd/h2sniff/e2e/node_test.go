// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// TestNodeServer: node's http2 module as nghttp sees it.
func TestNodeServer(t *testing.T) {
	needPrograms(t, "node", "nghttp")
	t.Parallel()
	server := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, server.dir)
	server.file(t, "upload", 200_000)
	server.pid = startServer(t, server.addr(), "node", "testdata/serve.js", strconv.Itoa(server.port), cert, key)
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	bound := 0
	for _, request := range [][]string{
		{server.url("/10")},
		{server.url("/0"), server.url("/300000"), server.url("/5")},
		{"-d", server.dir + "/upload", server.url("/1000")},
		{"-m", "10", server.url("/20000")},
	} {
		before := len(s.snapshot())
		log, client := sniffNghttp(t, request...)
		s.waitFor("the connection to close", func(rows []row) bool {
			return len(rows) > before && rows[len(rows)-1].Kind == "close"
		})
		rows := s.snapshot()[before:]
		wantAccount(t, log, client, true)
		wantAccount(t, log, rows, false)
		nodeLibrary(t, rows)
		// node gives libssl memory BIOs: an address is inferred, or unknown.
		if countKind(rows, "", "bind") > 0 {
			bound++
			wantEnds(t, rows, client, "inferred", "exact")
		}
	}
	t.Logf("%d of 4 connections have an address", bound)
	wantFresh(t, s.stop(), 4)
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
