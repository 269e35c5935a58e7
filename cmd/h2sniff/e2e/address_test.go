// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Header fields that tell, on the connection itself, which sockets it has: what
// the test knows from its own end of it.
const (
	clientSocket = "x-client-socket"
	serverSocket = "x-server-socket"
)

var loopbacks = []string{"127.0.0.1", "[::1]"}

// evidence counts connections by how their addresses are known in the end.
type evidence struct{ exact, inferred, unknown int }

// checkAddresses compares every address in the rows with the sockets that the
// connections' header fields tell.
func checkAddresses(t testing.TB, rows []row) evidence {
	t.Helper()
	type sockets struct{ client, server string }
	truth := make(map[string]sockets)
	last := make(map[string]string) // evidence
	for _, r := range rows {
		s := truth[r.Conn]
		for _, h := range r.Headers {
			switch h.Name {
			case clientSocket:
				s.client = h.Value
			case serverSocket:
				s.server = h.Value
			}
		}
		truth[r.Conn] = s
		if r.Kind == "bind" {
			last[r.Conn] = r.Address
		}
	}
	roles := make(map[string]string)
	for _, r := range frames(rows, "", "") {
		roles[r.Conn] = r.Role
	}
	var n evidence
	for _, conn := range conns(rows, "") {
		if truth[conn].client == "" || truth[conn].server == "" {
			t.Errorf("%s: no header field tells its sockets", conn)
		}
		switch last[conn] {
		case "exact":
			n.exact++
		case "inferred":
			n.inferred++
		default:
			n.unknown++
		}
	}
	wrong := make(map[string]bool)
	for _, r := range rows {
		s, ok := truth[r.Conn]
		if !ok || s.client == "" || r.Local == "" && r.Remote == "" || wrong[r.Conn] {
			continue
		}
		local, remote := s.client, s.server
		if roles[r.Conn] == "server" {
			local, remote = s.server, s.client
		}
		if r.Local != local || r.Remote != remote {
			wrong[r.Conn] = true
			t.Errorf("%s row %d of %s: addresses %s %s are wrong, it has %s %s", r.Kind, r.Seq, r.Conn, r.Local, r.Remote, local, remote)
		}
	}
	return n
}

// visitor is a client's connection, with a TLS implementation that nobody
// traces, whose requests tell its sockets.
type visitor struct {
	net.Conn
	*wire
	stream uint32
}

func visit(addr string) (*visitor, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn, wire: newWire(), stream: 1}
	v.preface()
	return v, nil
}

// request makes a request and waits for the beginning of the response.
func (v *visitor) request() error {
	v.headers(v.stream, true, append(get("/"),
		hpack.HeaderField{Name: clientSocket, Value: v.LocalAddr().String()},
		hpack.HeaderField{Name: serverSocket, Value: v.RemoteAddr().String()})...)
	if _, err := v.Write(v.take()); err != nil {
		return err
	}
	for {
		h, err := http2.ReadFrameHeader(v)
		if err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, v, int64(h.Length)); err != nil {
			return err
		}
		if h.Type == http2.FrameHeaders && h.StreamID == v.stream {
			v.stream += 2
			return nil
		}
	}
}

// visitServer makes connections to a server from several goroutines, with a
// few requests on each.
func visitServer(t testing.TB, port, connections int) {
	t.Helper()
	const goroutines, requests = 8, 3
	var group sync.WaitGroup
	for i := range goroutines {
		group.Go(func() {
			for j := i; j < connections; j += goroutines {
				v, err := visit(fmt.Sprintf("%s:%d", loopbacks[j/goroutines%2], port))
				for k := 0; k < requests && err == nil; k++ {
					err = v.request()
				}
				if err != nil {
					t.Error(err)
					return
				}
				v.Close()
			}
		})
	}
	group.Wait()
}

