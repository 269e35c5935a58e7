// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// server is a server that a test started.
type server struct {
	cleartext bool
	pid       int
	port      int
	dir       string // document root
}

func (s *server) addr() string           { return fmt.Sprintf("127.0.0.1:%d", s.port) }
func (s *server) url(path string) string { return s.scheme() + "://" + s.addr() + path }
func (s *server) scheme() string {
	if s.cleartext {
		return "http"
	}
	return "https"
}

// file puts a file of the given size into the document root.
func (s *server) file(t testing.TB, name string, size int) {
	t.Helper()
	s.content(t, name, []byte(strings.Repeat("0123456789abcdef", size/16+1)[:size]))
}

// content puts a file with the given content into the document root.
func (s *server) content(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sharedDir is a temporary directory that other users can read.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(h2sniff), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// certificate writes cert.pem and key.pem for localhost and 127.0.0.1.
func certificate(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der},
		key:  {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// Ports that the kernel gives to nobody by itself (below ip_local_port_range),
// from a random one on: where one is free, it is so until its server listens.
const firstPort, lastPort = 10_000, 32_000

var ports atomic.Uint32

func init() { ports.Store(mathrand.Uint32N(lastPort - firstPort)) }

// freePort is a TCP port of the loopback interface that nobody uses, and that no
// other call gives.
func freePort(t testing.TB) int {
	t.Helper()
	for range lastPort - firstPort {
		port := firstPort + int(ports.Add(1)%(lastPort-firstPort))
		if free("127.0.0.1", port) && free("::1", port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func free(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err == nil {
		l.Close()
	}
	return err == nil
}

// startNginx runs nginx with HTTP/2 on TLS and more directives for its server.
func startNginx(t testing.TB, workers int, directives ...string) *server {
	t.Helper()
	return startNginxBy(t, nil, workers, directives...)
}

// startNginxBy is startNginx where the command starter, of which pid will be,
// starts nginx.
func startNginxBy(t testing.TB, starter []string, workers int, directives ...string) *server {
	t.Helper()
	needPrograms(t, "nginx")
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	conf := filepath.Join(s.dir, "nginx.conf")
	err := os.WriteFile(conf, fmt.Appendf(nil, `
daemon off; error_log stderr warn; pid %[1]s/nginx.pid; worker_processes %[2]d;
events { worker_connections 1024; }
http {
	access_log off; keepalive_requests 100000; http2_max_concurrent_streams 256;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
	server {
		listen 127.0.0.1:%[3]d ssl http2; listen [::1]:%[3]d ssl http2;
		ssl_certificate %[4]s; ssl_certificate_key %[5]s;
		root %[1]s; %[6]s
	}
}`, s.dir, workers, s.port, cert, key, strings.Join(directives, " ")), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	s.file(t, "index.html", 100)
	command := []string{"nginx", "-c", conf, "-p", s.dir}
	if len(starter) > 0 {
		command[0] = serverPath("nginx")
		command = append(slices.Clone(starter), command...)
	}
	s.pid = startServer(t, s.addr(), command[0], command[1:]...)
	return s
}

// serverPath finds a server where root's PATH has no /usr/sbin, too.
func serverPath(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return "/usr/sbin/" + name
}

// startServer runs a server until the test ends and waits until it listens.
func startServer(t testing.TB, addr, name string, args ...string) (pid int) {
	t.Helper()
	name = serverPath(name)
	var log strings.Builder
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.String())
		}
	})
	deadline := time.Now().Add(timeout)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return cmd.Process.Pid
		}
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", name, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s: %v", name, addr, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
