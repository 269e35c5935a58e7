// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// startCaddy runs Debian's caddy, a stripped Go program (1.19 in Debian 12). It
// pushes /pushed with /push/.
func startCaddy(t testing.TB) *server {
	t.Helper()
	needPrograms(t, "caddy")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	conf := fmt.Sprintf(`{
	admin off
	auto_https off
	servers {
		protocols h1 h2
	}
}
https://127.0.0.1:%[1]d, https://[::1]:%[1]d {
	tls %s %s
	root * %s
	push /push/ /pushed
	file_server
}
`, s.port, cert, key, s.dir)
	path := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	s.file(t, "index.html", 100)
	s.pid = startServer(t, s.addr(), "env", "HOME="+s.dir, "caddy", "run", "--config", path, "--adapter", "caddyfile")
	return s
}