// startHost is a server whose responses tell the sockets; it gives its port on
// both loopback addresses.
func startHost(t testing.TB) int {
	t.Helper()
	cert, key := certificate(t, t.TempDir())
	host := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0), // clients that leave
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(clientSocket, r.RemoteAddr)
			w.Header().Set(serverSocket, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		}),
	}
	t.Cleanup(func() { host.Close() })
	port := freePort(t)
	for _, address := range loopbacks {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, port))
		if err != nil {
			t.Fatal(err)
		}
		go host.ServeTLS(l, cert, key)
	}
	return port
}

// startAsyncioServer runs a server of Debian's Python with asyncio.
func startAsyncioServer(t testing.TB) *server {
	t.Helper()
	needPrograms(t, debianPython)
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	s.pid = startServer(t, s.addr(), debianPython, "testdata/asyncio_peer.py", "serve", strconv.Itoa(s.port), cert, key)
	return s
}

// addressServers are the programs whose evidence of addresses is known.
var addressServers = []struct {
	name     string
	start    func(testing.TB) *server
	inferred bool
}{
	{"nginx", func(t testing.TB) *server { return startNginx(t, 2) }, false},
	{"nghttpd", func(t testing.TB) *server { return startNghttpd(t, 2) }, false},
	{"h2o", func(t testing.TB) *server { return startH2O(t, 2) }, true},
	{"asyncio", startAsyncioServer, true},
}

// serverEvidence makes connections to a server.
func serverEvidence(t testing.TB, start func(testing.TB) *server, connections int) evidence {
	t.Helper()
	server := start(t)
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	visitServer(t, server.port, connections)
	s.waitFor("all connections to close", closed(connections))
	rows := s.stop()
	wantClean(t, rows)
	return checkAddresses(t, rows)
}

// TestServerAddresses: the addresses that servers' connections are given are
// those of the clients' sockets.
func TestServerAddresses(t *testing.T) {
	t.Parallel()
	const connections = 96
	for _, test := range addressServers {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := evidence{exact: connections}
			if test.inferred {
				want = evidence{inferred: connections}
			}
			got := serverEvidence(t, test.start, connections)
			t.Logf("%s: %+v", test.name, got)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// addressClient is a program that makes connections to a host of the test.
type addressClient struct {
	name     string
	commands [][]string
	atLeast  int // connections
	inferred bool
}

// addressClients gives them with a file of octets that they may send.
func addressClients(t testing.TB) (clients []addressClient, request string) {
	t.Helper()
	needPrograms(t, "curl", "nghttp", "h2load", "gnutls-cli", debianPython)
	port := startHost(t)
	var urls []string
	for _, address := range loopbacks {
		urls = append(urls, fmt.Sprintf("https://%s:%d/", address, port))
	}
	up := newWire()
	up.preface()
	up.headers(1, true, get("/")...)
	request = filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(request, up.take(), 0o600); err != nil {
		t.Fatal(err)
	}
	return []addressClient{
		{"curl", [][]string{append([]string{"curl", "-ksZ", "--parallel-immediate", "--parallel-max", "40"}, curlURLs(urls, 40)...)}, 40, false},
		{"nghttp", [][]string{{"nghttp", "-n", urls[0]}, {"nghttp", "-n", urls[1]}, {"nghttp", "-n", urls[0], urls[1]}}, 4, false},
		{"h2load", [][]string{{"h2load", "-n120", "-c40", "-m2", "-t2", urls[0]}, {"h2load", "-n120", "-c40", "-m2", "-t2", urls[1]}}, 80, false},
		{"asyncio", [][]string{{debianPython, "testdata/asyncio_peer.py", "visit", strconv.Itoa(port), request, "40"}}, 80, true},
		{"gnutls-cli", [][]string{gnutlsCli(port, "127.0.0.1"), gnutlsCli(port, "::1"), gnutlsCli(port, "127.0.0.1")}, 3, false},
	}, request
}

// evidence runs the program's commands.
func (c *addressClient) evidence(t testing.TB, request string) (total evidence) {
	t.Helper()
	for _, command := range c.commands {
		s, stdin := sniffConsole(t, command...)
		if c.name == "gnutls-cli" {
			octets, err := os.ReadFile(request)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stdin.Write(octets); err != nil {
				t.Fatal(err)
			}
			s.waitFor("the response", func(rows []row) bool {
				return count(rows, func(r row) bool { return r.Dir == "recv" && r.Type == "HEADERS" }) > 0
			})
		}
		stdin.Close()
		s.wait()
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s: exit status %d", strings.Join(command, " "), code)
		}
		rows := s.snapshot()
		wantClean(t, rows)
		got := checkAddresses(t, rows)
		total.exact += got.exact
		total.inferred += got.inferred
		total.unknown += got.unknown
	}
	return total
}

// TestClientAddresses: the addresses that clients' connections are given are
// those that the server saw.
func TestClientAddresses(t *testing.T) {
	t.Parallel()
	clients, request := addressClients(t)
	for _, test := range clients {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			total := test.evidence(t, request)
			t.Logf("%s: %+v", test.name, total)
			known := total.exact
			if test.inferred {
				known = total.inferred
			}
			if known < test.atLeast || known < total.exact+total.inferred+total.unknown {
				t.Errorf("got %+v, want all known in one way and at least %d", total, test.atLeast)
			}
		})
	}
}

