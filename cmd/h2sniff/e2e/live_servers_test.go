// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// The servers of BenchmarkLive. Each has a copy of libssl of its own, if it
// uses that, so that the floor counts nobody else's calls.

func liveNginx(t testing.TB, size int) *liveServer {
	library := privateLibrary(t, libssl)
	t.(*testing.B).Setenv("LD_LIBRARY_PATH", filepath.Dir(library))
	return h2loaded(t, startNginx(t, 1), size, library)
}

func liveH2O(t testing.TB, size int) *liveServer {
	library := privateLibrary(t, libssl)
	t.(*testing.B).Setenv("LD_LIBRARY_PATH", filepath.Dir(library))
	return h2loaded(t, startH2O(t, 1), size, library)
}

func h2loaded(t testing.TB, s *server, size int, library string) *liveServer {
	s.file(t, "payload", size)
	os.Unsetenv("LD_LIBRARY_PATH") // not for h2load
	var rate float64
	return &liveServer{pid: s.pid, library: library, load: func(conns int, seconds float64) loadResult {
		return timedH2load(t, s.url("/payload"), conns, seconds, &rate)
	}}
}

func liveGo(t testing.TB, size int) *liveServer {
	var log lockedBuilder
	port, pid := startGoServer(t, "bench http server", size, &log)
	var rate float64
	told := 0 // how often the server has given a connection up
	return &liveServer{pid: pid, load: func(conns int, seconds float64) loadResult {
		return timedH2load(t, fmt.Sprintf("https://127.0.0.1:%d/", port), conns, seconds, &rate)
	}, gaveUp: func() int {
		before := told
		told = strings.Count(log.String(), "timeout waiting for SETTINGS frames")
		return told - before
	}}
}

func liveGRPC(t testing.TB, size int) *liveServer {
	port, pid := startGoServer(t, "bench grpc server", size, os.Stderr)
	return &liveServer{pid: pid, load: func(conns int, seconds float64) loadResult {
		return loadGRPC(t, port, conns, seconds)
	}}
}

// streamsAtOnce is how many requests a connection has under way.
const streamsAtOnce = 10

var requestRate = regexp.MustCompile(`finished in [^,]+, ([0-9.]+) req/s`)

// timedH2load loads a URL with h2load for about some seconds: with a number of
// requests, since its own measure of time sometimes never ends. rate is what the
// turn before has reached, 0 before the first, and what this one does.
func timedH2load(t testing.TB, url string, conns int, seconds float64, rate *float64) loadResult {
	t.Helper()
	requests := max(int(*rate*seconds), conns*streamsAtOnce)
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command("h2load", "-n", strconv.Itoa(requests), "-c", strconv.Itoa(conns), "-m", strconv.Itoa(streamsAtOnce),
		"--log-file", log, url)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pin(t, cmd.Process.Pid, 1)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("h2load: %v\n%s", err, out.String())
	}
	m := requestRate.FindStringSubmatch(out.String())
	if m == nil {
		t.Fatalf("h2load: %s", out.String())
	}
	if !strings.Contains(out.String(), " 0 failed, 0 errored") {
		return loadResult{failed: out.String()}
	}
	reached, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	*rate = reached
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var times []float64
	for line := range strings.Lines(string(lines)) {
		fields := strings.Fields(line) // start, status, µs
		if len(fields) < 3 {
			continue
		}
		us, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, us/1000)
	}
	return quantiles(reached, times)
}

func quantiles(rate float64, times []float64) loadResult {
	r := loadResult{requests: len(times), rate: rate}
	slices.Sort(times)
	if n := len(times); n > 0 {
		r.p50, r.p99 = times[n/2], times[n*99/100]
	}
	return r
}

// startGoServer starts one of the programs below.
func startGoServer(t testing.TB, name string, size int, log io.Writer) (port, pid int) {
	t.Helper()
	dir := sharedDir(t)
	cert, key := certificate(t, dir)
	cmd := program(name, cert, key, strconv.Itoa(size))
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if _, err := fmt.Fscanln(bufio.NewReader(out), &port); err != nil {
		t.Fatal(err)
	}
	return port, cmd.Process.Pid
}

// serveUntilEOF runs a server on a port that it says, until its standard input
// ends.
func serveUntilEOF(args []string, serve func(l net.Listener, payload []byte) error) error {
	certificate, err := tls.LoadX509KeyPair(args[0], args[1])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	go func() {
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return serve(l, bytes.Repeat([]byte("0123456789abcdef"), size/16))
}

// benchHTTPServer is a program: a server of net/http that answers every request
// with the same content.
func benchHTTPServer(args []string) error {
	return serveUntilEOF(args, func(l net.Listener, payload []byte) error {
		return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
			w.Write(payload)
		}))
	})
}

// benchGRPCServer is a program: a server of grpc-go whose every method answers
// with the same message.
func benchGRPCServer(args []string) error {
	return serveUntilEOF(args, func(l net.Listener, payload []byte) error {
		return grpc.NewServer(grpc.ForceServerCodec(octetsCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			var request []byte
			if err := s.RecvMsg(&request); err != nil {
				return err
			}
			return s.SendMsg(&payload)
		})).Serve(l)
	})
}

// octetsCodec is for messages that are octets and nothing else.
type octetsCodec struct{}

func (octetsCodec) Name() string                  { return "octets" }
func (octetsCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (octetsCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}

// loadGRPC makes calls for some seconds, over as many connections.
func loadGRPC(t testing.TB, port, conns int, seconds float64) loadResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout+time.Duration(seconds*float64(time.Second)))
	defer cancel()
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var mu sync.Mutex
	var times []float64
	var failed error
	var callers sync.WaitGroup
	for range conns {
		conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", port), grpc.WithDefaultCallOptions(grpc.ForceCodec(octetsCodec{}), grpc.MaxCallRecvMsgSize(1<<24)),
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, RootCAs: x509.NewCertPool()})))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for range streamsAtOnce {
			callers.Go(func() {
				var mine []float64
				var err error
				for request, answer := make([]byte, 100), []byte(nil); err == nil && time.Now().Before(end); {
					began := time.Now()
					err = conn.Invoke(ctx, "/bench/Get", &request, &answer)
					mine = append(mine, time.Since(began).Seconds()*1000)
				}
				mu.Lock()
				defer mu.Unlock()
				times = append(times, mine...)
				if err != nil {
					failed = err
				}
			})
		}
	}
	callers.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	return quantiles(float64(len(times))/seconds, times)
}
