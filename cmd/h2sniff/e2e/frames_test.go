// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
	"testing"
)

// TestNginxEqualsNghttp: what h2sniff sees in nginx is what nghttp says it
// sent and received.
func TestNginxEqualsNghttp(t *testing.T) {
	needPrograms(t, "nghttp")
	nginx := startNginx(t, 2)
	nginx.file(t, "large", 300_000)
	s := startSniff(t, "-p", strconv.Itoa(nginx.pid))
	for _, test := range []struct {
		name string
		args []string
	}{
		{"one request", []string{nginx.url("/")}},
		{"several", []string{nginx.url("/"), nginx.url("/large"), nginx.url("/missing")}},
		{"no END_STREAM at once", []string{"-d", nginx.dir + "/index.html", nginx.url("/")}},
		{"padding", []string{"-b", "64", nginx.url("/")}},
		{"IPv6", []string{"https://[::1]:" + strconv.Itoa(nginx.port) + "/"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(s.snapshot())
			log := parseNghttp(t, run(t, "nghttp", append([]string{"-nv"}, test.args...)...))
			closed := func(rows []row) bool {
				return len(rows) > before && rows[len(rows)-1].Kind == "close"
			}
			s.waitFor("the connection to close", closed)
			rows := s.snapshot()[before:]
			wantClean(t, rows)
			if len(log) < 5 {
				t.Fatalf("nghttp logged %d frames", len(log))
			}
			for _, dir := range []string{"send", "recv"} {
				wantSame(t, log, dir, fold(frames(rows, "", reverse[dir])))
			}
		})
	}
	s.stop()
}