func curlURLs(urls []string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, "-o", "/dev/null", urls[i%len(urls)])
	}
	return out
}

func gnutlsCli(port int, host string) []string {
	return []string{"gnutls-cli", "-p", strconv.Itoa(port), "--alpn", "h2", "--insecure", host}
}

// startApartServer runs a server that receives for one connection and decrypts
// for another; see testdata/apart_server.py.
func startApartServer(t testing.TB, mode string) *server {
	t.Helper()
	needPrograms(t, debianPython)
	s := &server{port: freePort(t), dir: sharedDir(t)}
	cert, key := certificate(t, s.dir)
	s.pid = startServer(t, s.addr(), debianPython, "testdata/apart_server.py", mode, strconv.Itoa(s.port), cert, key)
	return s
}

// TestAddressesOfBatches: where a thread receives from several sockets before
// it decrypts, nothing is inferred from the last one.
func TestAddressesOfBatches(t *testing.T) {
	t.Parallel()
	const connections = 64
	server := startApartServer(t, "batch")
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	visitServer(t, server.port, connections)
	s.waitFor("all connections to close", closed(connections))
	rows := s.stop()
	wantClean(t, rows)
	t.Logf("%+v", checkAddresses(t, rows))
}

// TestAddressesWithdrawn: where one thread receives and another decrypts, what
// was inferred is taken back.
// In step for long the threads err always alike: that is tried anew.
func TestAddressesWithdrawn(t *testing.T) {
	t.Parallel()
	for try := range 3 {
		inferred, withdrawn := inferApart(t)
		t.Logf("%d of %d addresses were withdrawn", withdrawn, inferred)
		if inferred > 0 && withdrawn == inferred {
			return
		}
		if try == 2 || withdrawn > 0 {
			t.Fatalf("%d of %d addresses were withdrawn, want all of at least one", withdrawn, inferred)
		}
	}
}

func inferApart(t *testing.T) (inferred, withdrawn int) {
	t.Helper()
	const connections, rounds = 24, 12
	server := startApartServer(t, "threads")
	s := startSniff(t, "-p", strconv.Itoa(server.pid))
	var visitors []*visitor
	for i := range connections {
		v, err := visit(fmt.Sprintf("%s:%d", loopbacks[i%2], server.port))
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		visitors = append(visitors, v)
	}
	requests := connections // each makes one
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		var group sync.WaitGroup
		for _, v := range visitors {
			if round > 0 && random.IntN(2) == 0 {
				continue // always in step, the threads would err always alike
			} else if round > 0 {
				requests++
			}
			group.Go(func() {
				if err := v.request(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	s.waitFor("all requests", func(rows []row) bool {
		return count(rows, func(r row) bool { return r.Dir == "recv" && r.Type == "HEADERS" }) == requests
	})
	rows := s.stop()
	wantClean(t, rows)
	inferred = count(rows, func(r row) bool { return r.Address == "inferred" })
	withdrawn = count(rows, func(r row) bool { return r.Address == "withdrawn" })
	return inferred, withdrawn
}
