// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The programs that testdata/peer.c makes with different libraries.
const (
	opensslPeer   = "peer_openssl"
	gnutlsPeer    = "peer_gnutls"
	boringPeer    = "peer_boring" // with the library that boringLibraries gives
	wolfsslPeer   = "peer_wolfssl"
	mbedtlsPeer   = "peer_mbedtls"
	nssPeer       = "peer_nss"
	cleartextPeer = "peer_cleartext" // uses the socket as it is
	staticPeer    = "peer_static"    // holds OpenSSL's functions itself
	// These hold the functions of other libraries.
	staticWolfsslPeer = "peer_static_wolfssl"
	staticMbedtlsPeer = "peer_static_mbedtls"
	// strippedPeer holds them too, but not their names.
	strippedPeer = "peer_stripped"
)

var compiled sync.Map // name of a program → func() error, which compiles it once

// peerProgram gives the path of a program made of testdata/peer.c.
func peerProgram(t testing.TB, name string) string {
	t.Helper()
	needPrograms(t, "gcc")
	path := filepath.Join(filepath.Dir(h2sniff), name)
	args := map[string][]string{
		opensslPeer:   {"peer_openssl.c", "-lssl", "-lcrypto"},
		gnutlsPeer:    {"peer_gnutls.c", "-lgnutls"},
		nssPeer:       {"peer_nss.c", "-I/usr/include/nss", "-I/usr/include/nspr", "-lssl3", "-lnss3", "-lnspr4"},
		wolfsslPeer:   {"peer_wolfssl.c", "-lwolfssl"},
		cleartextPeer: {"peer_cleartext.c"},
		mbedtlsPeer:   {"peer_mbedtls.c", "-lmbedtls", "-lmbedx509", "-lmbedcrypto"},
		boringPeer: {"peer_openssl.c", "-I/usr/include/android", "-L" + boringLibraries(t), "-Wl,-rpath," + boringLibraries(t),
			"-lssl", "-lcrypto"},
		staticPeer:        {"peer_openssl.c", "-static", "-lssl", "-lcrypto"},
		staticWolfsslPeer: {"peer_wolfssl.c", "-static", "-lwolfssl", "-lm"},
		staticMbedtlsPeer: {"peer_mbedtls.c", "-static", "-lmbedtls", "-lmbedx509", "-lmbedcrypto"},
		strippedPeer:      {"peer_openssl.c", "-static", "-s", "-lssl", "-lcrypto"},
	}[name]
	once, _ := compiled.LoadOrStore(name, sync.OnceValue(func() error {
		cc := exec.Command("gcc", append([]string{"-O1", "-Wall", "-pthread", "-o", path, "peer.c"}, args...)...)
		cc.Dir = "testdata"
		if out, err := cc.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", cc.Args, err, out)
		}
		return nil
	}))
	if err := once.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return path
}

// boringLibraries is the folder of Debian's BoringSSL.
func boringLibraries(t testing.TB) string {
	t.Helper()
	return filepath.Join(filepath.Dir(installedLibrary(t, libssl)), "android")
}

// peer is a running TLS client that obeys commands; see testdata/peer.c.
type peer struct {
	t   testing.TB
	pid int // as it says itself
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	// pipe is what out reads from.
	pipe *os.File
	dir  string // for the files that it sends
}

func startPeer(t testing.TB, program string) *peer {
	t.Helper()
	return startPeerCommand(t, exec.Command(program))
}

func startPeerCommand(t testing.TB, cmd *exec.Cmd) *peer {
	t.Helper()
	p := &peer{t: t, cmd: cmd, dir: t.TempDir()}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.pipe, p.out = in, out.(*os.File), bufio.NewReader(out)
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	p.pid, err = strconv.Atoi(p.answer())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// do has a command obeyed and gives the answer.
func (p *peer) do(format string, args ...any) string {
	p.t.Helper()
	p.tell(format, args...)
	return p.answer()
}

// tell gives a command without waiting for the answer.
func (p *peer) tell(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", args...); err != nil {
		p.t.Fatalf("%v: %v", p.cmd.Args, err)
	}
}

// line reads one line of what the peer says. Lines of an h2sniff that started
// it are passed over.
func (p *peer) line() string {
	p.t.Helper()
	p.pipe.SetReadDeadline(time.Now().Add(2 * timeout))
	for {
		line, err := p.out.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%v: %v", p.cmd.Args, err)
		}
		if !strings.HasPrefix(line, "h2sniff: ") {
			return strings.TrimSuffix(line, "\n")
		}
	}
}

func (p *peer) answer() string {
	p.t.Helper()
	line := p.line()
	answer, ok := strings.CutPrefix(line, "ok")
	if !ok {
		p.t.Fatalf("%v: %s", p.cmd.Args, line)
	}
	return strings.TrimSpace(answer)
}

// file puts octets where the peer can send them from.
func (p *peer) file(octets []byte) string {
	p.t.Helper()
	path := filepath.Join(p.dir, "octets")
	if err := os.WriteFile(path, octets, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// end lets the peer come to its end.
func (p *peer) end() {
	p.t.Helper()
	p.in.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%v: %v", p.cmd.Args, err)
	}
}

// far is the other end of the peers' connections: the test itself, with a TLS
// implementation that nobody traces.
type far struct {
	t testing.TB
	net.Listener
}

func listen(t testing.TB) *far {
	t.Helper()
	cert, key := certificate(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, SessionTicketsDisabled: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &far{t, l}
}

func (f *far) port() int { return f.Addr().(*net.TCPAddr).Port }

type farConn struct {
	t testing.TB
	net.Conn
}

// listenCleartext is the same without TLS.
func listenCleartext(t testing.TB) *far {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &far{t, l}
}

// connect has a peer connect, by the given command, and accepts.
func (f *far) connect(p *peer, command string) *farConn {
	f.t.Helper()
	p.tell("%s %d", command, f.port())
	c, err := f.Accept()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	conn := &farConn{t: f.t, Conn: c}
	c.SetDeadline(time.Now().Add(2 * timeout))
	if c, ok := c.(*tls.Conn); ok {
		if err := c.Handshake(); err != nil {
			f.t.Fatal(err)
		}
	}
	p.answer()
	return conn
}

// send sends octets to the peer, which reads them.
func (c *farConn) send(p *peer, octets []byte) {
	c.t.Helper()
	p.tell("read %d", len(octets))
	if _, err := c.Write(octets); err != nil {
		c.t.Fatal(err)
	}
	p.answer()
}

// take receives octets that the peer sends in calls of the given lengths.
func (c *farConn) take(p *peer, octets []byte, lengths ...int) {
	c.t.Helper()
	command := "calls " + p.file(octets)
	for _, n := range lengths {
		command += " " + strconv.Itoa(n)
	}
	p.tell("%s", command)
	c.receive(octets)
	p.answer()
}

// receive receives octets and fails if they are not these.
func (c *farConn) receive(octets []byte) {
	c.t.Helper()
	got := make([]byte, len(octets))
	if n, err := io.ReadFull(c, got); err != nil {
		c.t.Fatalf("received %d of %d octets: %v", n, len(octets), err)
	}
	if !bytes.Equal(got, octets) {
		c.t.Fatal("the peer sent something else")
	}
}
