// SPDX-License-Identifier: Apache-2.0

// Command gopeer uses crypto/tls as it is told. Its first line tells its pid.
//
//	gopeer             obeys commands on standard input as peer.c does: open,
//	                   calls, read, close, exec
//	                   and write FILE, a call that goes on until the next close,
//	                   and bench N, which sends and receives N times a PING frame over a
//	                   connection without a socket and tells ns a Write and a Read
//	gopeer serve       is a net/http server until its standard input ends; tells
//	                   its port. /N gives N octets, POST / gives the body back.
//	gopeer fetch PORT  is a net/http client with one connection: on each line with
//	                   a number, that many requests, one after another
package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	fmt.Println("ok", os.Getpid())
	err := fmt.Errorf("unknown arguments %q", os.Args[1:])
	switch {
	case len(os.Args) == 1:
		err = peer()
	case os.Args[1] == "serve":
		err = serve()
	case os.Args[1] == "fetch" && len(os.Args) == 3:
		err = fetch(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func peer() error {
	var conn *tls.Conn
	var writing sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		f := strings.Fields(lines.Text())
		var err error
		switch f[0] {
		case "open":
			conn, err = tls.Dial("tcp", "127.0.0.1:"+f[1], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		case "calls":
			err = calls(conn, f[1], f[2:])
		case "read":
			var n int
			if n, err = strconv.Atoi(f[1]); err == nil {
				_, err = io.ReadFull(conn, make([]byte, n))
			}
		case "write":
			var octets []byte
			if octets, err = os.ReadFile(f[1]); err == nil {
				writing.Add(1)
				go func() {
					defer writing.Done()
					conn.Write(octets)
				}()
			}
		case "close":
			err = conn.Close()
			writing.Wait()
		case "bench":
			if err = bench(f[1]); err == nil {
				continue // it has answered
			}
		case "exec":
			err = syscall.Exec("/proc/self/exe", []string{"gopeer"}, os.Environ())
		}
		if err != nil {
			fmt.Println(f[0], err)
			continue
		}
		fmt.Println("ok")
	}
	return nil
}

// calls sends a file in calls of those lengths, the last one again and again.
func calls(conn *tls.Conn, path string, lengths []string) error {
	octets, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n := len(octets)
	for len(octets) > 0 {
		if len(lengths) > 0 {
			if n, err = strconv.Atoi(lengths[0]); err != nil {
				return err
			}
			lengths = lengths[1:]
		}
		if n > len(octets) {
			n = len(octets)
		}
		if _, err := conn.Write(octets[:n]); err != nil {
			return err
		}
		octets = octets[n:]
	}
	return nil
}

// memory is one direction of a connection within the process.
type memory struct {
	mu     sync.Mutex
	more   *sync.Cond
	octets bytes.Buffer
}

// memoryConn is an end of such a connection.
type memoryConn struct {
	net.Conn // nil: deadlines and addresses are not asked for
	in, out  *memory
}

func (c memoryConn) Read(b []byte) (int, error) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	for c.in.octets.Len() == 0 {
		c.in.more.Wait()
	}
	return c.in.octets.Read(b)
}

func (c memoryConn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.more.Signal()
	return c.out.octets.Write(b)
}

func bench(times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	var up, down memory
	up.more, down.more = sync.NewCond(&up.mu), sync.NewCond(&down.mu)
	client := tls.Client(memoryConn{in: &down, out: &up}, &tls.Config{InsecureSkipVerify: true})
	server := tls.Server(memoryConn{in: &up, out: &down}, &tls.Config{Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true})
	done := make(chan error)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	ping := append([]byte{0, 0, 8, 6, 0, 0, 0, 0, 0}, make([]byte, 8)...)
	got := make([]byte, 4096)
	exchange := func(n int, first []byte) (write, read time.Duration, err error) {
		began := time.Now()
		for i := 0; i < n; i++ {
			if _, err := client.Write(append(first, ping...)); err != nil {
				return 0, 0, err
			}
			first = nil
		}
		write = time.Since(began)
		began = time.Now()
		for i := 0; i < n; i++ { // each record is a Read of its own
			if _, err := server.Read(got); err != nil {
				return 0, 0, err
			}
		}
		return write, time.Since(began), nil
	}
	const settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, _, err := exchange(100, []byte(settings)); err != nil {
		return err
	}
	write, read, err := exchange(n, nil)
	if err == nil {
		fmt.Println("ok", write.Nanoseconds()/int64(n), read.Nanoseconds()/int64(n))
	}
	return err
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func serve() error {
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
				w.Write(make([]byte, n))
			}
			io.Copy(w, r.Body)
		}),
	}
	go func() {
		fmt.Println("ok", l.Addr().(*net.TCPAddr).Port)
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return server.ServeTLS(l, "", "")
}

func fetch(port string) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: transport}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println("ok") {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		for i := 0; i < n; i++ {
			body := bytes.Repeat([]byte("x"), i%100)
			resp, err := client.Post("https://127.0.0.1:"+port+"/"+strconv.Itoa(i), "text/plain", bytes.NewReader(body))
			if err != nil {
				return err
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || len(got) != i+len(body) || resp.ProtoMajor != 2 {
				return fmt.Errorf("%d octets over %s, want %d: %v", len(got), resp.Proto, i+len(body), err)
			}
		}
	}
	transport.CloseIdleConnections()
	return nil
}
